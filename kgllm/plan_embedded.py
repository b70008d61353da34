"""Plan with no model: enumerate the readings that the observed schema allows, and rank them by meaning.

The sketches of a question (``kgllm.readings``) are scored (``kgllm.scoring``) and compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from kgllm.choice import as_one, spread
from kgllm.confidence import probability, signs
from kgllm.datatypes import is_date
from kgllm.descriptions import is_name_like
from kgllm.exclusion import leave_out, without_exclusion
from kgllm.features import FEATURES, Scored
from kgllm.link import Links
from kgllm.names import normalise
from kgllm.paths import RelationPath
from kgllm.plan import Plan
from kgllm.protocols import Exchange, Hit, Kind
from kgllm.protocols import Step as Progress
from kgllm.quantities import says_unit, unit_behind
from kgllm.query import Query
from kgllm.readings import Readings
from kgllm.scoring import Scorer
from kgllm.similarity import Vocabulary
from kgllm.sketch import Sketch
from kgllm.tables.lexicon import Lexicon
from kgllm.tables.reading import TableReading, read_table
from kgllm.tables.table import Table
from kgllm.terms import Literal, URIRef
from kgllm.words import (
    KINDS,
    Bound,
    bounds,
    definition_of,
    is_negated,
    looks_like_description,
    superlative,
)

__all__ = ["EmbeddedPlanner", "EmbeddedPlanning"]

_KEPT = 28
_TRIED = 12  # readings that are run, at most
_MARGIN = 0.1  # how far below the best a reading may score and still be run
_LEAST = 0.33  # fit below which a reading is not run
_CLEAR = 0.6  # fit from which the words name relations, so that they describe nothing else
_VAGUE = 0.5  # fit below which a reading that names no node comes after what the words describe
_CLEARLY_NAMED = 0.8  # score of a name, from which a question is about what has it
_LEAST_YES = 0.55  # the same for a yes or no, which is an answer however little it has to do with the question
_LONGEST_READ, _LONG_TEXT = 80, 25  # tokens beyond which a question, and a text that asks nothing, is not read
_NEAR = 0.4  # cosine from which a description is taken to be meant
_DEFINED = 0.95  # confidence in the description of what the question names and asks for nothing else
_GUESSED = 0.1
"""How sure it is, of a question that names nothing, of what its words are nearest to, and of all of a kind where the
question says more of them: of all in benchmarks/confidence.py that were answered in the first way, and of the questions
of ten Spider4SPARQL graphs in the second, none was right."""
_NAME_ASKED = re.compile(r"\b(?:names?|titles?) (?:of|for)\b|\bnames?\b.*\bof\b|\bnames\b", re.I)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A query and how well it reads the question; ``is_of_other_kind`` than the question begins to ask for.

    ``unread`` are the words of the question that no part of it stands for.
    """

    query: Query
    scored: Scored
    sketch: Sketch | Table
    is_of_other_kind: bool
    unread: tuple[str, ...]

    @property
    def score(self) -> float:
        """Higher is better."""
        return self.scored.score

    @property
    def fit(self) -> float:
        """How surely the words mean its steps, in [0, 1]."""
        return self.scored.fit

    @property
    def has_extreme(self) -> bool:
        """Whether it asks for the first or the greatest."""
        return (self.sketch.order if isinstance(self.sketch, Table) else self.sketch.extreme) is not None

    @property
    def leaves_words_out(self) -> bool:
        """Whether it is all of a kind, of which the question says something more: "which missions were cheap"."""
        is_all = isinstance(self.sketch, Sketch) and not any(self.sketch.anchors()) and not self.sketch.steps()
        return is_all and self.scored.unexplained > 0

    @property
    def leaves_all_names_out(self) -> bool:
        """Whether it uses no name of a question that clearly names something: it is about all things of a kind."""
        unused = self.scored.features[FEATURES.index("unused")]
        return isinstance(self.sketch, Sketch) and not any(self.sketch.anchors()) and unused >= _CLEARLY_NAMED


class EmbeddedPlanning:
    """The planning of one question: its readings in order, then what its words describe."""

    def __init__(self, planner: EmbeddedPlanner, links: Links) -> None:
        self.exchanges: tuple[Exchange, ...] = ()
        self._plans = planner.proposals(links)

    def propose(self, observed: str | None) -> Iterator[Progress | Plan]:
        """The next reading."""
        yield from islice(self._plans, 1)


