"""Verify: whether a graph bears out sentences that somebody else wrote, another model's answer say.

A sentence is read as triples between the nodes, classes, numbers and dates that it names, by properties whose names it
uses; it says one of these readings only if it says nothing else (``kgllm.borne_out``). Then the graph and its ontology
decide: what it states is asserted, what follows is entailed, what an axiom excludes is contradicted. The world is open:
what is merely not stated is unsupported.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice, product
from typing import Any

from kgllm.answer import Verdict, sentence
from kgllm.borne_out import TURNED_ROUND, roots, what_is_not
from kgllm.consistency import contradictions
from kgllm.datatypes import comparable
from kgllm.entailment import Closure, Derivation, close
from kgllm.index import Index
from kgllm.link import Links, Mention, link
from kgllm.lookup import shown
from kgllm.similarity import Vocabulary
from kgllm.terms import Literal, Namespaces, Node, Term, Triple, URIRef, clean, n3, triple_n3
from kgllm.vocabularies import NUMERIC, RDF_TYPE, XSD, is_vocabulary
from kgllm.words import is_negated, stem

__all__ = ["SentenceVerdict", "Verification", "verify"]

_NAMED = 0.4  # score from which a mention is taken to name a node; what it does not name, nothing bears out
_CANDIDATES = 2  # nodes that a mention may name
_READINGS = 8  # ways to take the mentions of a sentence together
_GENERIC = frozenset(["date", "time", "year", "place"])  # stems that what is said of a date or a place leaves out
_MOST_FACTS = 40  # of which evidence is put together
_NAMINGS = 64  # ways to call the properties of some facts
_TOGETHER = 3  # facts that a sentence may say at once
_FACTS = 2_000  # of the nodes a sentence names
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)]*\s+(?=[\"“(]?[A-ZÄÖÜ0-9])")
_NOT = re.compile(r"\b(?:not|never|nicht|nie|niemals)\b|n['’]t\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.,])[-−]?\d[\d,]*(?:\.\d+)?")
_YEAR = re.compile(r"\b[12]\d{3}\b")
_BEST: tuple[Verdict, ...] = ("unsupported", "contradicted", "entailed", "asserted")  # of the readings of one sentence
_WORST: tuple[Verdict, ...] = ("contradicted", "unsupported", "entailed", "asserted")


@dataclass(frozen=True, slots=True)
class SentenceVerdict:
    """A sentence, what the graph says of it, and by which triples; ``reason`` says what is against it or missing."""

    text: str
    verdict: Verdict
    evidence: tuple[Triple, ...] = ()
    steps: tuple[tuple[Triple, Derivation | None], ...] = ()
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As ``kgllm check --claim --json`` prints it."""
        rules = [found.rule for _, found in self.steps if found is not None]
        return {
            "text": self.text,
            "verdict": self.verdict,
            "evidence": [triple_n3(triple) for triple in self.evidence],
            "rule": rules[-1] if rules else None,
            "premises": [triple_n3(triple) for triple, found in self.steps if found is None],
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdicts on the sentences of a text; ``verdict`` is the worst of them."""

    text: str
    claims: tuple[SentenceVerdict, ...]
    labels: Mapping[Node, str] = field(default_factory=dict)
    namespaces: Namespaces = field(default_factory=Namespaces)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict: contradicted, then unsupported, then entailed."""
        return min((claim.verdict for claim in self.claims), key=_WORST.index)

    def to_json(self) -> dict[str, Any]:
        """As ``kgllm check --claim --json`` prints it."""
        claims = [claim.to_json() for claim in self.claims]
        return {"text": self.text, "verdict": self.verdict, "claims": claims}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for claim in self.claims:
            yield f"{claim.verdict}: {clean(claim.text)}"
            if claim.reason:
                yield f"  {clean(claim.reason)}"
            for triple, found in claim.steps or tuple((triple, None) for triple in claim.evidence):
                rule = f"   (by {found.rule})" if found is not None else ""
                yield "  " + "  ".join(shown(part, self.namespaces, self.labels) for part in triple) + rule


def verify(text: str, *, vocabulary: Vocabulary, timeout_s: float = 30) -> Verification:
    """The verdict of the graph on each sentence of a text. Raises what the store raises."""
    index = vocabulary.index
    sentences = [part.strip() for part in _SENTENCE_END.split(" ".join(text.split())) if part.strip()]
    claims = tuple(_Reader(said, vocabulary, timeout_s).verdict() for said in sentences)
    terms = {term for claim in claims for t in [*claim.evidence, *(t for t, _ in claim.steps)] for term in t}
    labels = _labels(index, [term for term in terms if isinstance(term, URIRef)])
    return Verification(text, claims, labels, index.namespaces)


class _Reader:
    """One sentence, what it names, and what the graph says of that."""

    def __init__(self, text: str, vocabulary: Vocabulary, timeout_s: float) -> None:
        self.text = text
        self.is_negated = is_negated(text)
        self.positive = " ".join(_NOT.sub(" ", text).split()) if self.is_negated else text
        self.index: Index = vocabulary.index
        self.ontology = self.index.ontology
        self.timeout_s = timeout_s
        self.links: Links = link(self.positive, vocabulary=vocabulary)
        self.stems = _stems(self.positive)

    def verdict(self) -> SentenceVerdict:
        """What the graph says of the sentence; a denial is contradicted by what it denies, and never borne out."""
        found = self._of_positive()
        if not self.is_negated:
            return found
        if found.verdict in {"asserted", "entailed"}:
            reason = "the graph says what it denies"
            return SentenceVerdict(self.text, "contradicted", found.evidence, found.steps, reason)
        reason = "the graph does not say what it denies, which does not make that false"
        return SentenceVerdict(self.text, "unsupported", reason=reason)

    def _of_positive(self) -> SentenceVerdict:
        named = [m for m in self.links.mentions if m.score >= _NAMED and _nodes(m)]
        if not named:
            return SentenceVerdict(self.text, "unsupported", reason="it names nothing that the graph has")
        readings = list(islice(product(*(_nodes(m)[:_CANDIDATES] for m in named)), _READINGS))
        found = [self._reading(named, nodes) for nodes in readings]
        return max(found, key=lambda claim: _BEST.index(claim.verdict))

    def _reading(self, mentions: Sequence[Mention], nodes: Sequence[URIRef]) -> SentenceVerdict:
        """The verdict if the mentions name these nodes."""
        text, labels = self._with_labels(mentions, nodes)
        closure = self._closure(nodes)
        said = [triple for triple in closure if self._is_said(triple, set(nodes), text)]
        said = sorted(said, key=lambda triple: closure.derivation(triple) is not None)[:_MOST_FACTS]
        for count in range(1, _TOGETHER + 1):
            for facts in combinations(said, count):
                if self._says(text, facts, labels):
                    return self._borne_out(facts, closure)
        return self._against(text, nodes, closure, labels)

    def _with_labels(self, mentions: Sequence[Mention], nodes: Sequence[URIRef]) -> tuple[str, dict[Node, str]]:
        """The sentence with each node by its label, and the labels of all that may be said of them."""
        tokens, text = self.links.tokens, self.positive
        labels = _labels(self.index, nodes)
        for mention, node in sorted(zip(mentions, nodes, strict=True), key=lambda pair: -pair[0].first):
            start, end = tokens[mention.first].start, tokens[mention.last - 1].end
            text = f"{text[:start]}{labels.get(node, text[start:end])}{text[end:]}"
        ontology = self.ontology
        labels |= {iri: ontology.label(iri) for iri in (*ontology.properties, *ontology.classes)}
        return text, labels

    def _closure(self, nodes: Sequence[URIRef]) -> Closure:
        """What the graph states of the nodes, and the classes of what it states, with what follows."""
        values = " ".join(map(n3, dict.fromkeys(nodes)))
        triples: list[Triple] = []
        for query in (
            f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {values} }} ?s ?p ?o }}",
            f"SELECT ?s ?p ?o WHERE {{ VALUES ?o {{ {values} }} VALUES ?s {{ {values} }} ?s ?p ?o }}",
            f"SELECT DISTINCT ?o ?p ?c WHERE {{ VALUES ?s {{ {values} }} ?s ?q ?o . "
            f"BIND({n3(RDF_TYPE)} AS ?p) ?o ?p ?c }}",
        ):
            rows = self.index.store.select(query, timeout_s=self.timeout_s, limit=_FACTS).rows
            triples += rows  # type: ignore[arg-type]  # every variable is bound
        return close(triples, self.ontology.rules, timeout_s=self.timeout_s)

    def _is_said(self, triple: Triple, nodes: set[URIRef], text: str) -> bool:
        """Whether a triple could be among what the sentence says: both its ends stand in it."""
        s, p, o = triple
        if s not in nodes or (is_vocabulary(p) and p != RDF_TYPE):
            return False
        if p == RDF_TYPE:
            return isinstance(o, URIRef) and o in self.ontology.classes and self._has(self.ontology.classes[o].names)
        if isinstance(o, Literal):
            return self._has([str(o)]) or bool(_numbers(text) & {comparable(o)[1]}) or str(o)[:4] in _YEAR.findall(text)
        return o in nodes and s != o

    def _has(self, names: Iterable[str]) -> bool:
        """Whether all words of one of the names stand in the sentence."""
        return any(words <= self.stems for name in names if (words := _stems(name)))

    def _says(self, text: str, facts: Sequence[Triple], labels: Mapping[Node, str]) -> bool:
        """Whether the sentence says these facts and no more, by one of the names that each property has.

        By none of its names may it say them the other way round.
        """
        if len(facts) > 1 and not all(_is_told(fact, text, labels) for fact in facts if fact[1] == RDF_TYPE):
            return False
        said = self._without_units(text, facts)
        missing = []
        for names in islice(product(*(self._names(p) for _, p, _ in facts)), _NAMINGS):
            named: dict[Node, str] = {p: name for (_, p, _), name in zip(facts, names, strict=True)}
            missing.append(what_is_not(said, facts, {**labels, **named}))
        return None in missing and TURNED_ROUND not in missing

    def _names(self, p: URIRef) -> list[str]:
        """The names of a property that the sentence uses, every word of them: who commands is no module's pilot."""
        prop = self.ontology.properties.get(p)
        if prop is None:
            return [self.ontology.label(p)] if p == RDF_TYPE else []
        said = roots([self.positive])
        return [name for name in dict.fromkeys([prop.label, *prop.names]) if roots([name]) - _GENERIC <= said]

    def _without_units(self, text: str, facts: Sequence[Triple]) -> str:
        """The sentence without the units behind its numbers that the description of a property with numbers names."""
        measured = [p for _, p, o in facts if isinstance(o, Literal) and str(o.datatype) in NUMERIC]
        described = [self.ontology.properties[p] for p in measured if p in self.ontology.properties]
        units = {word.casefold() for prop in described for word in re.findall(r"[^\W\d]+", prop.description)}

        def kept(match: re.Match[str]) -> str:
            return match[1] if match[2].casefold() in units else match[0]

        return re.sub(r"(\d)\s*([^\W\d]+)\b", kept, text)

    def _borne_out(self, facts: Sequence[Triple], closure: Closure) -> SentenceVerdict:
        """The verdict on a sentence that says facts which hold."""
        steps = dict(step for fact in facts for step in closure.proof(fact))
        if all(closure.derivation(fact) is None for fact in facts):
            return SentenceVerdict(self.text, "asserted", tuple(facts))
        return SentenceVerdict(self.text, "entailed", tuple(facts), tuple(steps.items()))

    # What is against it

    def _against(
        self, text: str, nodes: Sequence[URIRef], closure: Closure, labels: Mapping[Node, str]
    ) -> SentenceVerdict:
        """The verdict on a sentence that says nothing which holds: whether an axiom excludes what it does say."""
        given = [triple for triple in closure if closure.derivation(triple) is None]
        claimed = next((c for c in self._claimed(text, nodes, closure) if self._says(text, [c], labels)), None)
        if claimed is None:
            reason = "no relation of the graph between what it names says what it says"
            return SentenceVerdict(self.text, "unsupported", reason=reason)
        before = {(v.focus, v.path, v.constraint) for v in contradictions(closure, self.ontology)}
        whole = close([*given, claimed], self.ontology.rules, timeout_s=self.timeout_s)
        for found in contradictions(whole, self.ontology):
            is_one_value = found.constraint in {"functional", "maxCardinality"}
            is_new = (found.focus, found.path, found.constraint) not in before
            if is_new and (found.severity == "Violation" or is_one_value):
                evidence = self._excluding(claimed, closure)
                told = " ".join(self._told(triple, labels) for triple in evidence[:1])
                return SentenceVerdict(self.text, "contradicted", evidence, (), f"{told} {found.message}".strip())
        reason = f"the graph does not say, nor does it follow: {sentence(claimed, labels)}"
        return SentenceVerdict(self.text, "unsupported", reason=reason)

    def _told(self, triple: Triple, labels: Mapping[Node, str]) -> str:
        own = _labels(self.index, [part for part in triple if isinstance(part, URIRef)])
        return sentence(triple, {**labels, **own})

    def _excluding(self, claimed: Triple, closure: Closure) -> tuple[Triple, ...]:
        """What the graph states that a claim does not go together with: its own value, or the classes of its ends."""
        s, p, o = claimed
        own = [(s, p, value) for value in closure.objects(s, p) if value != o] if p != RDF_TYPE else []
        ends = [end for end in (s, o) if isinstance(end, URIRef)]
        types = [
            (e, RDF_TYPE, c) for e in ends for c in closure.types(e) if closure.derivation((e, RDF_TYPE, c)) is None
        ]
        return tuple(own) or tuple(types)

    def _claimed(self, text: str, nodes: Sequence[URIRef], closure: Closure) -> Iterator[Triple]:
        """Triples that do not hold and that the sentence could mean: between what it names, by what it calls it."""
        properties = [p for p in self.ontology.properties.values() if not is_vocabulary(p.iri) and self._names(p.iri)]
        for cls in self.ontology.classes.values():
            if self._has(cls.names):
                yield from ((node, RDF_TYPE, cls.iri) for node in nodes)
        for prop in properties:
            for s in dict.fromkeys(nodes):
                yield from ((s, prop.iri, o) for o in dict.fromkeys(nodes) if o != s)
                for value in closure.objects(s, prop.iri):
                    if isinstance(value, Literal):
                        yield from ((s, prop.iri, other) for other in _others(value, text))


