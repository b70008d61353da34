"""Readings: the sketches of a question that the observed schema allows.

From each thing the question names, relation paths of up to three steps are walked at the level of classes and kept by
beam search; they are joined where two of them end alike, restricted by the classes that the question mentions, and
given the form that its wording asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from kgllm.datatypes import is_date, is_number
from kgllm.link import Links
from kgllm.paths import Place, RelationPath, SchemaGraph
from kgllm.reach import Reach
from kgllm.scoring import Scorer
from kgllm.similarity import Vocabulary
from kgllm.sketch import Anchor, Branch, Condition, Extreme, Sketch
from kgllm.terms import Literal, URIRef
from kgllm.vocabularies import XSD
from kgllm.words import Bound, asks_for_any, bounds, is_descending, most_or_fewest, superlative

__all__ = ["Readings", "condition_on"]

_HOPS = 3
_BEAM = 160
_ALONE = 80
_JOINED = 30
_ANCHORS = 5
_SAID = 0.95  # similarity of a word that is a term's own name, and not merely like it


class Readings:
    """What the questions over one index can be read as."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.ontology = vocabulary.index.ontology
        self.schema = SchemaGraph(self.ontology)

    def sketches(self, links: Links, scorer: Scorer, limits: Sequence[Bound]) -> Iterator[Sketch]:
        """Every sketch of a question; ``limits`` are the bounds that it puts on numbers and dates."""
        anchors = self._anchors(links)
        classes = self.classes(scorer)
        reaches = [Reach(anchor, self.schema, self.vocabulary.index.store, scorer) for anchor in anchors]
        beams = [(reach.anchor, self._beam(reach, scorer)) for reach in reaches]
        if scorer.form == "yes/no":
            yield from self._yes_no(beams, classes, scorer)
        if (comparison := superlative(links.question, comparative=True)) and len(anchors) > 1:
            yield from self._comparisons(anchors, comparison.quantities, comparison.descending)
            return
        if scorer.form == "yes/no":
            return
        bases = [*self._single(beams), *self._joined(beams)]
        bases += [replace(base, cls=cls) for base in bases[:40] for cls in classes if self._restricts(base, cls)]
        roots = [Sketch(cls=cls) for cls in classes]
        bases += roots + list(self._projected(roots, scorer))
        for base in bases:
            if not any(reach.evades(base) for reach in reaches):
                yield from self._formed(base, links, scorer, limits)

    def _anchors(self, links: Links) -> list[Anchor]:
        anchors: list[Anchor] = []
        taken: set[URIRef | Literal] = set()
        for mention in sorted(links.mentions, key=lambda m: -m.score)[:_ANCHORS]:
            for candidate in mention.candidates[:3]:
                if candidate.score < mention.score - 0.15 or candidate.score < 0.35:
                    continue
                if candidate.description is not None and candidate.description.kind == "node":
                    place = self.schema.place_of(candidate.description.types)
                elif candidate.value is not None:
                    place = frozenset({None})
                else:
                    continue
                anchor = Anchor(mention, candidate, place)
                if anchor.term not in taken:  # named twice, it is still one thing
                    taken.add(anchor.term)
                    anchors.append(anchor)
        return anchors[: 2 * _ANCHORS]

    def classes(self, scorer: Scorer) -> list[URIRef]:
        """The populated classes that the question names, the best few; one of several words by all of them."""
        found = []
        for cls in self.ontology.classes:
            similarity = scorer.similarities.of(cls)
            least = 0.6 if len(self.ontology.label(cls).split()) == 1 else 1.0
            if similarity.size and similarity.max() >= least and self.ontology.populated(cls):
                found.append((float(similarity.max()), cls))
        return [cls for _, cls in sorted(found, reverse=True)[:5]]

    def _beam(self, reach: Reach, scorer: Scorer) -> list[tuple[float, RelationPath]]:
        """The most promising paths from an anchor, best first, of each length."""
        anchor = reach.anchor
        level = [(scorer.rough(path, anchor), path) for path in reach.paths]
        kept: list[tuple[float, RelationPath]] = []
        for hop in range(1, _HOPS + 1):
            level = sorted(level, key=lambda item: -item[0])[:_BEAM]
            kept += level
            if hop < _HOPS:
                longer = [further for _, path in level for further in self.schema.extend(path, anchor.place)]
                level = [(scorer.rough(path, anchor), path) for path in longer if not reach.stands_in(path)]
        return sorted(kept, key=lambda item: -item[0])

    def _single(self, beams: Sequence[tuple[Anchor, list[tuple[float, RelationPath]]]]) -> list[Sketch]:
        return [Sketch((Branch(anchor, path),)) for anchor, beam in beams for _, path in beam[:_ALONE]]

    def _joined(self, beams: Sequence[tuple[Anchor, list[tuple[float, RelationPath]]]]) -> Iterator[Sketch]:
        """Two or three branches that end alike."""
        short = [(a, [p for _, p in beam if len(p.steps) < _HOPS][:_JOINED]) for a, beam in beams[: 2 * _ANCHORS]]
        pairs: list[Sketch] = []
        for number, (anchor, paths) in enumerate(short):
            for other, others in short[number + 1 :]:
                if anchor.mention.overlaps(other.mention):
                    continue
                pairs += [
                    Sketch((Branch(anchor, path), Branch(other, path2)))
                    for path in paths
                    for path2 in others
                    if path.end & path2.end and path.literal == path2.literal and len(path.steps) + len(path2.steps) < 5
                ]
        yield from pairs
        for pair in pairs[:200]:
            used = [branch.anchor.mention for branch in pair.branches]
            for anchor, paths in short:
                if any(anchor.mention.overlaps(m) for m in used) or anchor.mention.first < used[-1].first:
                    continue
                end = pair.place(self.ontology)
                yield from (
                    replace(pair, branches=(*pair.branches, Branch(anchor, path)))
                    for path in paths[:8]
                    if path.end & end and len(path.steps) == 1
                )

    def _restricts(self, base: Sketch, cls: URIRef) -> bool:
        """Whether a class leaves some of the answers and not all."""
        place = base.place(self.ontology)
        members = self.schema.instances_of(cls)
        return not base.literal and bool(place & members) and not place <= members

    def _projected(self, roots: Iterable[Sketch], scorer: Scorer) -> Iterator[Sketch]:
        """A class and what its members have: "the names of all singers"."""
        for root in roots:
            place = root.place(self.ontology)
            for path in self.schema.extend(RelationPath(), place):
                if float(max(scorer.similarities.of_step(path.steps[0]), default=0.0)) >= 0.5:
                    yield replace(root, projection=path)

    def _formed(self, base: Sketch, links: Links, scorer: Scorer, limits: Sequence[Bound]) -> Iterator[Sketch]:
        """The base in every form that the wording allows."""
        with_conditions = list(self._conditioned(base, limits, scorer)) if limits else []
        for sketch in with_conditions or [base]:
            ranked = list(self._extremes(sketch, links, scorer))
            if ranked:
                yield from ranked
                continue
            if scorer.form == "how many":
                yield replace(sketch, form="count")
                if sketch.literal and any(is_number(d) for d in sketch.place(self.ontology)):
                    yield sketch
            elif sketch.branches or sketch.cls is not None:
                yield sketch

    def _conditioned(self, base: Sketch, limits: Sequence[Bound], scorer: Scorer) -> Iterator[Sketch]:
        """The base with each bound of the question put on a literal that its answers have."""
        place = base.place(self.ontology)
        if base.projection is not None:
            place = replace(base, projection=None).place(self.ontology)
        options: list[list[Condition]] = []
        for bound in limits:
            found = []
            for path in self.schema.extend(RelationPath(), place):
                if path.literal and (condition := condition_on(path, bound)) is not None:
                    similarity = max(scorer.similarities.of_step(path.steps[0]), default=0.0)
                    found.append((float(similarity), condition))
            options.append([condition for _, condition in sorted(found, key=lambda item: -item[0])[:4]])
        if not all(options) or not options:
            return
        for first in options[0]:
            rest = tuple(option[0] for option in options[1:])
            yield replace(base, conditions=(first, *rest))

    def _extremes(self, base: Sketch, links: Links, scorer: Scorer) -> Iterator[Sketch]:
        place = base.place(self.ontology)
        if base.projection is not None:
            place = replace(base, projection=None).place(self.ontology)
        if (wanted := superlative(links.question)) is not None and not base.literal:
            for path, numeric in self._quantities(place, wanted.quantities, scorer):
                descending = self._is_descending(path, wanted.quantities, descending=wanted.descending)
                yield replace(base, extreme=Extreme(path, descending, numeric=numeric))
        elif (most := most_or_fewest(links.question)) is not None and not base.literal:
            for path in self.schema.extend(RelationPath(), place):
                similarity = float(max(scorer.similarities.of_step(path.steps[0]), default=0.0))
                if not path.literal and similarity >= 0.3:
                    yield replace(base, extreme=Extreme(path, most[0], by_count=True))
                elif path.literal and similarity >= 0.5 and any(is_number(d) for d in path.end):
                    yield replace(base, extreme=Extreme(path, most[0], numeric=True))

    def _quantities(
        self, place: Place, quantities: Sequence[str], scorer: Scorer | None
    ) -> list[tuple[RelationPath, bool]]:
        """The literals of a place that can be ordered and that an adjective may mean, best first; True: as numbers."""
        index = self.vocabulary.index
        found = []
        meant = index.phrase_vectors(list(quantities))
        near = list(self.schema.extend(RelationPath(), place))
        beyond = [further for path in near for further in self.schema.extend(path, place) if not path.steps[0].inverse]
        for path in [*near, *beyond]:
            is_ordered = any(is_date(d) or is_number(d) for d in path.end)
            numeric = not any(is_date(d) for d in path.end)
            if not path.literal or (not numeric and not {"date", "year", "age"} & set(quantities)):
                continue
            names = [self.ontology.label(step.property).lower() for step in path.steps]
            similarity = float((index.phrase_vectors(names) @ meant.T).max())
            said = (
                [float(max(scorer.similarities.of_step(step), default=0.0)) for step in path.steps] if scorer else [0.0]
            )
            if (similarity < 0.3 and max(said) < 0.8) or (similarity < 0.5 and not is_ordered):
                continue
            found.append((similarity + 0.5 * max(said) + 0.15 * is_ordered - 0.1 * len(path.steps), path, numeric))
        return [(path, numeric) for s, path, numeric in sorted(found, key=lambda item: -item[0])[:3] if s >= 0.35]

    def _comparisons(self, anchors: Sequence[Anchor], quantities: Sequence[str], descending: bool) -> Iterator[Sketch]:
        for number, one in enumerate(anchors):
            for other in anchors[number + 1 :]:
                if one.mention.overlaps(other.mention) or not one.place & other.place:
                    continue
                for path, numeric in self._quantities(one.place, quantities, None):
                    order = self._is_descending(path, quantities, descending=descending)
                    yield Sketch(among=(one, other), extreme=Extreme(path, order, numeric=numeric))

    def _is_descending(self, path: RelationPath, quantities: Sequence[str], *, descending: bool) -> bool:
        return is_descending(quantities, self.ontology.label(path.steps[-1].property), descending=descending)

    def _yes_no(
        self,
        beams: Sequence[tuple[Anchor, list[tuple[float, RelationPath]]]],
        classes: Sequence[URIRef],
        scorer: Scorer,
    ) -> Iterator[Sketch]:
        limits = bounds(scorer.links.question)
        if len(beams) < 2 and asks_for_any(scorer.links.question):
            yield from (replace(base, form="ask") for base in self._single(beams))
            yield from (Sketch(cls=cls, form="ask") for cls in classes if not beams)
        for anchor, beam in beams:
            if anchor.candidate.value is not None:
                continue
            for other, _ in beams:
                if other.mention.overlaps(anchor.mention):
                    continue
                for _, path in beam:
                    value = other.candidate.value
                    meets = (
                        path.literal and path.steps[-1].property == value.property
                        if value is not None
                        else not path.literal and bool(path.end & other.place)
                    )
                    if meets and len(path.steps) < _HOPS:
                        yield Sketch((Branch(anchor, path),), form="ask", target=other)
            for cls in classes:
                if float(scorer.similarities.of(cls).max()) >= _SAID:
                    yield Sketch((Branch(anchor, RelationPath()),), cls=cls, form="ask")
            for bound in limits:
                for path in self.schema.extend(RelationPath(), anchor.place):
                    if path.literal and (condition := condition_on(path, bound)) is not None:
                        yield Sketch(among=(anchor,), conditions=(condition,), form="ask")


