"""Probes: three tests of whether what is answered is taken from the graph, and ends where the graph ends.

Questions that are answered right are asked again over an altered copy of the graph; the user's own stays as it is.

``delete``   The triples that the answer rests on are gone: then it has to be another one, or none.
``swap``     What the question names has exchanged its facts with another thing of its classes, as if the two had
             exchanged their names: then the answer has to be what the altered graph says. That is what the gold query
             gives, or what the same words gave before with the other's name in them, the two nodes exchanged; so a
             question that is read wrong is no failure, one that is answered as before is.
``premise``  What is asked takes for granted what the graph does not state (``kgllm.premises``): there is none.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, get_args
from typing import Literal as OneOfStrings

from rdflib.plugins.sparql.parserutils import CompValue
from rdflib.term import Variable

from kgllm.answer import Answer
from kgllm.ceiling import algebra, named
from kgllm.datatypes import comparable
from kgllm.descriptions import is_name_like
from kgllm.errors import KgllmError
from kgllm.evaluate import Answering, score, writing
from kgllm.index import Index
from kgllm.ontology import Ontology
from kgllm.premises import false_premises
from kgllm.protocols import Progress
from kgllm.questions import Gold, Question, gold_of, read_questions
from kgllm.terms import Literal, Term, Triple, URIRef, clean, n3
from kgllm.vocabularies import ALIAS_PROPERTIES, DESCRIPTION_PROPERTIES, FALSE, NAME_PROPERTIES
from kgllm.workspace import Workspace

if TYPE_CHECKING:
    from kgllm.engines.oxigraph import OxigraphStore

__all__ = ["PROBES", "Probe", "probe"]

Probe: TypeAlias = OneOfStrings["delete", "swap", "premise"]
PROBES: tuple[Probe, ...] = get_args(Probe)
_SHOWN = 20  # failures of each probe in the summary
_TRIES = 8  # partners that are tried until the altered graph has an answer to the question, and another one
_SAMPLE = 200  # things of the same classes, among which partners are looked for
_MOST_FACTS = 20_000  # triples of what is exchanged; a thing with more has no partner
_KEPT = frozenset(NAME_PROPERTIES + ALIAS_PROPERTIES + DESCRIPTION_PROPERTIES)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of one probe of one question; ``held`` is None where it could not be tried."""

    probe: Probe
    id: str | int
    question: str
    result: str
    held: bool | None = None
    came: Answer | KgllmError | None = None
    why: str = ""


_NOT_RIGHT, _LEFT_OUT = "not_right", "left_out"  # why a question was not tried
_RESULTS: dict[Probe, tuple[str, ...]] = {
    "delete": ("abstained", "changed", "unchanged"),
    "swap": ("followed", "abstained", "unchanged", "differed"),
    "premise": ("refused", "answered"),
}


