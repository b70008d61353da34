"""Limits: the numbers and dates that a question puts as bounds, held on literals that the answers have.

A limit is not left out: a reading that cannot hold it is none.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from kgllm.datatypes import is_date, is_number
from kgllm.paths import Place, RelationPath, SchemaGraph
from kgllm.scoring import Scorer
from kgllm.sketch import Condition, Sketch
from kgllm.terms import Literal, URIRef
from kgllm.vocabularies import XSD
from kgllm.words import Bound, superlative

__all__ = ["Limits", "condition_on"]

_OPTIONS = 4  # attributes that a limit may be meant of
_AS_LIKELY = 0.3  # how much less like the likeliest attribute another may be
_FAR = 0.02  # what each token between a limit and the word for its attribute takes from their likeness
_SAID = 0.4  # likeness from which a word says the attribute of a year that is no date
_OF_TIME = re.compile(r"(?:after|since|later|before|earlier|prior|until|in|during|nach|vor)\b", re.I)


class Limits:
    """The limits of one question."""

    def __init__(self, limits: Sequence[Bound], scorer: Scorer, schema: SchemaGraph) -> None:
        self._limits = limits
        self._scorer = scorer
        self._schema = schema
        self.options = cache(self._options)  # many sketches of a question have their answers in one place

    def unheld(self, sketch: Sketch) -> list[Bound]:
        """Those that are no part of a name which the sketch uses, as the year is of "the 2014 World Cup"."""
        if not self._limits:
            return []
        spans = [self._scorer.links.span(anchor.mention) for anchor in sketch.anchors()]
        return [b for b in self._limits if not any(first < b.end and b.start < last for first, last in spans)]

    def hold(self, sketch: Sketch) -> Iterator[Sketch]:
        """The sketch with all of them put on literals that its answers have, the likeliest first."""
        unheld: dict[tuple[int, int], list[Bound]] = defaultdict(list)
        for bound in self.unheld(sketch):
            unheld[bound.start, bound.end].append(bound)  # both ends of "between 2 and 5" are of one attribute
        if not unheld:
            yield sketch
            return
        place = sketch.place_before_projection(self._schema.ontology)
        first, *rest = (self.options(tuple(together), place) for together in unheld.values())
        if all(rest):
            others = tuple(condition for options in rest for condition in options[0])
            yield from (replace(sketch, conditions=(*conditions, *others)) for conditions in first)

    def _options(self, together: Sequence[Bound], place: Place) -> list[tuple[Condition, ...]]:
        """The conditions that limits put together, on each attribute that they may be meant of, the likeliest first."""
        found: list[tuple[float, tuple[Condition, ...]]] = []
        for path in self._schema.extend(RelationPath(), place):
            if not self._is_ordered(path):
                continue
            likeness = self._likeness(path, together[0])
            conditions = [condition_on(path, bound) for bound in together]
            held = tuple(condition for condition in conditions if condition is not None)
            if len(held) == len(together) and (likeness >= _SAID or not self._is_odd(path, together[0])):
                found.append((likeness, held))
        best = max((likeness for likeness, _ in found), default=0.0)
        likely = [(likeness, held) for likeness, held in found if likeness > best - _AS_LIKELY]
        return [held for _, held in sorted(likely, key=lambda item: -item[0])[:_OPTIONS]]

    def _is_ordered(self, path: RelationPath) -> bool:
        """Whether a path leads to dates or numbers, typed or written as text."""
        is_typed = any(is_number(d) or is_date(d) for d in path.end)
        return path.literal and (is_typed or self._scorer.vocabulary.has_numbers(path.steps[0].property))

    def _is_odd(self, path: RelationPath, bound: Bound) -> bool:
        """Whether a point in time would limit a number that is called no year: a mass after 1968."""
        is_time = bound.is_year and _OF_TIME.match(self._said(bound)) is not None
        label = self._schema.ontology.label(path.steps[0].property).lower()
        return is_time and not any(is_date(d) for d in path.end) and "year" not in label.split()

    def _likeness(self, path: RelationPath, bound: Bound) -> float:
        """How surely a limit is one of an attribute: by words of the question near it, or by its own ("heavier")."""
        question = self._scorer.question
        tokens = self._scorer.links.tokens
        here = next((place for place, token in enumerate(tokens) if token.end > bound.start), len(tokens))
        by_word = self._scorer.similarities.of_step(path.steps[0])
        near = [float(s) - _FAR * abs(place - here) for s, place in zip(by_word, question.places, strict=True)]
        compared = superlative(self._said(bound), comparative=True)
        if compared is not None:
            index = self._scorer.index
            label = self._schema.ontology.label(path.steps[0].property).lower()
            near.append(
                float((index.phrase_vectors([label]) @ index.phrase_vectors(list(compared.quantities)).T).max())
            )
        return max(near, default=0.0)

    def _said(self, bound: Bound) -> str:
        return self._scorer.links.question[bound.start : bound.end]


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
