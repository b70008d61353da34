"""The model's words: shown where the facts bear them out, and code's words in their place where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgllm import Assistant
from kgllm.answer import Answer, Claim, compose, sentence
from kgllm.answer_model import answer_schema, word
from kgllm.borne_out import what_is_not
from kgllm.display import remarks
from kgllm.ontology import RDF_TYPE
from kgllm.plan import Plan
from kgllm.protocols import Completion
from kgllm.query import Group, Query, TriplePattern, Variable
from kgllm.recall import recall
from kgllm.terms import Literal, Node, Triple, URIRef
from kgllm.testing import ScriptedModel

XSD = "http://www.w3.org/2001/XMLSchema#"


def ex(name: str) -> URIRef:
    return URIRef("http://example.org/" + name)


LABELS: dict[Node, str] = {
    ex("a11"): "Apollo 11",
    ex("a13"): "Apollo 13",
    ex("na"): "Neil Armstrong",
    ex("jl"): "James Lovell",
    ex("sv"): "Saturn V",
    ex("commander"): "commander",
    ex("launched"): "launch date",
    ex("landed"): "landing date",
    ex("mass"): "mass",
    ex("capital"): "capital of",
    ex("directed"): "directed by",
    ex("Mission"): "crewed mission",
}
COMMANDER = (ex("a11"), ex("commander"), ex("na"))
OTHER = (ex("a13"), ex("commander"), ex("jl"))
DATE = (ex("a11"), ex("launched"), Literal("1969-07-16", datatype=URIRef(XSD + "date")))
LANDED = (ex("a11"), ex("landed"), Literal("1969-07-24", datatype=URIRef(XSD + "date")))
MASS = (ex("sv"), ex("mass"), Literal("2970000.0", datatype=URIRef(XSD + "decimal")))
CAPITAL = (ex("Paris"), ex("capital"), ex("France"))
DIRECTED = (ex("Alien"), ex("directed"), ex("Scott"))
KIND = (ex("a11"), RDF_TYPE, ex("Mission"))
GERMAN = (ex("mond"), ex("entdecker"), ex("hall"))


def is_borne_out(text: str, evidence: Sequence[Triple], labels: dict[Node, str]) -> bool:
    return what_is_not(text, evidence, labels) is None


def test_what_code_says_is_borne_out() -> None:
    for triple in (COMMANDER, OTHER, DATE, MASS, CAPITAL, DIRECTED, KIND, GERMAN):
        assert is_borne_out(sentence(triple, LABELS), [triple], LABELS)


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("Neil Armstrong was the commander of Apollo 11.", [COMMANDER]),
        ("Neil Armstrong commanded Apollo 11.", [COMMANDER]),
        ("Apollo 11 was commanded by Neil Armstrong.", [COMMANDER]),
        ("Apollo 11's commander was Armstrong.", [COMMANDER]),
        ("the commander of apollo 11 is neil armstrong", [COMMANDER]),
        ("Its commander was Neil Armstrong.", [COMMANDER]),
        ("Apollo 11 was launched on 1969-07-16.", [DATE]),
        ("Apollo 11 was launched on 16 July 1969.", [DATE]),
        ("Apollo 11 was launched on July 16th, 1969.", [DATE]),
        ("Apollo 11 was launched in July 1969.", [DATE]),
        ("Apollo 11 was launched in 1969.", [DATE]),
        ("Der Kommandant launch date von Apollo 11 war der 16. Juli 1969.", [DATE, (*COMMANDER[:2], ex("Kommandant"))]),
        ("The mass of Saturn V is 2,970,000.", [MASS]),
        ("Saturn V has a mass of 2970000.", [MASS]),
        ("Paris is the capital of France.", [CAPITAL]),
        ("France's capital is Paris.", [CAPITAL]),
        ("Scott directed Alien.", [DIRECTED]),
        ("Alien was directed by Scott.", [DIRECTED]),
        ("Apollo 11 is a crewed mission.", [KIND]),
        ("Neil Armstrong commanded Apollo 11, which was launched on 16 July 1969.", [COMMANDER, DATE]),
        ("Apollo 11 was launched on 16 July 1969 and landed on 24 July 1969.", [DATE, LANDED]),
        ("24 July 1969 is the landing date of Apollo 11, and 16 July 1969 its launch date.", [DATE, LANDED]),
    ],
)
def test_a_good_sentence_is_borne_out(text: str, evidence: Sequence[Triple]) -> None:
    assert is_borne_out(text, evidence, LABELS)


@pytest.mark.parametrize(
    "text",
    [
        "Buzz Aldrin commanded Apollo 11.",
        "buzz aldrin commanded apollo 11.",
        "Aldrin was the commander of Apollo 11.",
        "Neil Armstrong commanded Apollo 12.",
        "Neil Armstrong commanded 11 Apollo.",
        "Neil Armstrong commanded Apollo 11 in 1969.",
        "Neil Armstrong commanded Apollo 11 three times.",
        "Neil Armstrong commanded Apollo 11 ½.",
        "Neil Armstrong, a liar, commanded Apollo 11.",
        "Neil Armstrong is not the commander of Apollo 11.",
        "Neil Armstrong never commanded Apollo 11.",
        "Neil Armstrong wasn’t the commander of Apollo 11.",
        "Only Neil Armstrong commanded Apollo 11.",
        "Was Neil Armstrong the commander of Apollo 11?",
        "Neil Armstrong or the commander of Apollo 11.",
        "The commander of Neil Armstrong is Apollo 11.",
        "Neil Armstrong's commander is Apollo 11.",
        "Apollo 11 commanded Neil Armstrong.",
        "Neil Armstrong was commanded by Apollo 11.",
        "[Neil Armstrong](http://evil.example) commanded Apollo 11.",
        "Neil Armstrong commanded Apollo 11: https://evil.example",
        "Neil Armstrong commanded Apollo 11, see evil.com.",
        "Neil Armstrong commanded Apollo 11 javascript:alert(1)",
        "**Neil Armstrong** commanded Apollo 11.",
        "<b>Neil Armstrong</b> commanded Apollo 11.",
        "Neil Armstrong commanded Apollo 11.\x1b[31m",
        "Neil Armstrong commanded\nApollo 11.",
        "Neil Armstrong commanded Apollo 11. 🚀",
        "It was him.",
        "The commander was commanded.",
        "",
        " ",
        ".",
        "Neil Armstrong commanded Apollo 11. " * 9,
    ],
)
def test_a_sentence_that_says_more_or_other_than_its_fact_is_not(text: str) -> None:
    assert not is_borne_out(text, [COMMANDER], LABELS)


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("Apollo 11 was launched on 1969-07-17.", [DATE]),
        ("Apollo 11 was launched on 17 July 1969.", [DATE]),
        ("Apollo 11 was launched on 16 June 1969.", [DATE]),
        ("Apollo 11 was launched on 16 July 1970.", [DATE]),
        ("Apollo 11 was launched on 1969-07-16-2.", [DATE]),
        ("Apollo 11 was launched 16 times.", [DATE]),
        ("Apollo 11 was launched on 16.", [DATE]),
        ("Apollo 11 was launched before 1969-07-16.", [DATE]),
        ("The mass of Saturn V is 2,970,001.", [MASS]),
        ("The mass of Saturn V is -2970000.0.", [MASS]),
        ("The mass of Saturn V is 12970000.0.", [MASS]),
        ("The mass of Saturn V is 2970000.05.", [MASS]),
        ("The mass of Saturn V is over 2,970,000.", [MASS]),
        ("The mass of Saturn V is 2,970,000%.", [MASS]),
        ("The mass of Saturn V is $2,970,000.", [MASS]),
        ("The mass of Saturn V is 2,970,000 pounds.", [MASS]),
        ("The mass of Saturn V is ٢٩٧٠٠٠٠.", [MASS]),
        ("Apollo 11 was launched on 24 July 1969 and landed on 16 July 1969.", [DATE, LANDED]),
        ("24 July 1969 is the launch date of Apollo 11, and 16 July 1969 its landing date.", [DATE, LANDED]),
        ("France is the capital of Paris.", [CAPITAL]),
        ("Alien directed Scott.", [DIRECTED]),
        ("Scott was directed by Alien.", [DIRECTED]),
        ("Neil Armstrong commanded Apollo 13, James Lovell Apollo 11.", [COMMANDER, OTHER]),
        ("Neil Armstrong commanded Apollo 11.", []),
        ("Neil Armstrong commanded Apollo 11.", [DATE]),
    ],
)
def test_a_changed_number_date_or_direction_is_not_borne_out(text: str, evidence: Sequence[Triple]) -> None:
    assert not is_borne_out(text, evidence, LABELS)


@settings(max_examples=60, deadline=None)
@given(st.integers(1000, 2099), st.integers(1, 12), st.integers(1, 28))
def test_no_date_but_that_of_the_fact_is_borne_out(year: int, month: int, day: int) -> None:
    written = f"{year}-{month:02}-{day:02}"
    assert is_borne_out(f"Apollo 11 was launched on {written}.", [DATE], LABELS) == (written == "1969-07-16")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_judged(text: str) -> None:
    assert is_borne_out(text, [COMMANDER], LABELS) in (True, False)
    assert not is_borne_out(text + " Buzz Aldrin", [COMMANDER], LABELS)


def test_the_schema_is_the_same_each_time_and_asks_for_handles_and_text() -> None:
    assert answer_schema() is answer_schema()
    jsonschema.validate({"claims": [{"facts": ["f0"], "text": "a"}]}, answer_schema())
    wrongs: list[Any] = [{"claims": []}, {"claims": [{"facts": ["f48"], "text": "a"}]}, {}, None]
    for wrong in wrongs:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, answer_schema())


@pytest.fixture(scope="module")
def asked(demo: Assistant) -> Any:
    """Words the answer of a query for one property of one node, both named by their labels."""
    index = demo.index

    def iri(label: str) -> URIRef:
        return next(hit.iri for hit in index.search(label, k=20) if index.label(hit.iri) == label)

    def ask(node: str, prop: str, *replies: Any, form: Any = "select") -> tuple[Answer, Answer, ScriptedModel]:
        pattern = TriplePattern(iri(node), iri(prop), Variable("x"))
        query = Query(form, Group((pattern,)), (Variable("x"),) if form == "select" else ())
        recalled = recall(query, question=f"{prop} of {node}?", links=[], index=index)
        model = ScriptedModel(replies)
        plan = Plan(query, 1.0)
        *claims, answer = word(plan, recalled, [], index, model)
        assert isinstance(answer, Answer)
        assert set(claims) <= set(answer.claims)
        return answer, compose(plan, recalled, [], index), model

    return ask


def reply(text: str, *handles: str) -> dict[str, Any]:
    return {"claims": [{"facts": list(handles or ["f0"]), "text": text}]}


def test_a_good_sentence_is_shown_with_the_number_of_its_fact(asked: Any) -> None:
    answer, composed, model = asked("Apollo 11", "commander", reply("Neil Armstrong commanded Apollo 11."))
    assert answer.text == "Neil Armstrong commanded Apollo 11. [1]"
    assert answer.results == composed.results
    assert {claim.verdict for claim in answer.claims} == {"asserted"}
    assert answer.usage.prompt_tokens > 0
    assert model.schemas == [answer_schema()]
    assert '"question": "commander of Apollo 11?"' in model.conversations[0][-1].content


WRONG = ["Buzz Aldrin commanded Apollo 11.", "", "See https://evil.example", "\x1b[31m", "Neil Armstrong in 1969."]


@pytest.mark.parametrize("text", WRONG)
def test_a_sentence_that_is_not_borne_out_is_sent_back_once(asked: Any, text: str) -> None:
    answer, _, model = asked("Apollo 11", "commander", reply(text), reply("Neil Armstrong commanded Apollo 11."))
    assert answer.text == "Neil Armstrong commanded Apollo 11. [1]"
    assert (answer.dropped, len(model.conversations), len(answer.exchanges)) == (0, 2, 2)
    assert "do not hold what stands behind the dash" in model.conversations[1][-1].content


@pytest.mark.parametrize("text", WRONG)
def test_a_sentence_that_is_not_borne_out_twice_is_dropped_and_that_is_said(asked: Any, text: str) -> None:
    answer, composed, _ = asked("Apollo 11", "commander", reply(text), reply(text))
    assert (answer.text, answer.claims, answer.dropped) == (composed.text, composed.claims, 1)
    assert "1 sentence of the model dropped" in remarks(answer)
    assert answer.to_json()["dropped"] == 1


def test_what_is_sent_back_names_the_words_that_no_fact_has() -> None:
    assert what_is_not("Buzz Aldrin commanded Apollo 11 in 1969.", [COMMANDER], LABELS) == "buzz, aldrin, 1969"
    assert what_is_not("Neil Armstrong commanded Apollo 11.", [COMMANDER], LABELS) is None


def test_the_other_sentences_of_a_reply_stand_though_one_is_dropped(asked: Any) -> None:
    two = {"claims": reply("Neil Armstrong commanded Apollo 11.")["claims"] + reply("He was brave.")["claims"]}
    answer, _, _ = asked("Apollo 11", "commander", two, reply("He was very brave."))
    assert answer.text == "Neil Armstrong commanded Apollo 11. [1]"
    assert answer.dropped == 1


def test_claims_come_while_the_model_is_still_writing(demo: Assistant) -> None:
    written: list[str] = []

    class Slow(ScriptedModel):
        def stream(self, *args: Any, **options: Any) -> Iterator[str | Completion]:
            for piece in super().stream(*args, **options):
                written.append("" if isinstance(piece, Completion) else piece)
                yield piece

    first, second = "Neil Armstrong commanded Apollo 11.", "The commander of Apollo 11 is Neil Armstrong."
    replies = [{"claims": reply(first)["claims"] + reply(second)["claims"]}]
    index = demo.index
    apollo, commander = (
        next(h.iri for h in index.search(n, k=20) if index.label(h.iri) == n) for n in ("Apollo 11", "commander")
    )
    query = Query("select", Group((TriplePattern(apollo, commander, Variable("x")),)), (Variable("x"),))
    recalled = recall(query, question="?", links=[], index=index)
    coming = word(Plan(query, 1.0), recalled, [], index, Slow(replies))
    claim = next(coming)
    assert isinstance(claim, Claim)
    assert (claim.text, "".join(written).count("facts")) == (first, 1)
    assert isinstance(list(coming)[-1], Answer)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        7,
        [],
        {},
        {"claims": None},
        {"claims": "f0"},
        {"claims": [None, 7, "f0"]},
        {"claims": [{}]},
        {"claims": [{"facts": [], "text": "a"}]},
        {"claims": [{"facts": "f0", "text": "a"}]},
        {"claims": [{"facts": ["f9"], "text": "a"}]},
        {"claims": [{"facts": ["f-1"], "text": "a"}]},
        {"claims": [{"facts": ["f0", "f٣"], "text": "a"}]},
        {"claims": [{"facts": [0], "text": "a"}]},
    ],
)
def test_a_reply_that_is_not_what_was_asked_for_ends_in_composed_text(asked: Any, value: Any) -> None:
    answer, composed, _ = asked("Apollo 11", "commander", value, value)
    assert (answer.text, answer.claims) == (composed.text, composed.claims)


def test_a_claim_without_facts_is_dropped_though_no_better_one_comes(asked: Any) -> None:
    answer, composed, _ = asked("Apollo 11", "commander", reply("Neil Armstrong commanded Apollo 11.", "f9"), None)
    assert (answer.text, answer.dropped) == (composed.text, 1)


def test_results_that_the_model_leaves_out_are_said_by_code(asked: Any) -> None:
    _, composed, _ = asked("STS-107", "mission specialist", None)
    names = [claim.text.removeprefix("The mission specialist of STS-107 is ")[:-1] for claim in composed.claims]
    listed = f"The mission specialists of STS-107 were {', '.join(names)}."
    whole, _, _ = asked("STS-107", "mission specialist", reply(listed, "f0", "f1", "f2", "f3"))
    part, _, _ = asked("STS-107", "mission specialist", reply(f"A mission specialist of STS-107 was {names[0]}."))
    assert len(names) == 4
    assert whole.text == f"{listed} [1][2][3][4]"
    assert part.text == f"{composed.text} A mission specialist of STS-107 was {names[0]}. [1]"


def test_a_yes_is_said_before_the_models_words(asked: Any) -> None:
    answer, composed, _ = asked("Apollo 11", "commander", reply("Neil Armstrong commanded Apollo 11."), form="ask")
    assert answer.text == f"{composed.text} Neil Armstrong commanded Apollo 11. [1]"


def test_claims_beyond_what_was_asked_for_are_left_out(asked: Any) -> None:
    many = {"claims": reply("Neil Armstrong commanded Apollo 11.")["claims"] * 6 + reply("Apollo 11.")["claims"]}
    answer, _, _ = asked("Apollo 11", "commander", many)
    assert answer.text == "Neil Armstrong commanded Apollo 11. [1]"


def test_without_facts_the_model_is_not_asked(asked: Any) -> None:
    answer, composed, model = asked("Neil Armstrong", "landing site", form="ask")
    assert answer.text == composed.text
    assert model.conversations == []