def _is_told(fact: Triple, text: str, labels: Mapping[Node, str]) -> bool:
    """Whether a sentence says of a node that it is of a class, and does not merely use the words of both."""
    node, cls = (re.escape(labels.get(part, "\0")) for part in (fact[0], fact[2]))
    is_a = r"\W+(?:is|was|ist|war)\W+(?:an?|the|eine?|der|die|das)\W+"
    return re.search(rf"(?<!\w)(?:{node}{is_a}(?:\w+\W+)?{cls}|{cls}\W+{node})(?!\w)", text, re.IGNORECASE) is not None


def _labels(index: Index, terms: Iterable[URIRef]) -> dict[Node, str]:
    return dict(index.labels(terms).items())


def _nodes(mention: Mention) -> list[URIRef]:
    """The nodes that a mention may name, those much less likely than the best left out."""
    return [
        c.description.iri
        for c in mention.candidates
        if c.description is not None and c.description.kind == "node" and c.score >= mention.score - 0.15
    ]


def _stems(text: str) -> set[str]:
    return {stem(word) for word in re.findall(r"\w+", text)}


def _numbers(text: str) -> set[object]:
    """The values of the numbers in a text."""
    return {comparable(Literal(number, datatype=URIRef(XSD + "decimal")))[1] for number in _written_numbers(text)}


def _written_numbers(text: str) -> list[str]:
    """The numbers in a text as a literal writes them."""
    return [number.replace(",", "").replace("−", "-") for number in _NUMBER.findall(text)]


def _others(value: Literal, text: str) -> Iterator[Term]:
    """Literals like one of the graph, with the numbers, years and dates of a sentence instead of its own."""
    if str(value.datatype) in NUMERIC:
        for number in _written_numbers(text):
            yield Literal(number, datatype=value.datatype, normalize=False)
    for year in _YEAR.findall(text) if re.match(r"\d{4}", str(value)) else ():
        if year != str(value)[:4]:
            yield Literal(year + str(value)[4:], datatype=value.datatype, normalize=False)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(value)):
        days = [int(day) for day in re.findall(r"\b\d{1,2}\b", text)]
        for year, month, day in product(_YEAR.findall(text), range(1, 13), days):
            written = f"{year}-{month:02}-{day:02}"
            if written != str(value) and 1 <= day <= monthrange(int(year), month)[1]:
                yield Literal(written, datatype=value.datatype, normalize=False)