class EmbeddedPlanner:
    """Plans from the observed schema of one index."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.ontology = vocabulary.index.ontology
        self.readings = Readings(vocabulary)
        self.lexicon = Lexicon(vocabulary, self.readings.schema)

    def start(self, links: Links) -> EmbeddedPlanning:
        """The planning of one question."""
        return EmbeddedPlanning(self, links)

    def proposals(self, links: Links) -> Iterator[Plan]:
        """What to try in turn: a definition if one is asked for, the readings near the best one, then descriptions."""
        if (defined := self._definition(links)) is not None:
            yield defined
        is_description = looks_like_description(links.question)
        longest = _LONG_TEXT if is_description else _LONGEST_READ
        table = self._table(links)
        excluded: tuple[URIRef | Literal, ...] = ()
        any_of: tuple[URIRef, ...] = ()
        if table is None or not table.alone:
            links, excluded = without_exclusion(links)
            links, any_of = as_one(links, self.ontology)
            table = self._table(links) if excluded or any_of else table
        is_table = table is not None and table.alone
        if not is_table and (is_negated(links.around_names()) or len(links.tokens) > longest):
            if is_description:
                yield from self._described(links, ())
            return
        ranked = self._ranked(links, table)
        is_named = bool(links.named())
        is_read = bool(ranked) and is_named and ranked[0].fit >= _CLEAR
        if is_description and not is_read and not is_table:
            yield from self._described(links, ())
            return
        ranked = self._with_extreme(links, ranked)
        near = [item for item in ranked[:_TRIED] if item.score >= ranked[0].score - _MARGIN]
        sure = [item for item in near if item.fit >= (_LEAST_YES if item.query.form == "ask" else _LEAST)]
        if not is_named and not is_table and (not sure or sure[0].fit < _VAGUE):
            yield from self._described(links, self._expected_classes(links))
        fitting = [item for item in sure if not item.is_of_other_kind and not item.leaves_all_names_out]
        for tried, item in enumerate(fitting):
            after = [other.score for other in ranked if other.score <= item.score and other.query != item.query]
            seen = signs(item.scored, after=after, tried=tried)
            query = spread(item.query, any_of)
            if any_of and query == item.query:  # it takes one of the names for something else
                continue
            confidence = min(probability(seen), _GUESSED) if item.leaves_words_out else probability(seen)
            yield Plan(
                leave_out(query, excluded), confidence, self._concepts(item, links), seen, self._unread(item, links)
            )

    def _with_extreme(self, links: Links, ranked: list[Ranked]) -> list[Ranked]:
        """Those readings that ask for the first or the greatest, if the question does and they read its words well.

        All of them where the word is one of a name in the best: "the highest point of Ohio".
        """
        asked = superlative(links.question)
        clear = [item for item in ranked if item.has_extreme and item.fit >= _CLEAR]
        if asked is None or not clear or ranked[0].has_extreme:
            return ranked
        return ranked if self._has_in_name(ranked[0].query, links.question[asked.start : asked.end]) else clear

    def _unread(self, item: Ranked, links: Links) -> tuple[str, ...]:
        """The words that a reading leaves out: "largest" too where it orders nothing, and units it does not know."""
        asked = superlative(links.question)
        word = links.question[asked.start : asked.end] if asked is not None else ""
        is_read = not word or item.has_extreme or self._has_in_name(item.query, word)
        terms = [p for iri in item.query.iris() if (p := self.ontology.properties.get(iri)) is not None]
        told = [text for term in terms for text in (term.label, *term.names, term.description)]
        units = [unit for _, unit in _units(links) if not says_unit(unit, told)]
        return tuple(dict.fromkeys((*item.unread, *([] if is_read else [word]), *units)))

    def _has_in_name(self, query: Query, word: str) -> bool:
        """Whether a word is one of a name of what a query is about."""
        return any(word.lower() in self.ontology.label(iri).lower().split() for iri in query.iris())

    def _expected_classes(self, links: Links) -> tuple[URIRef, ...]:
        """The class that the question names, or those of the kind that its question word asks for."""
        scorer = Scorer(links, self.vocabulary)
        named = self.readings.classes(scorer)[:1]
        if not named and scorer.form in KINDS:
            named = [c for c in self.ontology.classes if scorer.is_of_kind(c, scorer.form)]
        return tuple(named)

    def _definition(self, links: Links) -> Plan | None:
        """The plan that describes a node, class or property, if the question asks what it is and nothing else."""
        rest = definition_of(links.question)
        if rest is None:
            return None
        for mention in sorted([*links.mentions, *links.spare], key=lambda m: m.first - m.last):
            if normalise(mention.text) == normalise(rest):
                found = [c.description for c in mention.candidates if c.description is not None]
                described = sorted(found, key=lambda d: (not d.description, d.kind != "class"))
                if described:
                    return Plan(Query("describe", nodes=(described[0].iri,)), _DEFINED)
        return None

    def _described(self, links: Links, classes: Sequence[URIRef]) -> Iterator[Plan]:
        """The node, class or property whose description is nearest to the question, if it is near at all."""
        index = self.vocabulary.index
        rows = index.rows_of_type(c for cls in classes for c in self.ontology.subclasses(cls))
        hits = index.nearest(links.question, k=3, among=rows or None)
        for hit in hits[:1]:
            if hit.score >= _NEAR:
                is_asked = not looks_like_description(links.question)
                yield Plan(Query("describe", nodes=(hit.iri,)), hit.score * (_GUESSED if is_asked else 1.0))

    def _concepts(self, ranked: Ranked, links: Links) -> tuple[Hit, ...]:
        """Which word was tied to which class or property of the reading."""
        terms = {step.property for step in ranked.sketch.steps()} | {ranked.sketch.cls}
        return tuple(hit for iri, hit in self.similarities(links).items() if iri in terms)

    def similarities(self, links: Links) -> dict[URIRef, Hit]:
        """The classes and relations that a word of the question is like, each with the word it is most like."""
        scorer = Scorer(links, self.vocabulary)
        hits = {}
        for term in self.vocabulary.columns:
            similarity = scorer.similarities.of(term)
            if similarity.size and (best := float(similarity.max())) > 0.3:
                word = scorer.words[int(similarity.argmax())].text
                kind: Kind = "class" if term in self.ontology.classes else "property"
                hits[term] = Hit(term, best, kind, word, self.ontology.label(term))
        return hits

    def plan(self, links: Links) -> list[Ranked]:
        """The readings of a question, best first; empty where it names nothing that the graph has."""
        return self._ranked(links, self._table(links))

    def _table(self, links: Links) -> TableReading | None:
        return read_table(links, self.lexicon) if len(links.tokens) <= _LONGEST_READ else None

    def _ranked(self, links: Links, table: TableReading | None) -> list[Ranked]:
        """The readings of a question, best first: its table, and if other readings can be meant, the best of these."""
        limits = bounds(links.question)
        extreme = superlative(links.question) or superlative(links.question, comparative=True)
        ignored = [(b.start, b.end) for b in limits]
        ignored += [(b.end, links.question.index(unit, b.end) + len(unit)) for b, unit in _units(links)]
        if extreme is not None:
            ignored.append((extreme.start, extreme.end))
        scorer = Scorer(links, self.vocabulary, ignored=ignored)
        found = [table.scored] if table is not None else []
        if table is None or not table.alone:
            sketches = list(dict.fromkeys(self.readings.sketches(links, scorer, limits)))
            found += sorted((scorer.score(sketch) for sketch in sketches), key=lambda s: -s.score)[:_KEPT]
        by_name = _NAME_ASKED.search(links.question) is not None
        unread = table.unread if table is not None else ()
        compiled = [self._compile(scored, scorer, unread, by_name=by_name) for scored in scorer.add_meaning(found)]
        return [ranked for ranked in compiled if ranked is not None]

    def _compile(self, scored: Scored, scorer: Scorer, unread: tuple[str, ...], *, by_name: bool) -> Ranked | None:
        """The reading as a query; ``by_name`` asks for the names of the answers, which no step of it stands for.

        ``unread`` are the words that a table leaves out.
        """
        sketch = scored.sketch
        unread = scorer.unread(sketch) if isinstance(sketch, Sketch) else unread
        if by_name and isinstance(sketch, Sketch):
            sketch = self._by_name(sketch)
        if scorer.form == "when":
            sketch = _by_date(sketch)
        try:
            return Ranked(sketch.to_query(self.ontology), scored, sketch, scorer.is_of_other_kind(sketch), unread)
        except ValueError:
            return None

    def _by_name(self, sketch: Sketch) -> Sketch:
        """The sketch with the names of its answers in their place, where the graph names them by a relation."""
        if sketch.form != "select" or sketch.projection is not None or sketch.literal:
            return sketch
        named = [
            path
            for path in self.readings.schema.extend(RelationPath(), sketch.place(self.ontology))
            if path.literal and is_name_like(path.steps[0].property)
        ]
        shortest = min(named, key=lambda path: len(path.steps[0].property), default=None)
        return sketch if shortest is None else replace(sketch, projection=shortest)


def _by_date(sketch: Sketch | Table) -> Sketch | Table:
    """The reading with the date that it is ordered by in the place of its answers, as "when was the first …" asks."""
    if isinstance(sketch, Table):
        order = sketch.order.column if sketch.order is not None else None
        is_things = len(sketch.columns) == 1 and not sketch.columns[0].place.path.steps
        if order is not None and is_things and order.function is None and any(map(is_date, order.place.path.end)):
            return replace(sketch, columns=(order,))
        return sketch
    extreme = sketch.extreme
    if extreme is None or extreme.by_count or sketch.projection is not None or sketch.literal:
        return sketch
    return replace(sketch, projection=extreme.path) if any(map(is_date, extreme.path.end)) else sketch


def _units(links: Links) -> list[tuple[Bound, str]]:
    """The limits of a question that have a unit behind their number, with it."""
    return [(b, unit) for b in bounds(links.question) if (unit := unit_behind(links.question, b.end))]
