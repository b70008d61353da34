"""Link: tie the words of a question to the nodes and values of the graph that they name.

A mention is a stretch of the question with the candidates it may name. Names are matched exactly after normalisation,
longest first; where a capitalised stretch matches nothing, by similarity. The overlap of mentions is resolved by
weighted interval scheduling (Kleinberg and Tardos, Algorithm Design, 6.1).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log

import numpy as np

from kgllm.conversation import Conversation
from kgllm.descriptions import Description, Value, is_name_like
from kgllm.index import Index
from kgllm.names import WITHOUT_NOTE, NameMatch, normalise
from kgllm.protocols import Hit
from kgllm.references import Reference, references
from kgllm.similarity import Vocabulary
from kgllm.terms import Literal, URIRef
from kgllm.words import Token, bounds, is_function_word, looks_like_description, tokenize, word_pairs

__all__ = ["SURE", "Candidate", "Links", "Mention", "link"]

_LONGEST_NAME = 14  # tokens
_FUZZY_CUT = 0.86  # similarity below which a name with typos is taken for another name
_CANDIDATES = 6
SURE = 0.6  # score from which a mention names something
_REFERRED = 0.85  # score of the likeliest node that a word refers back to
_SCHEMA_LIKE = 0.5  # similarity to a class or property from which a word alone is taken to mean that, and no node
_OF_PROPERTY, _MEANT, _CLEARLY = 0.7, 0.6, 0.1
"""Of a word that means a value: its likeness to the property, its cosine with the value, and how much greater that is
than with any other value."""
_EDGES = frozenset(".,;:?!'\"()[]{}«»“”„‘’…–—-") | {"'s", "’s"}
"""Marks at which no name of several tokens begins or ends."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a mention may name: a node, class or property (``description``), or a literal (``value``)."""

    score: float  # in [0, 1], higher is better
    description: Description | None = None
    value: Value | None = None

    @property
    def kind(self) -> str:
        """node, class, property or value."""
        return self.description.kind if self.description else "value"

    def term(self) -> URIRef | Literal:
        """What it names."""
        if self.description is not None:
            return self.description.iri
        assert self.value is not None  # noqa: S101 - it is one or the other
        return self.value.literal


@dataclass(frozen=True, slots=True)
class Mention:
    """A stretch of the question, by tokens (``first`` to before ``last``), and its candidates, best first.

    A word that refers back to several nodes at once ("they") has the first of them as its candidate; ``several`` has
    all of them, by the first.
    """

    text: str
    first: int
    last: int
    candidates: tuple[Candidate, ...]
    several: Mapping[URIRef, tuple[URIRef, ...]] = field(default_factory=dict, hash=False)

    @property
    def score(self) -> float:
        """That of its best candidate."""
        return self.candidates[0].score

    def overlaps(self, other: Mention) -> bool:
        """Whether both claim a token."""
        return self.first < other.last and other.first < self.last