def probe(
    assistant: Answering,
    questions: Path,
    *,
    over: Callable[[Workspace], Answering],
    which: Sequence[Probe] = PROBES,
    limit: int = 100,
    kind: str | None = None,
    out: Path | None = None,
    seed: int = 0,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Put an assistant to the probes, and return the summary that ``kgllm eval --probe --json`` prints.

    ``over`` gives the same assistant over another workspace. ``limit`` questions, drawn by the ``seed``, are altered,
    and as many premises made. Of each probe ``held`` is the share of those it could try that stood it. It could not
    try those that were ``not_right``: answered wrong, or right with nothing; and those ``left_out``: that rest on no
    triples to delete, or name nothing that could exchange its facts. Each answer is written to ``out`` with its
    ``probe``, ``id`` and ``result``. Raises ``InputError`` for an endpoint, which cannot be altered, unless ``premise``
    is the only probe.
    """
    outcomes: list[_Outcome] = []
    with writing(out) as file:
        for outcome in _outcomes(assistant, questions, over, which, limit, kind, seed, progress):
            outcomes.append(outcome)
            if file is not None and outcome.came is not None:
                file.write(json.dumps(_written(outcome), ensure_ascii=False) + "\n")
    by_probe = {name: [outcome for outcome in outcomes if outcome.probe == name] for name in which}
    return {
        "n": sum(outcome.held is not None for outcome in outcomes),
        **{name: _summary(name, found) for name, found in by_probe.items()},
        "failures": [_failure(o) for found in by_probe.values() for o in islice(filter(_failed, found), _SHOWN)],
    }


def _outcomes(
    assistant: Answering,
    questions: Path,
    over: Callable[[Workspace], Answering],
    which: Sequence[Probe],
    limit: int,
    kind: str | None,
    seed: int,
    progress: Progress,
) -> Iterator[_Outcome]:
    assistant.index  # noqa: B018  # a fault here is one of the run
    altering: list[Probe] = [name for name in which if name != "premise"]
    if altering:
        known, languages = assistant.workspace.store, assistant.workspace.settings.languages
        asked = read_questions(questions, known, languages=languages, kind=kind)
        asked = random.Random(seed).sample(asked, min(limit, len(asked)))  # noqa: S311 - no secret
        workspace, store = assistant.workspace.copied()
        try:
            altered = _Altered(over(workspace), workspace.index, store)
            for number, question in enumerate(asked):
                progress(" and ".join(altering), number, len(asked))
                yield from altered.probes(question, altering, random.Random(f"{seed} {question.id}"))  # noqa: S311
            progress(" and ".join(altering), len(asked), len(asked))
        finally:
            workspace.close()
    if "premise" in which:
        premises = false_premises(assistant.workspace.index, n=limit, seed=seed)
        answers = assistant.ask_each(premise.question for premise in premises)
        for number, (premise, came) in enumerate(zip(premises, answers, strict=True), start=1):
            refused = isinstance(came, Answer) and (came.abstained or came.results == [FALSE])
            result = "refused" if refused else "answered"
            yield _outcome("premise", f"{premise.kind} {number}", premise.question, result, came, premise.why)
            progress("premise", number, len(premises))


@dataclass(frozen=True, slots=True)
class _Altered:
    """An assistant over a copy of the graph that can be altered, with the copy and its index."""

    assistant: Answering
    index: Index
    store: OxigraphStore

    def probes(self, question: Question, which: Sequence[Probe], chance: random.Random) -> Iterator[_Outcome]:
        """Ask a question over the graph as it is, then over what each probe makes of it."""
        before = self._ask(question.text)
        is_right = isinstance(before, Answer) and not before.abstained and score(before, question.gold).exact == 1
        for name in which:
            outcome = None if is_right else _Outcome(name, question.id, question.text, _NOT_RIGHT)
            if is_right and isinstance(before, Answer):
                try:
                    outcome = (
                        self._delete(question, before) if name == "delete" else self._swap(question, before, chance)
                    )
                except KgllmError as error:
                    outcome = _outcome(name, question.id, question.text, "", error, "")
            yield outcome or _Outcome(name, question.id, question.text, _LEFT_OUT)

    def _ask(self, text: str) -> Answer | KgllmError:
        return next(iter(self.assistant.ask_each([text])))

    def _delete(self, question: Question, before: Answer) -> _Outcome | None:
        triples = self._gold_triples(question, before)
        if not triples:
            return None
        with self.store.altered(without=_restated(triples, self.index.ontology)):
            after = self._ask(question.text)
        result, why = "abstained", ""
        if isinstance(after, Answer) and not after.abstained:
            result = "unchanged" if _rows(after) == _rows(before) else "changed"
            why = f"it rests on {_told(after.facts)}" if after.facts else "it rests on no triple of the graph"
        return _outcome("delete", question.id, question.text, result, after, why)

    def _swap(self, question: Question, before: Answer, chance: random.Random) -> _Outcome | None:
        sparql = self._gold_query(question, before)
        right = self._gold(sparql)
        outcome: _Outcome | None = None
        for pairs in islice(self._partners(question, sparql, chance), _TRIES) if right is not None else ():
            without, plus = self._exchanged(pairs)
            with self.store.altered(without=without, plus=plus):
                gold = self._gold(sparql)
                if gold is None or right is None or _nothing(gold) or _values(gold.terms) == _values(right.terms):
                    continue
                after = self._ask(question.text)
            asked = self._ask(self._renamed(question.text, pairs))
            if isinstance(asked, Answer) and asked.abstained:
                continue
            expected = _rows(asked, _both_ways(pairs)) if isinstance(asked, Answer) else set()
            outcome = self._compared(question, before, after, expected, gold, pairs)
            if outcome.result != "unchanged":
                break
        return outcome

    def _compared(
        self,
        question: Question,
        before: Answer,
        after: Answer | KgllmError,
        expected: set[Any],
        gold: Gold,
        pairs: Mapping[URIRef, URIRef],
    ) -> _Outcome:
        """Whether an answer is what the altered graph says: by the gold query, or as the same words are read before."""
        result, query = "differed", ""
        if isinstance(after, Answer):
            is_gold = score(after, replace(gold, any_of=question.gold.any_of)).exact == 1
            query = "the query is the same as" if after.sparql == before.sparql else "the query is another than"
            if after.abstained:
                result = "abstained"
            elif _rows(after) == _rows(before):
                result = "unchanged"
            elif is_gold or _rows(after) == expected:
                result = "followed"
        exchanged = ", ".join(f"{self.index.label(a)} and {self.index.label(b)}" for a, b in pairs.items())
        why = f"{exchanged} exchanged their facts; right is {', '.join(map(n3, gold.terms[:3]))}; {query} before"
        return _outcome("swap", question.id, question.text, result, after, why)

    def _gold_query(self, question: Question, before: Answer) -> str:
        """The query of the question's gold; without one, of the right answer. Prefixes need not be declared."""
        known = "".join(f"PREFIX {prefix}: <{iri}>\n" for prefix, iri in self.index.namespaces.prefixes.items())
        return known + question.sparql if question.sparql is not None else before.sparql

    def _gold(self, sparql: str) -> Gold | None:
        """What a query gives over the graph as it now is; ``None`` for none that can be read."""
        return gold_of(sparql, self.store) if _parsed(sparql) is not None else None

    def _gold_triples(self, question: Question, before: Answer) -> list[Triple]:
        """The triples behind the solutions of the gold query; where it tells none, those that the answer rests on."""
        sparql = self._gold_query(question, before)
        patterns = _patterns(sparql)
        found: list[Triple] = []
        if patterns and all(isinstance(term, URIRef | Literal | Variable) for pattern in patterns for term in pattern):
            template = " ".join(" ".join(map(_in_query, pattern)) + " ." for pattern in patterns)
            prologue, where = _prologue(sparql), _where(sparql)
            found = self.store.construct(f"{prologue} CONSTRUCT {{ {template} }} WHERE {where}")
        return found or before.facts

    def _partners(self, question: Question, sparql: str, chance: random.Random) -> Iterator[dict[URIRef, URIRef]]:
        """For what a query and the question name, other things of the same classes that stand in triples as it asks."""
        ontology = self.index.ontology
        topics = [node for node in named(sparql).nodes if node not in ontology.classes | ontology.properties]
        topics = [node for node in topics if self._mentioned(node, question.text) is not None]
        parsed = _parsed(sparql)  # of those who stand as a yes/no question asks, the answer would be the same
        patterns = [] if parsed is None or parsed.name == "AskQuery" else _patterns(sparql)
        described = self.index.described(topics)
        partners: dict[URIRef, list[URIRef]] = {}
        for topic in (topic for topic in topics if topic in described):
            types = described[topic].types
            rows = self.index.rows_of_type(types) if types else range(len(self.index))
            drawn = self.index.descriptions(chance.sample(rows, min(_SAMPLE, len(rows))))
            alike = [d.iri for d in drawn.values() if d.kind == "node" and set(d.types) == set(types)]
            partners[topic] = self._standing_as(topic, [iri for iri in alike if iri not in topics], patterns)
            chance.shuffle(partners[topic])
        for place in range(_TRIES):
            pairs: dict[URIRef, URIRef] = {}
            for topic, able in partners.items():
                left = [iri for iri in able if iri not in pairs.values()]
                if place < len(left) and self._is_small(topic, left[place]):
                    pairs[topic] = left[place]
            if pairs:
                yield pairs

    def _mentioned(self, node: URIRef, text: str) -> re.Match[str] | None:
        """Where a text has the longest of a node's names."""
        described = self.index.described([node]).get(node)
        names = sorted((name for name, _ in described.names), key=len, reverse=True) if described is not None else ()
        found = (re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) for name in names)
        return next((match for match in found if match is not None), None)

    def _renamed(self, text: str, pairs: Mapping[URIRef, URIRef]) -> str:
        """A text that names others in the places of some nodes."""
        places = [(match, self.index.label(b)) for a, b in pairs.items() if (match := self._mentioned(a, text))]
        for match, name in sorted(places, key=lambda place: -place[0].start()):
            text = text[: match.start()] + name + text[match.end() :]
        return text

    def _standing_as(self, topic: URIRef, alike: Sequence[URIRef], patterns: Sequence[Any]) -> list[URIRef]:
        """Those of some nodes that stand in the triples of patterns in which a topic stands."""
        parts = [f"?n {n3(p)} ?o{i} ." for i, (s, p, _) in enumerate(patterns) if s == topic and isinstance(p, URIRef)]
        parts += [f"?s{i} {n3(p)} ?n ." for i, (_, p, o) in enumerate(patterns) if o == topic and isinstance(p, URIRef)]
        if not alike or not parts:
            return list(alike)
        values = " ".join(map(n3, alike))
        found = self.store.select(f"SELECT DISTINCT ?n WHERE {{ VALUES ?n {{ {values} }} {' '.join(parts)} }}")
        return sorted(n for (n,) in found.rows if isinstance(n, URIRef))

    def _is_small(self, *nodes: URIRef) -> bool:
        return self.store.select(_facts_of(nodes), limit=_MOST_FACTS).complete

    def _exchanged(self, pairs: dict[URIRef, URIRef]) -> tuple[list[Triple], list[Triple]]:
        """The triples that go and those that come when nodes exchange their facts.

        What names and describes a node stays with it, for by that the question means it.
        """
        other = _both_ways(pairs)
        rows = self.store.select(_facts_of([*other.values()])).rows
        old = {(s, p, o) for s, p, o in rows if not self._is_text(p, o)}
        new = {(other.get(s, s), p, other.get(o, o)) for s, p, o in old}
        return list(old - new), list(new - old)  # type: ignore[arg-type]

    def _is_text(self, prop: Term | None, value: Term | None) -> bool:
        """Whether a triple names or describes its subject."""
        kept = _KEPT.union(self.assistant.workspace.settings.describe_with)
        is_text = isinstance(prop, URIRef) and (prop in kept or is_name_like(prop))
        return is_text and isinstance(value, Literal)


