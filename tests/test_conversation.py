"""Follow-up questions over the demo graph, answered without a model; each right dialogue has a wrong twin."""

from __future__ import annotations

import pytest

from kgllm import Answer, Assistant
from kgllm.conversation import MOST_TURNS, Conversation, Turn
from kgllm.link import link
from kgllm.similarity import Vocabulary
from kgllm.terms import URIRef

SPACE = "https://example.org/spaceflight/"
SATURN_V = {f"Apollo_{number}" for number in range(8, 18)}


def names(answer: Answer) -> set[str]:
    return {str(term).rsplit("/", 1)[-1] for term in answer.results}


def last(kg: Assistant, dialogue: list[str]) -> Answer:
    chat = kg.chat()
    return [chat.ask(question) for question in dialogue][-1]


RIGHT: list[tuple[list[str], set[str]]] = [
    (["Who commanded Apollo 11?", "Where was he born?"], {"Wapakoneta"}),
    (["Who commanded Apollo 11?", "Where was he born?", "When was it launched?"], {"1969-07-16"}),
    (["Wer war der Kommandant von Apollo 13?", "Wo wurde er geboren?"], {"Cleveland"}),
    (["Who commanded Apollo 11?", "And Apollo 12?"], {"Pete_Conrad"}),
    (["Who commanded Apollo 11?", "Where was he born?", "And Apollo 12?"], {"Pete_Conrad"}),
    (["Who commanded Apollo 11?", "and the weather?", "What about Apollo 14?"], {"Alan_Shepard"}),
    (["Who commanded Apollo 11?", "Und Apollo 13?", "Where was he born?"], {"Cleveland"}),
    (["Where was Neil Armstrong born?", "What about Buzz Aldrin?"], {"Glen_Ridge"}),
    (["Which rocket launched Apollo 11?", "How tall is it?"], {"110.6"}),
    (["Which rocket launched Apollo 11?", "How tall is it?", "Who designed it?"], {"Wernher_von_Braun"}),
    (["Who was the crew of Apollo 11?", "Where were they born?"], {"Glen_Ridge", "Rome", "Wapakoneta"}),
    (["Which missions serviced the Hubble Space Telescope?", "Who commanded those missions?"],
     {"Richard_Covey", "Scott_Altman"}),
    (["When was Apollo 13 launched?", "When did that mission land?"], {"1970-04-17"}),
    (["Who walked on the Moon?", "Which of them were born in Texas?"], {"Alan_Bean", "David_Scott", "Edgar_Mitchell"}),
    (["Who walked on the Moon?", "How many of them were born in Texas?"], {"3"}),
    (["How many people walked on the Moon?", "Which of them were born in Ohio?"], {"Neil_Armstrong"}),
    (["Which missions were launched by Saturn V?", "only those after 1970"],
     {"Apollo_14", "Apollo_15", "Apollo_16", "Apollo_17"}),
    (["Which missions were launched by Saturn V?", "only those after 1970", "And before 1970?"],
     {"Apollo_8", "Apollo_9", "Apollo_10", "Apollo_11", "Apollo_12"}),
    (["Which missions were launched in 1969?", "And in 1970?"], {"Apollo_13", "Soyuz_9"}),
]  # fmt: skip


@pytest.mark.parametrize(("dialogue", "gold"), RIGHT, ids=[" ".join(dialogue) for dialogue, _ in RIGHT])
def test_a_follow_up_is_answered_in_the_light_of_what_was_said(
    demo: Assistant, dialogue: list[str], gold: set[str]
) -> None:
    answer = last(demo, dialogue)
    assert names(answer) == gold
    assert answer.question == answer.memory.question == dialogue[-1]