@dataclass(frozen=True, slots=True)
class Links:
    """The question in tokens, and its mentions in order of place. ``spare`` are mentions that lost to others.

    ``unclear`` says which word refers back to nothing, or to one of several; it is empty where none does.
    """

    question: str
    tokens: tuple[Token, ...]
    mentions: tuple[Mention, ...]
    spare: tuple[Mention, ...] = ()
    unclear: str = ""

    def named(self) -> list[Mention]:
        """The mentions that surely name a node or a value."""
        return [m for m in self.mentions if m.score >= SURE and m.candidates[0].kind in {"node", "value"}]

    def span(self, mention: Mention) -> tuple[int, int]:
        """Where a mention begins and ends in the question, in characters."""
        return self.tokens[mention.first].start, self.tokens[mention.last - 1].end

    def around_names(self) -> str:
        """The words outside the names of several words that the question surely has."""
        inside = {place for mention in self._long_names() for place in range(mention.first, mention.last)}
        return " ".join(token.text for place, token in enumerate(self.tokens) if place not in inside)

    def with_blank_names(self) -> str:
        """The question with blanks in the place of the names of several words that it surely has."""
        text = self.question
        for mention in self._long_names():
            start, end = self.span(mention)
            text = text[:start] + " " * (end - start) + text[end:]
        return text

    def _long_names(self) -> list[Mention]:
        return [m for m in self.mentions if m.score >= SURE and m.last - m.first > 1]

    def without(self, first: int, last: int) -> Links:
        """The links without some tokens and what they mention; the tokens are blank in the question."""
        start, end = self.tokens[first].start, self.tokens[last - 1].end

        def kept(mentions: tuple[Mention, ...]) -> tuple[Mention, ...]:
            moved = [
                m if m.last <= first else replace(m, first=m.first - last + first, last=m.last - last + first)
                for m in mentions
                if m.last <= first or m.first >= last
            ]
            return tuple(moved)

        return replace(
            self,
            question=self.question[:start] + " " * (end - start) + self.question[end:],
            tokens=self.tokens[:first] + self.tokens[last:],
            mentions=kept(self.mentions),
            spare=kept(self.spare),
        )

    def hits(self) -> list[Hit]:
        """Every link of a mention to a node, class or property, as a hit."""
        return [
            Hit(
                candidate.description.iri,
                candidate.score,
                candidate.description.kind,
                m.text,
                candidate.description.text,
            )
            for m in self.mentions
            for candidate in m.candidates[:1]
            if candidate.description is not None
        ]


_NOTHING_EARLIER = Conversation()


