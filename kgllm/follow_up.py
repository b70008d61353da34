"""Follow-ups, read as questions of their own for the embedded planner. English and German.

They narrow down the last answer ("only those after 1970") or vary the last question ("and Apollo 12?").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kgllm.choice import spread
from kgllm.conversation import Conversation, Turn
from kgllm.link import Links, link
from kgllm.ontology import RDF_TYPE
from kgllm.plan import Plan
from kgllm.query import Values, Variable
from kgllm.references import Referents
from kgllm.similarity import Vocabulary
from kgllm.sketch import ANSWER
from kgllm.terms import URIRef, clean
from kgllm.words import bounds, is_function_word, tokenize

__all__ = ["FollowUp", "follow_up", "in_conversation"]

_ONLY = re.compile(
    r"(?:and |und )?(?:only|just|nur)\s+(?:the ones|the|those|these|them|die|diejenigen|jene|solche)\s*,?\s*"
    r"(?:(?:who|that|which|die|der)\s+)?(?P<rest>.+)",
    re.I,
)
_OF_THEM = re.compile(
    r"\b(?P<which>which ones?|which|who|how many|welche[rsn]?|wer|wie ?viele)\s+"
    r"(?:of (?:them|those|these|the (?:two|three|four|five))|davon|von (?:ihnen|diesen|denen))\b",
    re.I,
)
_ONES = re.compile(r"\b(?P<which>which) ones?\b", re.I)
_OF_THOSE_FIRST = re.compile(r"(?:and )?of (?:them|those|these)\s*,\s*(?P<rest>.+)", re.I)
_AND = re.compile(
    r"(?:and|und|what about|how about|and what about|was ist mit|und was ist mit|wie steht es mit)\s+(?P<rest>.+)", re.I
)
_ARTICLES = frozenset("the a an in on at of for with by from der die das dem den im am mit von".split())  # noqa: SIM905
_COUNTS = {"how many", "wie viele", "wieviele"}


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How a question is to be read: the words to plan, and the conversation that its pronouns refer to.

    Its answers are ``among`` these nodes, if it narrows others down. ``unclear`` says why it cannot be read.
    """

    question: str
    earlier: Conversation
    among: tuple[URIRef, ...] = ()
    unclear: str = ""


def follow_up(question: str, conversation: Conversation, vocabulary: Vocabulary) -> FollowUp:
    """A question as it is meant after a conversation; one that stands alone as it is."""
    text = " ".join(question.split())
    bare = text.rstrip(" ?.!")
    match = _ONLY.fullmatch(bare)
    if match is not None and (conversation.turns or re.search(r"\b(?:those|these|ones)\b", bare, re.I)):
        dated = "date " if _is_bound(match["rest"]) else ""
        return _narrowed(question, f"which {{kind}} {dated}{match['rest']}?", conversation, vocabulary)
    if match := _OF_THOSE_FIRST.fullmatch(bare):
        return _narrowed(question, f"{match['rest']}?", conversation, vocabulary)
    match = _OF_THEM.search(text) or _ONES.search(text)
    if match is not None and (conversation.turns or (match.start() == 0 and match.re is _OF_THEM)):
        word = match["which"].lower()
        start = word if word in _COUNTS else "welche" if word.startswith("we") else "which"
        asked = f"{text[: match.start()]}{start} {{kind}}{text[match.end() :]}".replace("  ", " ")
        return _narrowed(question, asked, conversation, vocabulary)
    if conversation.turns and (match := _AND.fullmatch(bare)):
        return _varied(question, match["rest"], conversation, vocabulary)
    return FollowUp(question, conversation)


def in_conversation(plan: Plan, links: Links, among: Sequence[URIRef]) -> Plan | None:
    """A plan for what a follow-up means: answers ``among`` those of before, and of "they" all that it stands for.

    ``None`` if the plan says nothing of the answers of before but what they are.
    """
    query = plan.query
    for mention in links.mentions:
        for nodes in mention.several.values():
            query = spread(query, nodes)
    years = {bound.value for bound in bounds(links.question) if bound.is_year}
    if among:
        if any(c.numeric and str(c.right) in years for c in query.where.comparisons):
            return None  # a year that is compared with a height
        column = query.select[0] if query.select else None
        first = column if isinstance(column, Variable) else column.variable if column is not None else None
        bound = query.where.variables()
        asked = [p for group in query.where.groups() for p in group.patterns if p.predicate != RDF_TYPE]
        if first is None or not (asked or query.where.comparisons):
            return None
        restricted = Values(ANSWER if ANSWER in bound else first, tuple(among))
        query = replace(query, where=replace(query.where, values=(*query.where.values, restricted)))
    return replace(plan, query=query)