WRONG: list[tuple[list[str], str]] = [
    (["Where was he born?"], "“he” refers to nothing that was said before"),
    (["Wo wurde er geboren?"], "“er” refers to nothing that was said before"),
    (["Which missions did they fly on?"], "“they” refers to nothing"),
    (["Which of them walked on the Moon?"], "there is no answer before it"),
    (["only those after 1970"], "there is no answer before it"),
    (["When did that mission land?"], "“that mission” refers to nothing"),
    (["Who was the crew of Apollo 11?", "Where was he born?"], "“he” may be Buzz Aldrin, Michael Collins or Neil"),
    (["Which rocket launched Apollo 11?", "Where was he born?"], "“he” refers to nothing"),
    (["Who commanded Apollo 11?", "And NASA?"], "anything like “NASA”"),
    (["Who walked on the Moon?", "only the tall ones"], ""),
    (["Who commanded Apollo 11?", "What is his favourite colour?"], ""),
    (["Who walked on the Moon?", "When did that programme end?"], "“that programme” refers to nothing"),
]


@pytest.mark.parametrize(("dialogue", "reason"), WRONG, ids=[" ".join(dialogue) for dialogue, _ in WRONG])
def test_a_follow_up_that_refers_to_nothing_or_to_one_of_several_abstains(
    demo: Assistant, dialogue: list[str], reason: str
) -> None:
    answer = last(demo, dialogue)
    assert answer.abstained
    assert reason in str(answer.reason)


@pytest.mark.parametrize(
    "question",
    [
        "Which astronauts walked on the Moon and where were they born?",  # "they" are the question's own astronauts
        "How many missions were there?",
        "Is it true that Neil Armstrong walked on the Moon?",
        "Which missions that landed on the Moon were launched by Saturn V?",
        "Who owns the youngest dog? Give me his or her last name.",
        "Apollo 11 is a mission commanded by this person",
        "For each launch site, which missions did they launch?",
        "Just list the missions of the Gemini programme",
        "How many countries have a republic as their form of government?",
        "A list of the missions they flew",
    ],
)
def test_a_word_that_refers_within_its_question_asks_for_nothing_earlier(demo: Assistant, question: str) -> None:
    assert link(question, vocabulary=Vocabulary(demo.index)).unclear == ""


def test_a_pronoun_is_a_mention_of_what_it_refers_to(demo: Assistant) -> None:
    turn = Turn("Who commanded Apollo 11?", "", answers=(URIRef(SPACE + "Neil_Armstrong"),))
    found = link("Where was he born?", vocabulary=Vocabulary(demo.index), earlier=Conversation((turn,)))
    (mention,) = [m for m in found.mentions if m.text == "he"]
    assert mention.candidates[0].description is not None
    assert mention.candidates[0].description.iri == URIRef(SPACE + "Neil_Armstrong")


def test_what_was_named_and_is_gone_from_the_graph_is_referred_to_no_more(demo: Assistant) -> None:
    turn = Turn("Who is it?", "", answers=(URIRef("urn:gone"),))
    found = link("Where was he born?", vocabulary=Vocabulary(demo.index), earlier=Conversation((turn,)))
    assert "refers to nothing" in found.unclear


def test_a_conversation_keeps_its_newest_turns(demo: Assistant) -> None:
    answer = demo.ask("Who commanded Apollo 11?")
    conversation = Conversation()
    for _ in range(MOST_TURNS + 2):
        conversation = conversation.followed_by(answer)
    assert len(conversation.turns) == MOST_TURNS
    assert conversation.nodes == (URIRef(SPACE + "Neil_Armstrong"), URIRef(SPACE + "Apollo_11"))


def test_answers_that_are_too_many_are_not_chosen_among(demo: Assistant) -> None:
    turn = Turn("Who?", "", answers=(URIRef(SPACE + "Neil_Armstrong"),), is_whole=False)
    answer = demo.ask("Which of them walked on the Moon?", conversation=Conversation((turn,)))
    assert answer.abstained
    assert "too many" in str(answer.reason)


def test_an_answer_from_the_whole_of_saturn_v_is_narrowed_within_it_alone(demo: Assistant) -> None:
    chat = demo.chat()
    assert names(chat.ask("Which missions were launched by Saturn V?")) == SATURN_V
    assert names(chat.ask("only those before 1970")) < SATURN_V
    assert "VALUES ?x" in chat.conversation.turns[-1].query


def test_a_question_given_up_leaves_no_turn(demo: Assistant) -> None:
    chat = demo.chat()
    items = chat.stream("Who commanded Apollo 11?")
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert chat.conversation.turns == ()
    assert repr(chat) == "<Chat of 0 turns over spaceflight>"
