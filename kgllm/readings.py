"""Readings: the sketches of a question that the observed schema allows.

From each thing the question names, relation paths of up to three steps are walked at the level of classes and kept by
beam search; they are joined where two of them end alike, restricted by the classes that the question mentions, and
given the form that its wording asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from kgllm.datatypes import is_date, is_number
from kgllm.limits import Limits
from kgllm.link import Links, Mention
from kgllm.paths import Place, RelationPath, SchemaGraph
from kgllm.reach import Reach
from kgllm.scoring import Scorer
from kgllm.similarity import IS_NAMED, Vocabulary
from kgllm.sketch import Anchor, Branch, Extreme, Sketch, shared_steps
from kgllm.terms import Literal, URIRef
from kgllm.words import Bound, asks_for_any, is_descending, most_or_fewest, superlative

__all__ = ["Readings"]

_HOPS = 3
_BEAM = 160
_ALONE = 80
_JOINED = 30
_STEPS = 4  # of two branches together
_PAIRS = 200
_RESTRICTED = 40
_ANCHORS = 5
_SAID = 0.95  # similarity of a word that is a term's own name, and not merely like it


class Readings:
    """What the questions over one index can be read as."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.ontology = vocabulary.index.ontology
        self.schema = SchemaGraph(self.ontology)

    def sketches(self, links: Links, scorer: Scorer, bounds: Sequence[Bound]) -> Iterator[Sketch]:
        """Every sketch of a question; ``bounds`` are those that it puts on numbers and dates."""
        limits = Limits(bounds, scorer, self.schema)
        anchors = self._anchors(links)
        classes = self.classes(scorer)
        reaches = [Reach(anchor, self.schema, self.vocabulary.index.store, scorer) for anchor in anchors]
        beams = [(reach.anchor, self._beam(reach, scorer)) for reach in reaches]
        if scorer.form == "yes/no":
            yield from self._yes_no(beams, classes, scorer, limits)
        if (comparison := superlative(links.question, comparative=True)) and len(anchors) > 1:
            compared = self._comparisons(anchors, comparison.quantities, comparison.descending)
            yield from (sketch for sketch in compared if not limits.unheld(sketch))
            return
        if scorer.form == "yes/no":
            return
        single, joined = self._single(beams), list(self._joined(beams))
        restricted = dict.fromkeys([*self._near(beams), *single[:_RESTRICTED], *joined[:_RESTRICTED]])
        bases = [*single, *joined]
        bases += [replace(base, cls=cls) for base in restricted for cls in classes if self._restricts(base, cls)]
        roots = [Sketch(cls=cls) for cls in classes]
        bases += roots + list(self._projected(roots, scorer))
        for base in bases:
            if not any(reach.evades(base) for reach in reaches) and _is_of_kind(base, scorer.question.kind):
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

    def _near(self, beams: Sequence[tuple[Anchor, list[tuple[float, RelationPath]]]]) -> list[Sketch]:
        """All paths of one step, which no word may say but that for the class of what they lead to: "lakes in Chad"."""
        paths = [(anchor, path) for anchor, beam in beams for _, path in beam if len(path.steps) == 1]
        return [Sketch((Branch(anchor, path),)) for anchor, path in paths]

    def _joined(self, beams: Sequence[tuple[Anchor, list[tuple[float, RelationPath]]]]) -> Iterator[Sketch]:
        """Two or three branches that end alike."""
        short = [(a, [(s, p) for s, p in beam if len(p.steps) < _HOPS][:_JOINED]) for a, beam in beams[: 2 * _ANCHORS]]
        pairs: list[tuple[float, Sketch]] = []
        for number, (anchor, paths) in enumerate(short):
            for other, others in short[number + 1 :]:
                if anchor.mention.overlaps(other.mention):
                    continue
                pairs += [
                    (score + score2, Sketch((Branch(anchor, path), Branch(other, path2))))
                    for score, path in paths
                    for score2, path2 in others
                    if len(path.steps) + len(path2.steps) <= _STEPS and _end_alike(path, path2)
                ]
        pairs.sort(key=lambda item: -item[0])
        yield from (pair for _, pair in pairs)
        for _, pair in pairs[:_PAIRS]:
            used = [branch.anchor.mention for branch in pair.branches]
            for anchor, paths in short:
                if any(anchor.mention.overlaps(m) for m in used) or anchor.mention.first < used[-1].first:
                    continue
                end = pair.place(self.ontology)
                yield from (
                    replace(pair, branches=(*pair.branches, Branch(anchor, path)))
                    for _, path in paths[:8]
                    if path.end & end and _adds_one_step(pair, path)
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
            is_class = scorer.similarities.of(root.cls) >= IS_NAMED
            says_step = ~is_class | (scorer.question.head is None)  # "which mountains" asks for nothing they are in
            for path in self.schema.extend(RelationPath(), place):
                if np.max(scorer.similarities.of_step(path.steps[0]), initial=0.0, where=says_step) >= 0.5:
                    yield replace(root, projection=path)

    def _formed(self, base: Sketch, links: Links, scorer: Scorer, limits: Limits) -> Iterator[Sketch]:
        """The base in every form that the wording allows, with all limits that it puts."""
        for sketch in limits.hold(base):
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

    def _extremes(self, base: Sketch, links: Links, scorer: Scorer) -> Iterator[Sketch]:
        place = base.place_before_projection(self.ontology)
        if (wanted := superlative(links.question)) is not None and not base.literal:
            for path, numeric in self._quantities(place, wanted.quantities, scorer):
                descending = self._is_descending(path, wanted.quantities, descending=wanted.descending)
                yield replace(base, extreme=Extreme(path, descending, numeric=numeric))
        elif (most := most_or_fewest(links.question)) is not None and not base.literal:
            if base.projection is not None:
                yield replace(base, extreme=Extreme(RelationPath(), most[0], by_count=True))
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
        limits: Limits,
    ) -> Iterator[Sketch]:
        if len(beams) < 2 and asks_for_any(scorer.links.question):
            some = [replace(base, form="ask") for base in self._single(beams)]
            some += [Sketch(cls=cls, form="ask") for cls in classes if not beams]
            yield from (held for base in some for held in limits.hold(base))
        stated = self._statements(beams, classes, scorer)
        yield from (sketch for sketch in stated if not limits.unheld(sketch))
        for anchor, _ in beams:
            about = Sketch(among=(anchor,), form="ask")
            if anchor.candidate.value is None and limits.unheld(about):
                yield from limits.hold(about)

    def _statements(
        self,
        beams: Sequence[tuple[Anchor, list[tuple[float, RelationPath]]]],
        classes: Sequence[URIRef],
        scorer: Scorer,
    ) -> Iterator[Sketch]:
        """What may be so or not: that something named is related to another, or is of a class."""
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


def _end_alike(one: RelationPath, other: RelationPath) -> bool:
    """Whether two paths can lead to the same answer: a value is the same one only as that of the same property."""
    is_same_value = not one.literal or one.steps[-1] == other.steps[-1]
    return bool(one.end & other.end) and one.literal == other.literal and is_same_value


def _adds_one_step(sketch: Sketch, path: RelationPath) -> bool:
    """Whether all of a path but its first step is a way that a branch comes by, through the same nodes."""
    shared = max(shared_steps(branch.path, path) for branch in sketch.branches)
    return shared == len(path.steps) - 1 and all(_end_alike(branch.path, path) for branch in sketch.branches)


def _is_of_kind(sketch: Sketch, kind: Mention | None) -> bool:
    """Whether the answers themselves have the value that says of what kind they are."""
    return all(len(branch.path.steps) == 1 for branch in sketch.branches if branch.anchor.mention == kind)