def _both_ways(pairs: Mapping[URIRef, URIRef]) -> dict[Any, URIRef]:
    return {**pairs, **{b: a for a, b in pairs.items()}}


def _facts_of(nodes: Iterable[URIRef]) -> str:
    values = " ".join(map(n3, nodes))
    return (
        f"SELECT DISTINCT ?s ?p ?o WHERE {{ {{ VALUES ?s {{ {values} }} ?s ?p ?o }} "
        f"UNION {{ VALUES ?o {{ {values} }} ?s ?p ?o }} }}"
    )


def _restated(triples: Iterable[Triple], ontology: Ontology) -> set[Triple]:
    """Triples, and those that the ontology takes for the same: of properties above, below and inverse."""
    found: set[Triple] = set()
    for s, p, o in triples:
        for same in ontology.superproperties(p) | ontology.subproperties(p):
            found.add((s, same, o))
            prop = ontology.properties.get(same)
            if prop is not None and not isinstance(o, Literal):
                inverses = prop.inverses + ((same,) if "symmetric" in prop.characteristics else ())
                found |= {(o, inverse, s) for inverse in inverses}
    return found


def _parsed(sparql: str) -> CompValue | None:
    try:
        return algebra(sparql)
    except Exception:  # rdflib raises bare ones for what it cannot translate
        return None