class _SchemaLike:
    """Which words of a question mean a class or relation rather than a node."""

    def __init__(self, words: Sequence[Token], vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._rows = dict(zip(words, vocabulary.compare(words, {}).matrix, strict=True))

    def are(self, tokens: Sequence[Token], *, of: URIRef | None) -> bool:
        """Whether all words that say something do; a value is no less one ``of`` a property for being like its name."""
        content = [t for t in tokens if t.is_word and not is_function_word(t.text)]
        return all(self._fit(t, of) >= _SCHEMA_LIKE and not (t.text[0].isupper() and t.start) for t in content)

    def is_of(self, token: Token, prop: URIRef) -> bool:
        """Whether a word is like the name of a property, and no part of it."""
        column = self._vocabulary.columns.get(prop)
        is_like = column is not None and self._rows[token][column] >= _OF_PROPERTY
        return column is not None and is_like and not self._vocabulary.is_in_name(token.lower, column)

    def _fit(self, token: Token, of: URIRef | None) -> float:
        row = self._rows[token]
        if token.text.isdecimal():  # the embedder likens one year to "year", another to something else
            return 0.0
        column = self._vocabulary.columns.get(of) if of is not None else None
        if column is not None and not self._vocabulary.is_in_name(token.lower, column):
            row = np.delete(row, column)
        return float(row.max(initial=0.0))


def link(question: str, *, vocabulary: Vocabulary, earlier: Conversation = _NOTHING_EARLIER) -> Links:
    """The mentions of a question; words such as "he" and "there" mention nodes of the conversation before it.

    >>> link("Who commanded Apollo 11?", vocabulary=vocabulary).mentions[0].text  # doctest: +SKIP
    'Apollo 11'
    """
    index = vocabulary.index
    tokens = tokenize(question)
    words = [token for token in tokens if token.is_word]
    index.phrase_vectors([*(w.lower for w in words), *(p for _, p in word_pairs(tokens))])  # all in one run
    schema_like = _SchemaLike(words, vocabulary)
    found = _exact_mentions(question, tokens, index, schema_like)
    chosen = _best_cover(found)
    if fuzzy := _fuzzy_mentions(question, tokens, chosen, index):
        chosen = _best_cover([*chosen, *fuzzy])
    chosen = [m for m in chosen if not _is_of_another_number(m, tokens, chosen, index)]
    compared = [(b.start, b.end) for b in bounds(question) if b.operator != "="]
    chosen = [m for m in chosen if not _is_compared(m, tokens, compared)]
    chosen = sorted([*chosen, *_meant_values(tokens, chosen, schema_like, index)], key=lambda m: m.first)
    is_alone = not earlier.turns and looks_like_description(question)
    referring = [] if is_alone else _references(tokens, chosen, earlier, index)
    if clear := [_mention(question, tokens, reference) for reference in referring if reference.candidates]:
        chosen = sorted([*(m for m in chosen if not any(m.overlaps(c) for c in clear)), *clear], key=lambda m: m.first)
    spare = tuple(m for m in sorted(found, key=lambda m: -m.score) if m not in chosen)[:8]
    unclear = next((reference.unclear for reference in referring if reference.unclear), "")
    return Links(question, tuple(tokens), tuple(chosen), spare, unclear)


def _references(
    tokens: Sequence[Token], chosen: Sequence[Mention], earlier: Conversation, index: Index
) -> list[Reference]:
    """The words that refer back, those left out that are a name, as the film "It" is when it is written so."""
    nodes = [m for m in chosen if m.candidates[0].kind == "node"]
    named = [
        (m.first, m.last, description)
        for m in nodes
        if m.score >= SURE and (description := m.candidates[0].description) is not None
    ]
    is_name = {place for m in nodes if m.last - m.first > 1 for place in range(m.first, m.last)}
    is_name |= {place for place, token in enumerate(tokens) if place and token.text[0].isupper()}
    return [r for r in references(tokens, named, earlier, index) if r.first not in is_name]


def _mention(question: str, tokens: Sequence[Token], reference: Reference) -> Mention:
    text = question[tokens[reference.first].start : tokens[reference.last - 1].end]
    candidates = tuple(
        Candidate(_REFERRED - 0.05 * place, nodes[0]) for place, nodes in enumerate(reference.candidates)
    )
    several = {nodes[0].iri: tuple(node.iri for node in nodes) for nodes in reference.candidates if len(nodes) > 1}
    return Mention(text, reference.first, reference.last, candidates, several)


def _exact_mentions(question: str, tokens: Sequence[Token], index: Index, schema_like: _SchemaLike) -> list[Mention]:
    spans: dict[tuple[int, int], str] = {}
    for first in range(len(tokens)):
        for last in range(first + 1, min(len(tokens), first + _LONGEST_NAME) + 1):
            if last - first > 1 and not _is_stretch([token.text for token in tokens[first:last]]):
                continue
            normal = normalise(question[tokens[first].start : tokens[last - 1].end])
            if normal:
                spans[first, last] = normal
    variants = {normal: _forms(normal) for normal in set(spans.values())}
    matches = index.names.exact(list({form for forms in variants.values() for form in forms}), shortened=True)
    mentions = []
    for (first, last), normal in spans.items():
        same = [(match, form == normal) for form in variants[normal] for match in matches.get(form, ())]
        if not same:
            continue
        text = question[tokens[first].start : tokens[last - 1].end]
        candidates = _candidates(text, tokens[first:last], same, index, question, schema_like)
        if candidates:
            mentions.append(Mention(text, first, last, candidates))
    return mentions


def _is_stretch(texts: Sequence[str]) -> bool:
    """Whether no mark stands at an edge of several tokens, unless it closes a bracket that opened among them."""
    closes = texts[-1] == ")" and "(" in texts[1:-1]
    return texts[0] not in _EDGES and (closes or texts[-1] not in _EDGES)


def _forms(normal: str) -> list[str]:
    """A normalised span and its singular, for "Sensor Switches"."""
    forms = [normal]
    last = normal.rsplit(" ", 1)[-1]
    head = normal[: len(normal) - len(last)]
    if len(last) > 3 and last.endswith("s") and not last.endswith("ss"):
        forms.append(head + last[:-1])
        if last.endswith("ies"):
            forms.append(head + last[:-3] + "y")
        elif last.endswith("es"):
            forms.append(head + last[:-2])
    return forms


def _candidates(
    text: str,
    tokens: Sequence[Token],
    matches: Sequence[tuple[NameMatch, bool]],
    index: Index,
    question: str,
    schema_like: _SchemaLike,
) -> tuple[Candidate, ...]:
    rows = [match.row for match, _ in matches]
    descriptions = index.descriptions([row for row in rows if row < index.value_offset])
    values = index.values([row for row in rows if row >= index.value_offset])
    best: dict[int, Candidate] = {}
    for match, is_same in matches:
        description, value = descriptions.get(match.row), values.get(match.row)
        if description is None and value is None:
            continue
        popularity = description.popularity if description else value.count if value else 0
        prop = value.property if value is not None else None
        is_schema = schema_like.are(tokens, of=prop)
        score = _score(text, tokens, match.name, popularity, is_same=is_same, is_schema=is_schema)
        if description is None:
            score *= 0.9  # a node of that name says more than a string
        if description is not None and description.kind != "node":
            score *= 0.8
        if match.is_short:
            score *= WITHOUT_NOTE
        if not question.islower() and text[:1].islower() and match.name[:1].isupper():
            score *= 0.55
        known = best.get(match.row)
        if known is None or score > known.score:
            best[match.row] = Candidate(min(1.0, score), description, value)
    found = list(best.values())
    if any(c.kind == "node" for c in found):  # the node itself rather than any node that has the name as a value
        found = [c for c in found if c.value is None or not is_name_like(c.value.property)]
    return tuple(sorted(found, key=lambda c: -c.score)[:_CANDIDATES])


def _score(
    text: str,
    tokens: Sequence[Token],
    name: str,
    popularity: float,
    *,
    is_same: bool,
    is_schema: bool,
) -> float:
    words = [t for t in tokens if t.is_word]
    content = [t for t in words if not is_function_word(t.text)]
    if not words:
        score = 0.5 if len(text) > 1 else 0.2
    elif not content:
        score = 0.12 if len(words) < 3 else 0.5
    elif is_schema:
        score = 0.3
    else:
        score = 0.8
    score += min(0.12, 0.03 * len(words)) if content else 0
    if text == name:
        score += 0.06
    if not is_same:
        score -= 0.08
    if len(text) == 1:
        score *= 0.3
    return max(0.01, score + 0.02 * min(1.0, log(1 + popularity) / 10))


def _best_cover(mentions: Sequence[Mention]) -> list[Mention]:
    """The mentions of greatest total weight that share no token, in order of place."""
    ordered = sorted(mentions, key=lambda m: (m.last, m.first))
    best: list[tuple[float, list[Mention]]] = [(0.0, [])]
    for number, mention in enumerate(ordered):
        before = 0
        for earlier in range(number, 0, -1):
            if ordered[earlier - 1].last <= mention.first:
                before = earlier
                break
        weight = best[before][0] + _weight(mention)
        best.append(max(best[number], (weight, [*best[before][1], mention]), key=lambda option: option[0]))
    return best[-1][1]


def _weight(mention: Mention) -> float:
    """Longer mentions outweigh the shorter ones inside them; weak ones are not worth a token."""
    return float((mention.score - 0.3) * (mention.last - mention.first) ** 1.5)


def _fuzzy_mentions(question: str, tokens: Sequence[Token], chosen: Sequence[Mention], index: Index) -> list[Mention]:
    """Mentions with typos: stretches that look like a name and that no name equals."""
    taken = {place for mention in chosen for place in range(mention.first, mention.last)}
    stretches = _name_like(tokens, taken)
    mentions = []
    for first, last in stretches:
        text = question[tokens[first].start : tokens[last - 1].end]
        similar = index.names.similar(text, k=_CANDIDATES)
        matches = [m for m in similar if m.score >= _FUZZY_CUT and _numbers(m.name) == _numbers(text)]
        descriptions = index.descriptions([m.row for m in matches if m.row < index.value_offset])
        candidates = tuple(
            Candidate(match.score * 0.8, descriptions[match.row])
            for match in matches
            if match.row in descriptions and descriptions[match.row].kind == "node"
        )
        if candidates:
            mentions.append(Mention(text, first, last, candidates))
    return mentions


def _meant_values(
    tokens: Sequence[Token], chosen: Sequence[Mention], schema_like: _SchemaLike, index: Index
) -> Iterator[Mention]:
    """Words that mean one of the few values of a property without being it, as "women" means the gender "female"."""
    taken = {place for mention in chosen for place in range(mention.first, mention.last)}
    by_property: dict[URIRef, list[Value]] = defaultdict(list)
    for value in index.enumerated:
        by_property[value.property].append(value)
    for place, token in enumerate(tokens):
        if place in taken or not token.text.isalpha() or is_function_word(token.text):
            continue
        found: list[tuple[float, Value]] = []
        for prop, values in by_property.items():
            if len(values) > 1 and schema_like.is_of(token, prop):
                vectors = index.phrase_vectors([token.lower, *(str(value.literal).lower() for value in values)])
                cosines = vectors[1:] @ vectors[0]
                second, best = np.sort(cosines)[-2:]  # of a value spelt in two ways neither stands for both
                if best >= _MEANT and best - second >= _CLEARLY:
                    found.append((float(best), values[int(cosines.argmax())]))
        if found:
            best_of_all, meant = max(found, key=lambda pair: pair[0])
            yield Mention(token.text, place, place + 1, (Candidate(best_of_all, value=meant),))


def _numbers(text: str) -> list[int]:
    """The numbers in a name, which nobody mistypes into another's: Apollo 21 is not Apollo 12."""
    return [int(digits) for digits in re.findall(r"[0-9]+", text)]


def _is_of_another_number(mention: Mention, tokens: Sequence[Token], chosen: Sequence[Mention], index: Index) -> bool:
    """Whether a number behind a name makes it one of a series that the graph has without this number: "Soyuz 77".

    What may be a year counts only in a series of years.
    """
    behind = tokens[mention.last : mention.last + 1]
    if not behind or not behind[0].text.isdecimal() or any(m.first <= mention.last < m.last for m in chosen):
        return False
    digits = "[0-9]{4,}" if len(behind[0].text) >= 4 else "[0-9]{1,3}"
    one_of_them = re.compile(f"{re.escape(normalise(mention.text))} {digits}")
    numbered = index.names.similar(f"{mention.text} {behind[0].text}", k=_CANDIDATES)
    return any(one_of_them.fullmatch(normalise(match.name)) for match in numbered)


def _is_compared(mention: Mention, tokens: Sequence[Token], compared: Sequence[tuple[int, int]]) -> bool:
    """Whether it is only compared with: "after 1950" names nothing that is called 1950, "how famous" asks for fame."""
    first, last = tokens[mention.first].start, tokens[mention.last - 1].end
    is_value = mention.candidates[0].value is not None
    is_asked = is_value and mention.first > 0 and tokens[mention.first - 1].lower == "how"
    is_number = is_value or (mention.last - mention.first == 1 and tokens[mention.first].text.isdecimal())
    return is_asked or (is_number and any(s <= first and last <= e for s, e in compared))


def _name_like(tokens: Sequence[Token], taken: set[int]) -> list[tuple[int, int]]:
    """Runs of capitalised or code-like words outside the mentions found, the first word of the question left out."""
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for place, token in enumerate([*tokens, None]):
        is_part = (
            token is not None
            and place not in taken
            and token.is_word
            and (token.text[0].isupper() or any(c.isdigit() for c in token.text))
            and not (place == 0 and is_function_word(token.text))
        )
        if is_part and start is None:
            start = place
        if not is_part and start is not None:
            runs.append((start, place))
            start = None
    return [(first, last) for first, last in runs if sum(len(t.text) for t in tokens[first:last]) >= 4]
