"""The forms of a question: what each term is that no condition has taken, by the marks that stand before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import cast

import numpy as np

from kgllm.query import Function
from kgllm.tables.asked import Asked
from kgllm.tables.lexicon import Option, Term
from kgllm.tables.marks import Mark
from kgllm.tables.parts import Condition, Counted, Ordering, Parts, Shown
from kgllm.terms import URIRef
from kgllm.words import is_descending, is_function_word

__all__ = ["Forms"]

_CLASS = 0.6  # score from which a word may be a class
_SHOWN = 0.85  # score of an attribute that is shown though no form asks for it
_QUANTITY = 0.35  # cosine from which an adjective may mean an attribute
_WAITING = frozenset(["function", "count", "each", "most", "common", "extreme"])
"""Marks that say what the term behind them is."""


@dataclass(frozen=True, slots=True)
class _Meant:
    """What a term means: its best class and its attribute."""

    term: Term
    cls: Option | None
    attribute: Option | None

    @property
    def best(self) -> Option | None:
        """The likelier of the two; the class if they are even."""
        if self.cls is None or (self.attribute is not None and self.attribute.score > self.cls.score):
            return self.attribute
        return self.cls


class Forms:
    """Reads the forms of one question into the parts of a table."""

    def __init__(self, asked: Asked, parts: Parts) -> None:
        self.asked = asked
        self.parts = parts

    def read(self) -> None:
        """Add them to the parts, the terms from left to right."""
        sentence = 0
        orders: list[Mark] = []
        waiting: list[Mark] = []
        last: Term | None = None
        items: list[Term | Mark] = [*self.asked.terms, *self.asked.marks]
        for item in sorted(items, key=lambda item: item.first):
            if isinstance(item, Term):
                if orders:
                    self._sort(item, orders, waiting)
                    waiting = []
                elif item not in self.asked.claimed and self._take(item, waiting, sentence):
                    waiting = []
                last = item
            elif item.kind == "sentence":
                self._end([*waiting, *orders], sentence, last)
                sentence, orders, waiting = sentence + 1, [], []
            elif item.kind == "order":
                orders.append(item)
                self._turn(item)
            elif item.kind in _WAITING:
                waiting.append(item)
        self._end([*waiting, *orders], sentence, last)

    def _sort(self, term: Term, orders: Sequence[Mark], waiting: Sequence[Mark]) -> None:
        """Keep all rows in the order of the first attribute behind "sorted by", or of how many there are of a class."""
        counts = [mark for mark in waiting if mark.kind == "count"]
        classes = [option for option in term.classes() if option.score >= _CLASS]
        chosen = classes[0] if counts and classes else self.asked.attribute(term)
        if chosen is None and classes:  # "sort the authors by age"
            self._be_there(classes[0], term)
        if chosen is not None and self.parts.order is None:
            is_reversed = any(mark.descending for mark in orders)
            self.parts.order = Ordering(chosen, is_reversed, None, by_count=chosen.step is None)
            self.parts.read.update([term, *orders, *counts])

    def _turn(self, mark: Mark) -> None:
        """Turn an order round that is said to descend behind what it is by."""
        order = self.parts.order
        if mark.descending and order is not None and order.most is None:
            self.parts.order = replace(order, descending=True)
        if order is not None and order.most is None:
            self.parts.read.add(mark)

    def _take(self, term: Term, waiting: Sequence[Mark], sentence: int) -> bool:
        """Give a term the part that the waiting marks ask for; false if they wait on for the next."""
        classes = [option for option in term.classes() if option.score >= _CLASS]
        meant = _Meant(term, classes[0] if classes else None, self.asked.attribute(term))
        by_kind = {mark.kind: mark for mark in reversed(waiting)}
        if self.asked.is_denied(term.first):
            if (option := meant.cls or meant.attribute) is not None and "count" not in by_kind:
                self.parts.absent.append(Condition(option))
                self.parts.read.add(term)
                self.parts.said.append(option.score)
            return True
        if meant.cls is not None and self.asked.qualifies(term):
            return self._be_there(meant.cls, term)
        if "function" in by_kind:
            return self._compute(meant, [mark for mark in waiting if mark.kind == "function"], sentence)
        if order := by_kind.get("most") or by_kind.get("extreme"):
            return self._order(meant, order)
        best = meant.best
        if best is None:
            return True
        if common := by_kind.get("common"):
            shown = meant.attribute or best
            if shown.step is None:  # each thing is one of itself
                return True
            self._show(shown, sentence)
            self.parts.read.update([term, common])
            self.parts.order = Ordering(None, common.descending, int(common.value), by_count=True)
        elif "each" in by_kind:
            self._group(best, sentence)
            self.parts.read.update([term, by_kind["each"]])
            return "count" not in by_kind  # "how many does each singer have"
        elif "count" in by_kind:
            self.parts.counted.append(Counted(sentence, best))
            self.parts.read.update([term, by_kind["count"]])
            self.parts.said.append(best.score)
        elif best.step is None:
            self._be_there(best, term)
        elif best.score >= _SHOWN and not self._is_of_count(term, sentence):
            self._show(best, sentence)
            self.parts.read.add(term)
        elif meant.cls is not None:
            self._be_there(meant.cls, term)
        return True

    def _be_there(self, option: Option, term: Term) -> bool:
        """Have things of a class be there; the marks wait on."""
        self.parts.read.add(term)
        self.parts.present.append(option)
        self.parts.said.append(option.score)
        return False

    def _show(self, option: Option, sentence: int, function: Function | None = None) -> None:
        self.parts.shown.append(Shown(sentence, option, function))
        self.parts.said.append(option.score)

    def _is_of_count(self, term: Term, sentence: int) -> bool:
        """Whether an attribute only says more of what is counted: no group is asked for, nor is it listed."""
        is_counted = any(counted.sentence == sentence for counted in self.parts.counted)
        is_shown = any(shown.sentence == sentence for shown in self.parts.shown)
        is_grouped = any(mark.kind == "each" for mark in self.asked.marks)
        is_listed = self.asked.tokens[term.first - 1].lower == "and"
        return is_counted and not (is_shown or is_grouped or is_listed)

    def _compute(self, meant: _Meant, functions: Sequence[Mark], sentence: int) -> bool:
        numbers = [option for option in meant.term.attributes() if self.asked.lexicon.has_order(option)]
        chosen = self.asked.attribute(meant.term, numbers)
        if chosen is None:
            return self._be_there(meant.cls, meant.term) if meant.cls is not None else False
        self.parts.read.update([meant.term, *functions])
        for mark in functions:
            self._show(chosen, sentence, cast(Function, mark.value))
        return True

    def _group(self, option: Option, sentence: int) -> None:
        if option.step is None:
            self.parts.keys.append(option)
            self.parts.said.append(option.score)
        else:
            self._show(option, sentence)

    def _order(self, meant: _Meant, mark: Mark) -> bool:
        """Order by a term: by an attribute of numbers or dates, or for "most" by how many there are."""
        parts, most = self.parts, int(mark.value)
        if parts.order is not None:
            return False
        numbers = [option for option in meant.term.attributes() if self.asked.lexicon.has_order(option)]
        ordered = self.asked.attribute(meant.term, numbers)
        is_attribute = meant.best is not None and meant.best.step is not None
        if ordered is not None and is_attribute:
            parts.order = Ordering(ordered, self._is_descending(ordered, mark), most)
        elif mark.kind == "most" and (option := meant.cls or meant.attribute) is not None:
            parts.order = Ordering(option, mark.descending, most, by_count=True)
        elif meant.cls is not None and (quantity := self._quantity(meant.cls.cls, mark)) is not None:
            parts.order = Ordering(quantity, self._is_descending(quantity, mark), most)
            parts.present.append(meant.cls)
        else:
            return False
        parts.read.update([meant.term, mark])
        parts.said.append((meant.best or parts.order.option or Option(1.0, URIRef(""))).score)
        return True

    def _is_descending(self, option: Option, mark: Mark) -> bool:
        label = self.asked.lexicon.ontology.label(option.step.property) if option.step is not None else ""
        return is_descending(mark.quantities, label, descending=mark.descending)

    def _quantity(self, cls: URIRef, mark: Mark) -> Option | None:
        """The attribute of a class that an adjective may mean."""
        lexicon = self.asked.lexicon
        options = [(o, o.step) for o in lexicon.attributes.get(cls, ()) if o.is_ordered and o.step is not None]
        if not options or not mark.quantities:
            return None
        index = lexicon.vocabulary.index
        names = [lexicon.ontology.label(step.property).lower() for _, step in options]
        near = (index.phrase_vectors(names) @ index.phrase_vectors(list(mark.quantities)).T).max(axis=1)
        best = int(np.argmax(near))
        return options[best][0] if near[best] >= _QUANTITY else None

    def _end(self, waiting: Sequence[Mark], sentence: int, last: Term | None) -> None:
        """Marks behind which no term stands: "the count", "whose area is the largest", "in alphabetical order"."""
        for mark in waiting:
            if mark.kind == "count":
                self.parts.counted.append(Counted(sentence))
                self.parts.read.add(mark)
            elif mark.kind == "each" and self._is_last(mark) and (self.parts.counted or self.parts.shown):
                self.parts.read.add(mark)  # the rows are of what is shown: "show the names and the number for each"
            elif mark.kind == "order" and self.parts.order is None and self._is_last(mark):
                shown = next((s for s in self.parts.shown if s.sentence == sentence and s.function is None), None)
                if shown is not None and not mark.quantities:
                    self.parts.order = Ordering(shown.option, mark.descending, None)
                    self.parts.read.add(mark)
            elif mark.kind in {"extreme", "most"} and last is not None and self.parts.order is None:
                ordered = self.asked.attribute(last, [option for option in last.attributes() if option.is_ordered])
                if ordered is not None:
                    self.parts.shown = [s for s in self.parts.shown if s.option != ordered]
                    self.parts.order = Ordering(ordered, self._is_descending(ordered, mark), int(mark.value))
                    self.parts.read.update([last, mark])

    def _is_last(self, mark: Mark) -> bool:
        """Whether no word of content stands between a mark and the end of its sentence."""
        ahead = takewhile(lambda token: token.text not in ".?;!", self.asked.tokens[mark.last :])
        return not any(token.is_word and not is_function_word(token.text) for token in ahead)
