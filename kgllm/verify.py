"""Verify: whether a graph bears out sentences that somebody else wrote, another model's answer say.

A sentence is read whole, as statements about the nodes, dates and numbers that it names, by the names that the ontology
gives its properties and classes (``kgllm.claims``). Then the graph and its ontology decide: what it states is asserted,
what follows is entailed, what an axiom excludes is contradicted. The world is open: what is merely not stated is
unsupported, and so is a sentence that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any, TypeAlias

from kgllm import quantities
from kgllm.answer import Verdict, sentence
from kgllm.claims.nouns import nouns
from kgllm.claims.sentences import Noun, Statement, readings
from kgllm.claims.splitting import split
from kgllm.claims.wordings import BE, HAVE, PREPOSITIONS, Wordings
from kgllm.consistency import contradictions
from kgllm.entailment import Closure, Derivation, close
from kgllm.index import Index
from kgllm.lookup import shown
from kgllm.names import normalise
from kgllm.owl_rules import Rules
from kgllm.similarity import Vocabulary
from kgllm.terms import Literal, Namespaces, Node, Term, Triple, URIRef, clean, n3, triple_n3
from kgllm.vocabularies import RDF_TYPE
from kgllm.words import is_function_word, tokenize

__all__ = ["SentenceVerdict", "Verification", "verify"]

_LONGEST = 80  # tokens of a sentence that is read
_FACTS = 5_000  # of the nodes that a sentence names, in each direction
_MOST_DERIVED = 50_000
_OPTIONS = 24  # triples that a statement may mean, beyond which nothing is said to contradict it
_NOT_CUT = re.compile(r"\b(do|does|did|is|are|was|were|has|have|had)n['’]t\b", re.IGNORECASE)
_CITED = re.compile(r"\s*(?:\[[0-9]+\])+…?")
_ONE_VALUE = frozenset(["functional", "maxCardinality"])  # two nodes may yet be one, but that is not what is claimed
_Option: TypeAlias = tuple[URIRef, URIRef, URIRef | Noun]
"""A triple that a statement may mean; a value is given by the noun that writes it."""
_Against: TypeAlias = tuple[tuple[Triple, ...], str, bool]
"""The evidence against a triple, the reason in words, and whether it is one for sure."""
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
    wordings, rules = vocabulary.wordings, index.ontology.rules.without_guesses
    claims: list[SentenceVerdict] = []
    earlier: tuple[URIRef, ...] = ()
    for said in split(text, index):
        claim = _Sentence(said, index, wordings, rules, earlier, timeout_s)
        claims.append(claim.verdict())
        earlier = claim.nodes or earlier
    terms = {term for claim in claims for t in [*claim.evidence, *(t for t, _ in claim.steps)] for term in t}
    labels = _labels(index, terms)
    return Verification(text, tuple(claims), labels, index.namespaces)


class _Sentence:
    """One sentence, what it names, and what the graph says of that."""

    def __init__(
        self, text: str, index: Index, wordings: Wordings, rules: Rules, earlier: Sequence[URIRef], timeout_s: float
    ) -> None:
        self.text = text
        self.index = index
        self.ontology = index.ontology
        self.wordings = wordings
        self.rules = rules
        self.timeout_s = timeout_s
        self.plain = _NOT_CUT.sub(r"\1 not", _CITED.sub("", text))
        self.tokens = tokenize(self.plain)
        self.nouns: dict[int, list[Noun]] = {}
        if len(self.tokens) <= _LONGEST:
            for noun in nouns(self.plain, self.tokens, index, earlier):
                self.nouns.setdefault(noun.first, []).append(noun)

    @property
    def nodes(self) -> tuple[URIRef, ...]:
        """All that it may name."""
        return tuple(dict.fromkeys(node for nouns in self.nouns.values() for noun in nouns for node in noun.nodes))

    def verdict(self) -> SentenceVerdict:
        """What the graph says of the sentence, by that way to read it which it bears out best.

        It is contradicted where every way to read it is.
        """
        if self.plain.rstrip().endswith("?"):
            return self._unsupported("a question claims nothing")
        if len(self.tokens) > _LONGEST:
            return self._unsupported("it is too long to be one claim")
        if not self.nodes:
            return self._unsupported("it names nothing that the graph has")
        found = [self._of_reading(said) for said in readings([t.text for t in self.tokens], self.nouns, self.wordings)]
        for verdict in ("asserted", "entailed"):
            if borne_out := next((claim for claim in found if claim.verdict == verdict), None):
                return borne_out
        open_ones = [claim for claim in found if claim.verdict == "unsupported"]
        return (open_ones or found or [self._unsupported(self._not_read())])[0]

    def _unsupported(self, reason: str) -> SentenceVerdict:
        return SentenceVerdict(self.text, "unsupported", reason=reason)

    def _not_read(self) -> str:
        """Which of its words nothing in the graph answers to; or that they do not go together."""
        named = {place for nouns in self.nouns.values() for noun in nouns for place in range(noun.first, noun.last)}
        words = [
            token.text
            for place, token in enumerate(self.tokens)
            if place not in named
            and token.is_word
            and token.lower not in BE | HAVE | PREPOSITIONS
            and (not is_function_word(token.text) or token.lower in {"only", "all", "every", "no", "some", "any"})
            and not self.wordings.knows(token.text)
        ]
        if words:
            return f"the graph has no word for {', '.join(f'“{word}”' for word in dict.fromkeys(words))}"
        return "no relation of the graph is said by these words between what it names"

    # What the graph says of that

    @cached_property
    def facts(self) -> tuple[Triple, ...]:
        """What the graph states of the nodes: all that begins at them, and what ends there by a relation it may mean.

        Of transitive relations and of chains also what lies further on.
        """
        rules = self.rules
        nodes = " ".join(map(n3, self.nodes))
        meant = self._with_relatives(self.wordings.properties_with([token.text for token in self.tokens]))
        by = " ".join(map(n3, sorted(meant)))
        queries = [
            f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {nodes} }} ?s ?p ?o }}",
            f"SELECT ?s ?p ?o WHERE {{ VALUES ?o {{ {nodes} }} VALUES ?s {{ {nodes} }} ?s ?p ?o }}",
            f"SELECT ?s ?p ?o WHERE {{ VALUES ?o {{ {nodes} }} VALUES ?p {{ {by} }} ?s ?p ?o }}",
        ]
        for p in sorted(meant & rules.of_kind("TransitiveProperty").keys()):
            queries.append(
                f"SELECT ?s ({n3(p)} AS ?p) ?o WHERE {{ VALUES ?a {{ {nodes} }} ?a {n3(p)}* ?s . ?s {n3(p)} ?o }}"
            )
        for steps in {steps for chains in rules.chains.values() for whole, steps, _, _ in chains if whole in meant}:
            for place, step in enumerate(steps[1:], start=1):
                way, last = "/".join(map(n3, steps[:place])), n3(step)
                queries.append(
                    f"SELECT ?s ({last} AS ?p) ?o WHERE {{ VALUES ?a {{ {nodes} }} ?a {way} ?s . ?s {last} ?o }}"
                )
        found: dict[Triple, None] = {}
        for query in queries:
            rows = self.index.store.select(query, timeout_s=self.timeout_s, limit=_FACTS)
            found.update(dict.fromkeys(rows.rows))  # type: ignore[arg-type]  # every variable is bound
        return tuple(found)

    def _with_relatives(self, properties: set[URIRef]) -> set[URIRef]:
        """Some properties and those whose triples make triples of them: narrower ones and inverses."""
        seen, waiting = set(properties), list(properties)
        while waiting:
            p = waiting.pop()
            known = self.ontology.properties.get(p)
            for q in (*self.ontology.subproperties(p), *(known.inverses if known else ())):
                if q not in seen:
                    seen.add(q)
                    waiting.append(q)
        return seen

    @cached_property
    def closure(self) -> Closure:
        """The facts and what follows from them."""
        return close(self.facts, self.rules, timeout_s=self.timeout_s, most=_MOST_DERIVED)

    @cached_property
    def _before(self) -> set[object]:
        """What is wrong with the facts themselves."""
        return {(v.focus, v.path, v.constraint) for v in contradictions(self.closure, self.ontology)}

    # The verdict on one way to read it

    def _of_reading(self, said: Sequence[Statement]) -> SentenceVerdict:
        judged = [self._of_statement(statement) for statement in said]
        worst = min(judged, key=lambda claim: _WORST.index(claim.verdict))
        if worst.verdict in {"contradicted", "unsupported"}:
            return worst
        evidence = tuple(dict.fromkeys(triple for claim in judged for triple in claim.evidence))
        steps = tuple(dict(step for claim in judged for step in claim.steps).items())
        if worst.verdict == "entailed":
            steps = tuple(dict(step for triple in evidence for step in self.closure.proof(triple)).items()) or steps
        return SentenceVerdict(self.text, worst.verdict, evidence, steps, worst.reason)

    def _of_statement(self, statement: Statement) -> SentenceVerdict:
        held = sorted(self._held(statement), key=lambda evidence: any(map(self.closure.derivation, evidence)))
        if held and statement.is_negated:
            steps = self._steps(held[0])
            return SentenceVerdict(self.text, "contradicted", held[0], steps, "the graph says what it denies")
        if held:
            steps = self._steps(held[0])
            return SentenceVerdict(self.text, "entailed" if steps else "asserted", held[0], steps)
        options = list(self._options(statement))
        is_vague = self.wordings.is_vague(statement.words)
        against = [self._against(option, is_vague=is_vague) for option in options[:_OPTIONS]]
        found = [each for each in against if each is not None]
        if found and len(found) == len(options):
            evidence, reason, _ = found[0]
            if not statement.is_negated:
                return SentenceVerdict(self.text, "contradicted", evidence, (), reason)
            if all(sure for _, _, sure in found):
                return SentenceVerdict(self.text, "entailed", evidence, (), reason)
        if statement.is_negated:
            return self._unsupported("the graph does not say what it denies, which does not make that false")
        return self._unsupported(self._missing(statement, options))

    def _steps(self, evidence: Sequence[Triple]) -> tuple[tuple[Triple, Derivation | None], ...]:
        """The steps to some triples if any of them took one."""
        if all(self.closure.derivation(triple) is None for triple in evidence):
            return ()
        return tuple(dict(step for triple in evidence for step in self.closure.proof(triple)).items())

    def _held(self, statement: Statement) -> Iterator[tuple[Triple, ...]]:
        """The evidence of each way in which a statement holds."""
        closure = self.closure
        if statement.form == "count":
            for p, s in product(self._counted(statement), statement.left.nodes):
                values = closure.objects(s, p)
                if _is_count(statement.right, len(values)) and len(self.facts) < _FACTS:
                    yield tuple((s, p, value) for value in values)
            return
        for s, p, end in self._options(statement):
            values = closure.objects(s, p)
            if statement.is_one_event and len(values) > 1:
                continue
            if isinstance(end, URIRef):
                if end in values:
                    yield ((s, p, end),)
            else:
                yield from (((s, p, value),) for value in values if self._agrees(value, p, end))

    def _counted(self, statement: Statement) -> list[URIRef]:
        return sorted(m.property for m in self.wordings.meanings("noun", statement.words))

    def _options(self, statement: Statement) -> Iterator[_Option]:
        """The triples that a statement may mean."""
        left, right = statement.left, statement.right
        if statement.form == "class":
            yield from ((s, RDF_TYPE, cls) for s, cls in product(left.nodes, self.wordings.classes(statement.words)))
        if statement.form == "class" or statement.form == "count" or right is None:
            return
        for meaning in sorted(self.wordings.meanings(statement.form, statement.words), key=str):
            subject, end = (right, left) if meaning.is_turned else (left, right)
            if (meaning.needs == "date" and end.date is None) or (meaning.needs == "node" and not end.nodes):
                continue
            yield from (
                (s, meaning.property, o) for s, o in product(subject.nodes, end.nodes) if s != o or left != right
            )
            if self._has_values(meaning.property):
                yield from ((s, meaning.property, end) for s in subject.nodes)

    def _has_values(self, p: URIRef) -> bool:
        known = self.ontology.properties.get(p)
        return known is not None and any(signature.literal for signature in known.signatures)

    def _agrees(self, value: Term, p: URIRef, noun: Noun) -> bool | None:
        """Whether a literal is what a noun writes; ``None`` if one of them says too little to tell."""
        if not isinstance(value, Literal):
            return False
        date, number = quantities.of_literal(value)
        if noun.date is not None and date is not None and (number is None or noun.number is None):
            return noun.date.agrees(date)
        if noun.number is not None and number is not None:
            return noun.number.agrees(number, self._units(p))
        if any(character.isdigit() for character in str(value)):
            return str(value).casefold() == noun.text.casefold()
        return normalise(str(value)) == normalise(noun.text)

    def _units(self, p: URIRef) -> set[str]:
        """The units in the names of a property, or else in its description."""
        known = self.ontology.properties.get(p)
        texts = [] if known is None else [known.label, *known.names, self.ontology.label(p)]
        return quantities.units_in(texts) or quantities.units_in([known.description] if known else [])

    # What is against it

    def _against(self, option: _Option, *, is_vague: bool) -> _Against | None:
        """What excludes a triple, why, and whether for sure: two nodes could yet be one."""
        s, p, end = option
        if isinstance(end, Noun):
            return self._against_value(s, p, end)
        claimed = (s, p, end)
        if is_vague:
            return None
        whole = close([*self.facts, claimed], self.rules, timeout_s=self.timeout_s, most=_MOST_DERIVED)
        for found in contradictions(whole, self.ontology, focus={s, end}) if whole.is_whole else ():
            is_sure = found.severity == "Violation"
            is_new = (found.focus, found.path, found.constraint) not in self._before
            if is_new and (is_sure or found.constraint in _ONE_VALUE):
                evidence = self._excluding(claimed)
                told = " ".join(self._told(triple) for triple in evidence[:1])
                return evidence, f"{told} {found.message}".strip(), is_sure
        return None

    def _against_value(self, s: URIRef, p: URIRef, noun: Noun) -> _Against | None:
        for denied in self.rules.denied:
            if denied[:2] == (s, p) and self._agrees(denied[2], p, noun):
                return (), f"the ontology denies it: {self._told(denied)}", True
        own = tuple((s, p, value) for value in self.closure.objects(s, p))
        if p not in self.ontology.rules.of_kind("FunctionalProperty") or not own:
            return None
        if any(self._agrees(value, p, noun) is not False for _, _, value in own):
            return None
        return own, f"{self._told(own[0])} {self.ontology.label(p)} has one value at most", True

    def _told(self, triple: Triple) -> str:
        return sentence(triple, _labels(self.index, triple))

    def _excluding(self, claimed: Triple) -> tuple[Triple, ...]:
        """What the graph states that a claim does not go together with: its own value, or the classes of its ends."""
        s, p, o = claimed
        own = [(s, p, value) for value in self.closure.objects(s, p) if value != o] if p != RDF_TYPE else []
        ends = [end for end in (s, o) if isinstance(end, URIRef)]
        types = [(e, RDF_TYPE, c) for e in ends for c in self.closure.types(e)]
        return tuple(own) or tuple(triple for triple in types if self.closure.derivation(triple) is None)

    def _missing(self, statement: Statement, options: Sequence[_Option]) -> str:
        """What the graph would have to say."""
        if statement.form == "count":
            return f"the graph does not have {' '.join(statement.words)} in that number"
        if not options:
            return "no relation of the graph is said by these words between what it names"
        s, p, end = options[0]
        if isinstance(end, Noun):
            subject = self.index.label(s)
            return f"the graph has no {clean(self.ontology.label(p))} {clean(end.text)} of {clean(subject)}"
        return f"the graph does not say, nor does it follow: {self._told((s, p, end))}"


def _labels(index: Index, terms: Iterable[Node]) -> dict[Node, str]:
    found = index.labels(term for term in terms if isinstance(term, URIRef))
    return {iri: label for iri, label in found.items()}  # noqa: C416 - as nodes, of which an IRI is one


def _is_count(noun: Noun | None, count: int) -> bool:
    return noun is not None and noun.number is not None and not noun.number.unit and noun.number.value == count