def condition_on(path: RelationPath, bound: Bound) -> Condition | None:
    """A bound as a condition on the literals at the end of a path; ``None`` if they are no numbers or dates."""
    kinds = sorted(d for d in path.end if d is not None)
    if any(str(d).endswith(("#date", "#dateTime", "#gYear", "#gYearMonth")) for d in kinds):
        if bound.is_date:
            lexical = bound.value if str(kinds[0]).endswith("#date") else f"{bound.value}T00:00:00"
            return Condition(path, bound.operator, Literal(lexical, datatype=kinds[0]))
        if not bound.is_year:
            return None
        if bound.operator == "=":
            return Condition(path, "starts", Literal(bound.value))
        year = {">": f"{int(bound.value) + 1}", "<=": f"{int(bound.value) + 1}"}.get(bound.operator, bound.value)
        operator = {">": ">=", "<=": "<"}.get(bound.operator, bound.operator)
        kind = str(min(d for d in kinds if is_date(d)))
        written = {"date": f"{year}-01-01", "dateTime": f"{year}-01-01T00:00:00", "gYearMonth": f"{year}-01"}
        lexical = written.get(kind.rsplit("#", 1)[-1], year)
        return Condition(path, operator, Literal(lexical, datatype=URIRef(kind)))  # type: ignore[arg-type]
    if bound.is_date:
        return None
    return Condition(path, bound.operator, Literal(bound.value, datatype=URIRef(XSD + "decimal")), numeric=True)
