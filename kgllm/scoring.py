"""How well a sketch reads a question: coverage of the words, alignment of the steps, answer type, and whole meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kgllm.alignment import outward
from kgllm.datatypes import is_date, is_number
from kgllm.features import WEIGHTS, Scored
from kgllm.link import Links, Mention
from kgllm.ontology import Ontology
from kgllm.paths import Place, RelationPath, Step
from kgllm.phrases import masked, phrase, shape
from kgllm.protocols import Vectors
from kgllm.question_words import QuestionWords
from kgllm.similarity import IS_NAMED, Vocabulary
from kgllm.sketch import Anchor, Branch, Sketch
from kgllm.tables.table import Table
from kgllm.terms import URIRef
from kgllm.words import KINDS, Form, asks_for, is_sharing

__all__ = ["Scorer"]

_IMPLIED = 0.6  # a literal says by itself which property it is a value of, a class how one gets to it
_HALF_SAID = 0.2  # similarity to a word from which a step is no mere guess
_TELLING = 0.4  # similarity from which a word is taken to name a class or relation
_MOST = 0.7  # of what a word tells most of, its similarity to a place that it says
_NAMES = 0.8  # similarity from which a word is another one for a class, and not merely like it
_NAMES_ITS_KIND = re.compile(
    r"\bwhose\b|\bwho (?:is|are|was|were) the\b|\bwer (?:ist|sind|war|waren) d(?:er|ie|as)\b", re.I
)
"""A question that asks by a noun ("who is the employer of"), or has its "whose" for a thing."""
_OF_KIND = 0.5  # how much a class is of a kind, from which it is one
_SHARED = 0.9  # of the way there, the way back to what has the same
_OF_THE_GRAPH = frozenset("database graph dataset data file world altogether overall ever".split())  # noqa: SIM905
"""Words for the whole of what can be asked about, which limit nothing."""
_SAYS_AS_WELL = 0.75  # of the similarity of the likest word to a term, from which another says it too
_AWAY = 0.5  # of a relation walked backwards, whose name is more often that of what it was walked from


class Scorer:
    """One question's words, ready to score any sketch of it."""

    def __init__(self, links: Links, vocabulary: Vocabulary, *, ignored: Sequence[tuple[int, int]] = ()) -> None:
        """``ignored`` are character stretches that say something else than a relation: numbers, superlatives."""
        self.links = links
        self.vocabulary = vocabulary
        self.index = vocabulary.index
        self.ontology: Ontology = vocabulary.index.ontology
        self.question = QuestionWords(links, vocabulary, ignored=ignored)
        self.form: Form = self.question.form
        self.words = self.question.words
        self.similarities = self.question.similarities
        self.importance = self.question.importance
        self._of_the_graph = np.array([word.lower in _OF_THE_GRAPH for word in self.words], dtype=np.bool_)
        self._named = links.named()
        self._ignored = ignored
        self._kinds_of: dict[Place, Place] = {}

    def rough(self, path: RelationPath, anchor: Anchor) -> float:
        """A quick score of one path alone, for the beam."""
        is_open = self.question.open([anchor])
        if not is_open.any():
            return 1.0 / len(path.steps)
        steps = np.stack([self.similarities.of_step(step)[is_open] for step in path.steps])
        places = np.stack([self.similarities.of_place(place)[is_open] for place in path.places])
        weight = self.importance[is_open]
        best = np.maximum(steps.max(axis=0), 0.9 * places.max(axis=0))
        coverage = float((np.minimum(best / np.maximum(weight, 0.3), 1.0) * weight).sum() / weight.sum())
        aligned = steps.max(axis=1) * [0.7 if self._is_backward(path, anchor, n) else 1.0 for n in range(len(steps))]
        return float(WEIGHTS[0] * coverage + (WEIGHTS[1] + WEIGHTS[2]) * aligned.mean() + WEIGHTS[6] * len(path.steps))

    def _is_backward(self, path: RelationPath, anchor: Anchor, number: int) -> bool:
        """Whether a step goes against its relation between things of one kind, where both ways make sense.

        Or whether grammar says that it goes the other way: "which missions have Apollo 8 as their next mission".
        """
        if not number and self.question.is_object(anchor):
            return not path.steps[number].inverse
        before = path.places[number - 1] if number else anchor.place
        return path.steps[number].inverse and bool(before & path.places[number])

    def score(self, sketch: Sketch) -> Scored:
        """The features without the whole meaning, which ``add_meaning`` adds to the best."""
        anchors = list(sketch.anchors())
        is_open = self.question.open(anchors)
        aligned, left_over, returns = self._aligned(sketch, is_open)
        unused = sum(m.score for m in self._named if self._is_unused(m, sketch, anchors))
        used = [anchor.candidate.score for anchor in anchors]
        backward = sum(
            self._is_backward(branch.path, branch.anchor, number)
            for branch in sketch.branches
            for number in range(len(branch.path.steps))
        )
        best = self._best(sketch)
        features = (
            self._coverage(best, is_open),
            sum(aligned) / len(aligned) if aligned else 0.0,
            min(aligned, default=0.0),
            self._type_fit(sketch),
            unused,
            sum(used) / len(used) if used else 0.5,
            len(sketch.steps()),
            backward,
            left_over,
            returns,
            self._head(sketch),
            self._solved(sketch),
            0.0,
        )
        told = (best >= _TELLING)[is_open] | self._of_the_graph[is_open]
        explained = float(told.mean()) if told.size else 1.0
        told_by = (self._unsaid(sketch, aligned), self._detour(sketch, aligned))
        signs = (explained, int((~told).sum()), *told_by, self._misfit(sketch))
        return Scored(sketch, np.array(features, dtype=np.float64), *signs)

    def _solved(self, sketch: Sketch) -> float:
        lessons = self.vocabulary.lessons
        return lessons.share(masked(self.links, sketch, self.ontology), shape(sketch)) if lessons.wordings else 0.0

    def _is_unused(self, mention: Mention, sketch: Sketch, anchors: Sequence[Anchor]) -> bool:
        """Whether a name is of none of the anchors and no limit, and does not say what kind of thing an anchor is."""
        if any(a.mention.overlaps(mention) for a in anchors):
            return False
        start, end = self.links.span(mention)
        if sketch.conditions and any(s <= start and end <= e for s, e in self._ignored):
            return False
        inside = np.array([mention.first <= place < mention.last for place in self.question.places], dtype=bool)
        kinds = (self.similarities.of_place(a.place) * self.question.beside(a) for a in anchors)
        return not any((kind[inside] >= IS_NAMED).any() for kind in kinds)

    def _unsaid(self, sketch: Sketch, aligned: Sequence[float]) -> float:
        """How little any word says the least said of several steps; one from a part to its whole is said."""
        if len(sketch.steps()) < 2:
            return 0.0
        similarities = iter(aligned)
        least = 1.0
        for branch in sketch.branches:
            before = branch.anchor.place
            for place in branch.path.places:
                is_part = not before & place and bool(self._kinds(before) & self._kinds(place))
                least = min(least, max(next(similarities), float(is_part)))
                before = place
        return max(0.0, 1.0 - least / _HALF_SAID)

    def _detour(self, sketch: Sketch, aligned: Sequence[float]) -> float:
        """How many steps of the branches lead to things of another kind unsaid; one that is half said counts half.

        "Born in Ohio" may well be in a town of Ohio, but what a person was launched by is not what their mission was.
        """
        similarities = iter(aligned)
        unsaid = 0.0
        for branch in sketch.branches:
            before = branch.anchor.place
            for place in branch.path.places:
                said = min(1.0, next(similarities) / _TELLING)
                unsaid += 0.0 if self._kinds(before) & self._kinds(place) else 1.0 - said
                before = place
        return unsaid

    def _coverage(self, best: Vectors, is_open: NDArray[np.bool_]) -> float:
        """The share of the open words' weight that their best terms account for."""
        if not is_open.any():
            return 1.0
        weight = self.importance[is_open]
        return float((np.minimum(best[is_open] / np.maximum(weight, 0.3), 1.0) * weight).sum() / weight.sum())

    def _best(self, sketch: Sketch) -> Vectors:
        """The similarity of each word to the term of the sketch that it is most like, shape (len(words),)."""
        best = np.zeros(len(self.words), dtype=np.float32)
        for term in self._terms(sketch):
            best = np.maximum(best, term)
        return best

    def _terms(self, sketch: Sketch) -> Iterator[Vectors]:
        """The similarity of each word to each term of the sketch, shape (len(words),) each."""
        for step in sketch.steps():
            yield self.similarities.of_step(step)
            yield self.similarities.of_any(self._inverses(step))
        for path in sketch.paths():
            yield from (0.9 * self.similarities.of_place(place) for place in path.places)
        if sketch.cls is not None:
            yield self.similarities.of(sketch.cls)
        for anchor in sketch.anchors():
            yield 0.8 * self.similarities.of_place(anchor.place) * self.question.beside(anchor)

    def unread(self, sketch: Sketch) -> tuple[str, ...]:
        """The words that say no term of a sketch, or one that another word says much better."""
        is_open = self.question.open(list(sketch.anchors()))
        is_grammar = np.array([is_sharing(word.text) for word in self.words], dtype=np.bool_)
        read = ~is_open | self._of_the_graph | is_grammar
        for term in self._terms(sketch):
            read |= (term >= _TELLING) & (term >= _SAYS_AS_WELL * term.max(initial=0.0, where=is_open))
        return tuple(self.words[n].text for n in np.flatnonzero(~read))

    def _is_place_asked(self, sketch: Sketch) -> bool:
        """Whether "where" by itself says the last of several steps, that to a place."""
        is_one_of_several = len(sketch.branches) == 1 and len(sketch.branches[0].path.steps) > 1
        if self.form != "where" or sketch.literal or not is_one_of_several:
            return False
        return self._kin(sketch.place(self.ontology), KINDS["where"]) > _OF_KIND

    def _aligned(self, sketch: Sketch, is_open: NDArray[np.bool_]) -> tuple[list[float], float, float]:
        """The similarity of each step to a word of its own, what is left over, and the ways back that nothing says.

        The words of a branch are read outward from its anchor.
        """
        numbers = [int(n) for n in np.flatnonzero(is_open)]
        aligned: list[float] = []
        spent: set[int] = set()
        returns = 0.0
        for branch in sketch.branches:
            first, last = branch.anchor.mention.first, branch.anchor.mention.last
            left = [n for n in reversed(numbers) if self.question.places[n] < first]
            right = [n for n in numbers if self.question.places[n] >= last]
            rows = self._rows(branch, sketch.cls)
            chosen = outward(rows, left, right, first=self.question.first_side(branch.anchor))
            similarities = [similarity for similarity, _ in chosen]
            for here, (one, other) in enumerate(pairwise(branch.path.steps)):
                if one.property != other.property or one.inverse == other.inverse:
                    continue
                there_and_back = similarities[here : here + 2]
                if self.question.shares:
                    alike = _SHARED * max(there_and_back)
                    there_and_back = [max(alike, similarity) for similarity in there_and_back]
                elif not self._goes_back(branch, here):
                    there_and_back = [max(there_and_back), 0.0]
                similarities[here : here + 2] = there_and_back
                returns += 1.0 - min(there_and_back)
            if similarities and self._is_first_implied(branch):
                similarities[0] = max(similarities[0], _IMPLIED)
            aligned += similarities
            spent |= {word for _, word in chosen if word is not None}
        for row, implied in self._hanging(sketch):
            best = max(numbers, key=lambda n: float(row[n]), default=None)
            similarity = float(row[best]) if best is not None else 0.0
            aligned.append(max(similarity, implied))
            if best is not None and similarity >= _TELLING:
                spent.add(best)
        left_over = self._left_over(sketch, [n for n in numbers if n not in spent], numbers)
        if not left_over and self._is_place_asked(sketch):
            aligned[-1] = max(aligned[-1], _IMPLIED)
        return aligned, left_over, returns

    def _is_first_implied(self, branch: Branch) -> bool:
        """Whether no word has to say the first step: a value is somebody's, a category stands for what is in it."""
        first = branch.path.steps[0]
        return branch.anchor.candidate.value is not None or (first.inverse and self.vocabulary.is_kind(first.property))

    def _hanging(self, sketch: Sketch) -> Iterator[tuple[Vectors, float]]:
        """The similarity of every word to what hangs on the answer, and how surely it is said without a word."""
        for condition in sketch.conditions:
            yield from ((self.similarities.of_step(step), 0.0) for step in condition.path.steps)
        if sketch.extreme is not None:  # "cheapest" says a price
            implied = 0.0 if sketch.extreme.by_count else _IMPLIED
            yield from ((self.similarities.of_step(step), implied) for step in sketch.extreme.path.steps)
        if sketch.projection is not None:
            yield from ((self.similarities.of_step(step), 0.0) for step in sketch.projection.steps)
        if sketch.cls is not None:
            yield self.similarities.of(sketch.cls), 0.0

    def _rows(self, branch: Branch, cls: URIRef | None) -> list[Vectors]:
        """The similarity of every word to each step; a step that alone joins two classes is said by what it leads to.

        "Which departments have transducer experts" says that they are members of departments, if nothing else relates
        people and departments. The answers are of one class, if any.
        """
        rows = []
        beside = self.question.beside(branch.anchor)
        before = branch.anchor.place
        places = list(branch.path.places)
        if cls is not None and places:
            places[-1] = places[-1] & frozenset(self.ontology.populated(cls)) or places[-1]
        for step, place in zip(branch.path.steps, places, strict=True):
            row = self.similarities.of_step(step)
            named = np.where(beside, 0.0, self.similarities.of_place(place))
            is_named = named.max(initial=0.0) >= IS_NAMED
            if is_named and not before & place and self.vocabulary.is_only_way(step.property, before, place):
                row = np.maximum(row, np.where(named >= IS_NAMED, _IMPLIED, 0.0).astype(np.float32))
            rows.append(row)
            before = place
        return rows

    def _goes_back(self, branch: Branch, here: int) -> bool:
        """Whether a second word for the relation of a step leads back to where that step starts.

        It does in "the movies directed by the director of Alien", which names what it leads back to, and in "what did
        the director of Alien direct"; in "which actors starred in Alien" both words say one step.
        """
        if self.question.shares:
            return True
        if not here and self.question.is_object(branch.anchor):  # both words say that one step
            return False
        before = branch.path.places[:here]
        start = before[-1] if before else branch.anchor.place
        named = ~self.question.beside(branch.anchor) & (self.similarities.of_place(start) >= _NAMES)
        if len(set(self.similarities.phrase_of[named])) > before.count(start):
            return True
        said = self.similarities.of_step(branch.path.steps[here]) >= IS_NAMED
        return self.question.asked is None and len(set(self.similarities.phrase_of[said])) > 1

    def _inverses(self, step: Step) -> tuple[URIRef, ...]:
        """The properties that say the same the other way round: "which rocket launched" tells of a rocket twice."""
        prop = self.ontology.properties.get(step.property)
        return prop.inverses if prop is not None else ()

    def _left_over(self, sketch: Sketch, unspent: list[int], numbers: list[int]) -> float:
        """The weight of the words that neither a step nor a place of the sketch accounts for."""
        places = [self.similarities.of_place(place) for path in sketch.paths() for place in path.places]
        places += [
            self.similarities.of_place(anchor.place) * self.question.beside(anchor) for anchor in sketch.anchors()
        ]
        places += [self.similarities.of_any(self._inverses(step)) for step in sketch.steps()]
        open_words = set(unspent)
        if None in sketch.place(self.ontology):  # what is asked for is of no class: its noun says of what kind it is
            open_words -= {self.question.asked}
        for branch in sketch.branches:
            starts = (branch.anchor.place, *branch.path.places)
            for here, step in enumerate(branch.path.steps):
                if not starts[here] & starts[here + 1] and not self._goes_back(branch, here):
                    said = self.similarities.of_step(step)
                    open_words -= {n for n in open_words if said[n] >= _TELLING}
        for row in places:
            best = max(open_words, key=lambda n: float(row[n]), default=None)
            if best is not None and row[best] >= max(_TELLING, _MOST * self.importance[best]):
                open_words.discard(best)
        telling = sum(float(self.importance[n]) for n in open_words if self.importance[n] >= _TELLING)
        return telling / max(1e-6, sum(float(self.importance[n]) for n in numbers))

    def _type_fit(self, sketch: Sketch) -> float:
        """Whether the answer is of the kind that the wording asks for, in [-1, 1]."""
        place, literal = sketch.place(self.ontology), sketch.literal
        fit = 0.0
        if self.form == "who":
            fit = -0.6 if literal else self._kin(place, KINDS["who"])
        elif self.form == "when":
            dated = literal and any(is_date(d) for d in place)
            fit = 1.0 if dated else self._ends_in(sketch, KINDS["when"])
        elif self.form == "where":
            fit = max(self._kin(place, KINDS["where"]), self._ends_in(sketch, KINDS["where"]))
        elif self.form == "how many":
            counted = literal and any(is_number(d) for d in place)
            fit = 0.3 if counted else 0.4 if sketch.form == "count" else -0.5
        if self.question.head is not None and sketch.form != "ask":
            kinds = float(self.similarities.of_place(place)[self.question.head])
            last = [path.steps[-1] for path in sketch.paths() if path.steps][-1:]
            relation = max((float(self.similarities.of_step(step)[self.question.head]) for step in last), default=0.0)
            fit += max(kinds, 0.8 * relation if literal else 0.4 * relation) - 0.3
        return max(-1.0, min(1.0, fit))

    def _head(self, sketch: Sketch) -> float:
        """How much nearer the noun that is asked for is to any term than to the answer's class or last relation."""
        if self.question.asked is None or sketch.form == "ask":
            return 0.0
        nearest = self._nearest_to_asked(sketch, away=_AWAY)
        return max(0.0, 1.0 - nearest / float(self.importance[self.question.asked]))

    def _nearest_to_asked(self, sketch: Sketch, *, away: float) -> float:
        """The similarity of the noun that is asked for to the answer's class or last relation, walked back ``away``."""
        asked = self.question.asked
        assert asked is not None  # noqa: S101 - its callers ask first
        place = float(self.similarities.of_place(sketch.place(self.ontology))[asked])
        last = [path.steps[-1] for path in sketch.paths() if path.steps][-1:]
        said = [
            float(self.similarities.of_step(step)[self.question.asked]) * (away if step.inverse else 1.0)
            for step in last
        ]
        return max(place, *said, 0.0)

    def _kinds(self, place: Place) -> Place:
        """The classes of a place, and those right above them."""
        if place not in self._kinds_of:
            above = (self.ontology.classes[c].parents for c in place if c in self.ontology.classes)
            self._kinds_of[place] = place.union(*above)
        return self._kinds_of[place]

    def _misfit(self, sketch: Sketch) -> float:
        """How much nearer than the answer anything of the graph is to what is asked for: by question word, by noun."""
        return max(self._misfit_of_word(sketch), self._misfit_of_noun(sketch))

    def _misfit_of_word(self, sketch: Sketch) -> float:
        """How much nearer than the answer any class or date of the graph is to what the question word asks for."""
        if self.form not in KINDS or sketch.form != "select" or _NAMES_ITS_KIND.search(self.links.question):
            return 0.0
        place = sketch.place(self.ontology)
        fit = self._ends_in(sketch, KINDS[self.form]) if self.form != "who" else 0.0
        fit = max(fit, float(sketch.literal and self.form == "when" and any(is_date(d) for d in place)))
        if not sketch.literal:
            fit = max(fit, self._kin(place, KINDS[self.form]))
        return max(0.0, self._best_kin - max(0.0, fit))

    def _misfit_of_noun(self, sketch: Sketch) -> float:
        """How much nearer the noun that is asked for is to a class of its name than to the answer's or its relation."""
        if self.question.asked is None or sketch.form == "ask":
            return 0.0
        named = float(self.similarities.of_any(self._populated)[self.question.asked])
        if named < IS_NAMED:
            return 0.0
        return max(0.0, named - self._nearest_to_asked(sketch, away=1.0))

    @cached_property
    def _best_kin(self) -> float:
        """How much the class that is most of the kind that the question word asks for is of it; dates are all dates."""
        if self.form == "when":
            return 1.0
        return self._kin(self._populated, KINDS[self.form])

    @cached_property
    def _populated(self) -> Place:
        """The classes that have instances of their own."""
        return frozenset(c.iri for c in self.ontology.classes.values() if c.instances)

    def _kin(self, place: Place, names: Sequence[str]) -> float:
        """How much a place is of a kind, in [-0.5, 1]: what its classes and those above them mean."""
        classes = {above for c in place if c is not None for above in self.ontology.superclasses(c)}
        labels = [self.ontology.label(c).lower() for c in classes]
        if not labels:
            return 0.0
        cosines = self.index.phrase_vectors(labels) @ self.index.phrase_vectors(list(names)).T
        return float(np.clip((cosines.max() - 0.3) / 0.4, -0.5, 1.0))

    def is_of_kind(self, cls: URIRef, form: Form) -> bool:
        """Whether a class is of the kind that a question word asks for."""
        return self._kin(frozenset({cls}), KINDS[form]) > _OF_KIND

    def is_of_other_kind(self, sketch: Sketch | Table) -> bool:
        """Whether no answer can be what the question begins to ask for: a place for "when", a number for "who"."""
        if not self.links.tokens or asks_for(self.links.tokens[0].text) != self.form:
            return False
        if isinstance(sketch, Table):
            path = sketch.columns[0].place.path
            if sketch.columns[0].function is not None:
                return False
            is_literal, place = path.literal, path.end if path.steps else frozenset({sketch.cls})
        elif sketch.form == "select":
            is_literal, place = sketch.literal, sketch.place(self.ontology)
        else:
            return False
        if self.form == "when":
            no_time = (end is not None and not self.is_of_kind(end, "when") for end in place)
            return bool(place) and not is_literal and all(no_time)
        is_measure = bool(place) and is_literal and all(is_date(end) or is_number(end) for end in place)
        return self.form in {"who", "where"} and is_measure

    def _ends_in(self, sketch: Sketch, names: Sequence[str]) -> float:
        last = [path.steps[-1] for path in sketch.paths() if path.steps][-1:]
        labels = [self.ontology.label(step.property).lower() for step in last]
        if not labels:
            return 0.0
        cosines = self.index.phrase_vectors(labels) @ self.index.phrase_vectors(list(names)).T
        return float(np.clip((cosines.max() - 0.3) / 0.4, -0.5, 1.0)) * 0.8

    def add_meaning(self, scored: Sequence[Scored]) -> list[Scored]:
        """The same, each with its phrase's similarity to the question (names masked by their classes) added."""
        if not scored:
            return []
        questions = [masked(self.links, item.sketch, self.ontology) for item in scored]
        phrases = [phrase(item.sketch, self.ontology) for item in scored]
        texts = list(dict.fromkeys([*questions, *phrases]))
        vectors: Vectors = self.index.phrase_vectors(texts)
        row = {text: number for number, text in enumerate(texts)}
        meant = []
        for item, question, said in zip(scored, questions, phrases, strict=True):
            features = item.features.copy()
            features[-1] = float(vectors[row[question]] @ vectors[row[said]])
            meant.append(replace(item, features=features))
        return sorted(meant, key=lambda item: -item.score)