def _narrowed(question: str, asked: str, conversation: Conversation, vocabulary: Vocabulary) -> FollowUp:
    """The question put to the answers of the newest turn that has any; ``{kind}`` in it becomes their class."""
    for turn in reversed(conversation.turns):
        if turn.answers:
            if not turn.is_whole:
                return FollowUp(question, conversation, unclear="the answers of before are too many to choose among")
            kind = _kind(turn, conversation, vocabulary)
            text = re.sub(r"\s+", " ", asked.replace("{kind}", kind)).strip()
            return FollowUp(text[:1].upper() + text[1:], conversation, turn.answers)
    return FollowUp(question, conversation, unclear="there is no answer before it to choose among")


def _kind(turn: Turn, conversation: Conversation, vocabulary: Vocabulary) -> str:
    """The narrowest class that all answers of a turn have in common; empty if there is none."""
    referents = Referents(conversation, vocabulary.index)
    ontology = vocabulary.index.ontology
    described = [referents.described[node] for node in turn.answers if node in referents.described]
    shared = frozenset.intersection(*(referents.classes_of(d) for d in described)) if described else frozenset()
    known = [cls for cls in shared if ontology.populated(cls)]
    if not known:
        return ""
    return ontology.label(min(known, key=lambda cls: (len(ontology.subclasses(cls)), ontology.label(cls))))


def _varied(question: str, rest: str, conversation: Conversation, vocabulary: Vocabulary) -> FollowUp:
    """The newest question that has something of its kind, with what follows the "and" in the place of that."""
    words = [token for token in tokenize(rest) if token.is_word]
    while words and words[0].lower in _ARTICLES:
        words = words[1:]
    if not words:
        return FollowUp(question, conversation)
    name = rest[words[0].start : words[-1].end]
    last = follow_up(conversation.turns[-1].question, conversation.before(), vocabulary)
    if (bound := _with_bound(last, rest)) is not None:
        return bound
    named = link(name, vocabulary=vocabulary)
    whole = [m for m in (*named.mentions, *named.spare) if (m.first, m.last) == (0, len(named.tokens))]
    if not whole or all(is_function_word(token.text) for token in words):
        return FollowUp(rest, conversation)  # "and when was it launched?" is a question of its own
    wanted = [c.description for m in whole for c in m.candidates if c.description and c.description.kind == "node"]
    classes = [Referents(conversation, vocabulary.index).classes_of(description) for description in wanted]
    earlier = conversation
    while earlier.turns:
        turn, earlier = earlier.turns[-1], earlier.before()
        before = follow_up(turn.question, earlier, vocabulary)
        links = link(before.question, vocabulary=vocabulary, earlier=before.earlier)
        if not before.unclear and (place := _place_of(classes, links, conversation, vocabulary)) is not None:
            asked = f"{before.question[: place[0]]}{name}{before.question[place[1] :]}"
            return FollowUp(asked, before.earlier, before.among)
    return FollowUp(question, conversation, unclear=f"no question before has anything like “{clean(name)}” in it")


def _place_of(
    kinds: Sequence[frozenset[URIRef]], links: Links, conversation: Conversation, vocabulary: Vocabulary
) -> tuple[int, int] | None:
    """Where a question names something of one of some kinds: the first and the end character."""
    referents = Referents(conversation, vocabulary.index)
    for classes in kinds:
        for mention in sorted(links.mentions, key=lambda m: -m.score):
            topic = mention.candidates[0].description
            if topic is not None and topic.kind == "node" and referents.classes_of(topic) & classes:
                return links.span(mention)
    return None


def _with_bound(before: FollowUp, rest: str) -> FollowUp | None:
    """The last question with another year or number, if that is all that follows the "and"."""
    said = rest if bounds(rest) else f"in {rest}"
    old = bounds(before.question)
    if not _is_bound(said) or len(old) != 1:
        return None
    return replace(before, question=f"{before.question[: old[0].start]}{said}{before.question[old[0].end :]}")


def _is_bound(text: str) -> bool:
    """Whether a text is a condition on a year or a number, and nothing else."""
    found = bounds(text)
    return len(found) == 1 and not (text[: found[0].start] + text[found[0].end :]).strip(" ,")