def _patterns(sparql: str) -> list[tuple[Any, Any, Any]]:
    """The triple patterns of a query that its solutions match: not those that must not be there."""
    found: list[tuple[Any, Any, Any]] = []

    def walk(node: Any) -> None:
        if not isinstance(node, CompValue):
            return
        if node.name == "BGP":
            found.extend(node.triples)
        for key in ("p", "p1") if node.name == "Minus" else ("p", "p1", "p2"):
            walk(node.get(key))

    walk(_parsed(sparql))
    return found


def _in_query(term: Any) -> str:
    return f"?{term}" if isinstance(term, Variable) else n3(term)


_PROLOGUE = re.compile(r"(?:\s*(?:#[^\n]*\n|PREFIX\s+[\w.-]*:\s*<[^<>]*>|BASE\s*<[^<>]*>))*", re.IGNORECASE)
_BRACES = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|<[^<>\s]*>|[{}]""")


def _prologue(sparql: str) -> str:
    match = _PROLOGUE.match(sparql)
    return match[0] if match is not None else ""


def _where(sparql: str) -> str:
    """The group of a query, from its first brace to the one that closes it."""
    depth, start = 0, None
    body = sparql[len(_prologue(sparql)) :]
    for match in _BRACES.finditer(body):
        if match[0] == "{":
            depth, start = depth + 1, match.start() if start is None else start
        elif match[0] == "}" and start is not None:
            depth -= 1
            if depth == 0:
                return body[start : match.end()]
    return "{}"


def _values(terms: Iterable[Term]) -> set[Any]:
    return {comparable(term) for term in terms}


def _rows(answer: Answer, other: Mapping[Any, URIRef] = MappingProxyType({})) -> set[Any]:
    """The rows as a set, with ``other`` nodes in the places of some."""
    return {
        tuple(None if term is None else comparable(other.get(term, term)) for term in row) for row in answer.rows.rows
    }


def _nothing(gold: Gold) -> bool:
    """Whether right is to abstain: there is no row, or a count of none."""
    return not gold.terms or _values(gold.terms) == {("number", 0)}


def _told(triples: Sequence[Triple]) -> str:
    told = "; ".join(" ".join(map(n3, triple)) for triple in triples[:3])
    return told + ("; …" if len(triples) > 3 else "")


def _outcome(
    name: Probe, number: str | int, question: str, result: str, came: Answer | KgllmError, why: str
) -> _Outcome:
    if not isinstance(came, Answer):
        return _Outcome(name, number, question, "errors", held=False, came=came, why=clean(str(came)))
    return _Outcome(name, number, question, result, _stands(name, result), came, clean(why, cap=1000))


def _stands(name: Probe, result: str) -> bool:
    return result in {"abstained", "changed"} if name == "delete" else result in {"followed", "refused"}


def _failed(outcome: _Outcome) -> bool:
    return outcome.held is False


def _summary(name: Probe, found: Sequence[_Outcome]) -> dict[str, Any]:
    tried = [outcome for outcome in found if outcome.held is not None]
    untried = () if name == "premise" else (_NOT_RIGHT, _LEFT_OUT)
    counts = Counter(outcome.result for outcome in found)
    held = round(sum(bool(outcome.held) for outcome in tried) / len(tried), 4) if tried else None
    return {
        "n": len(tried),
        **{result: counts[result] for result in (*_RESULTS[name], "errors", *untried)},
        "held": held,
    }


def _failure(outcome: _Outcome) -> dict[str, Any]:
    came = outcome.came
    return {
        "probe": outcome.probe,
        "id": outcome.id,
        "question": outcome.question,
        "came": clean(came.text if isinstance(came, Answer) else str(came)),
        "query": came.sparql if isinstance(came, Answer) else "",
        "why": outcome.why,
    }


def _written(outcome: _Outcome) -> dict[str, Any]:
    kept = {"probe": outcome.probe, "id": outcome.id, "result": outcome.result}
    if isinstance(outcome.came, Answer):
        return kept | outcome.came.to_json()
    return kept | {"question": outcome.question, "abstained": False, "error": clean(str(outcome.came), cap=1000)}
