"""The conditions of a question: each number, text and name, with the attribute or class that stands beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from kgllm.link import Candidate, Mention
from kgllm.quantities import unit_behind
from kgllm.query import Operator
from kgllm.sketch import Anchor
from kgllm.tables.asked import Asked
from kgllm.tables.lexicon import CLASS, Option, Term
from kgllm.tables.marks import Mark
from kgllm.tables.parts import Condition, Parts

__all__ = ["Conditions"]

_NEAR = 4  # tokens between "more than" and its number
_SAID = 0.3  # how much likelier a name is that of what stands beside it
_STEP = 0.05  # what each step to a class that is named takes from a candidate
_AS_SURE = 0.05  # how much less sure a number of things may be than a number in an attribute
_YEAR = 4  # digits
_OF = frozenset(["of", "for", "from", "in", "by"])  # between what is asked of a thing and its name
_NEAREST = 1  # steps to the attribute of a year that no word says


class Conditions:
    """Reads the conditions of one question into the parts of a table."""

    def __init__(self, asked: Asked, parts: Parts) -> None:
        self.asked = asked
        self.parts = parts
        self._last: Option | None = None  # the attribute of the last number, for one without

    def read(self) -> None:
        """Add them to the parts, and claim the terms that they take."""
        for mark in self.asked.marks:
            if mark.kind == "number":
                self._number(mark)
            elif mark.kind == "average":
                self._average(mark)
            elif mark.kind == "text":
                self._text(mark)
        for mention in self.asked.mentions:
            self._name(mention)

    def _number(self, mark: Mark) -> None:
        """A number, with what is beside it: of how many things, or an attribute that it is a value of."""
        asked = self.asked
        if any(first <= mark.first < last for first, last in asked.texts):
            self.parts.read.add(mark)
            return
        near = self._operator_before(mark)
        beyond = next((m for m in asked.marks if m.kind == "beyond" and m.first == mark.last), None)
        operator = self._operator(mark, near, beyond)
        is_word = not asked.tokens[mark.first].text[0].isdigit()
        if is_word and operator is None:
            self.parts.read.update([mark] if mark.value == "1" else [])  # "which one"
            return
        start = near.first if near is not None and beyond is None else mark.first
        behind = self._behind(beyond or mark)
        if behind is not None and self._is_unit(behind):
            asked.claimed.add(behind)
            self.parts.read.add(behind)
            behind = None
        before = asked.before(start)
        if near is not None:  # "above age 20"
            before = next((t for t in asked.terms if near.last <= t.first and t.last == mark.first), before)
        said = [mark, *(other for other in (near, beyond) if other is not None)]
        if operator is not None and behind is not None and (of := self._counted(behind)) is not None:
            asked.claimed.add(behind)
            self.parts.read.update([behind, *said])
            self.parts.having.append((of, operator, mark.value))
            self.parts.said.append(of.score)
            return
        if operator is not None and behind is None and (related := self._related(beyond or mark)) is not None:
            self.parts.read.update([related, *said])
            self.parts.having.append((related.options[0], operator, mark.value))
            self.parts.said.append(related.options[0].score)
            return
        for term in (behind, before):
            ordered = [o for o in term.attributes() if asked.lexicon.has_order(o)] if term is not None else []
            if term is not None and (chosen := asked.attribute(term, ordered)) is not None:
                self._claim(term, Condition(chosen, operator or "=", (mark.value,)), mark.first)
                self._last = chosen
                self.parts.read.update(said)
                return
        is_listed = bool(asked.numbers_between(mark.first - 2, mark.first - 1))  # "in grade 9 or 10"
        if self._last is not None and (operator is not None or is_listed) and asked.joined_by(start) is not None:
            self._hold(Condition(self._last, operator or "=", (mark.value,)), mark.first)
            self.parts.read.update(said)
        elif len(mark.value) == _YEAR and (year := self._year()) is not None:
            self._hold(Condition(year, operator or "=", (mark.value,)), mark.first)
            self.parts.read.update(said)

    def _behind(self, mark: Mark) -> Term | None:
        """The term behind a number, or behind the next one if the two are joined: "between 2 and 5 pages"."""
        following = next((m for m in self.asked.numbers_between(mark.last, mark.last + 2)), None)
        if following is not None and self.asked.tokens[following.first - 1].lower in {"and", "or", "to"}:
            return self._behind(following)
        return self.asked.behind(mark.last)

    def _operator_before(self, mark: Mark) -> Mark | None:
        """The comparison that stands before a number, and before no other one; "between" stands before two."""
        near = [m for m in self.asked.marks if m.kind == "operator" and mark.first - _NEAR <= m.last <= mark.first]
        if not near:
            return None
        is_taken = bool(self.asked.numbers_between(near[-1].last, mark.first)) and near[-1].value != "between"
        return None if is_taken else near[-1]

    def _operator(self, mark: Mark, near: Mark | None, beyond: Mark | None) -> Operator | None:
        if beyond is not None:
            return cast(Operator, beyond.value)
        if near is None:
            return None
        if near.value == "between":
            return "<=" if self.asked.numbers_between(near.last, mark.first) else ">="
        return cast(Operator, near.value)

    def _is_unit(self, term: Term) -> bool:
        """Whether a term behind a number is but a unit of it: "8000 metres" may well be of an elevation."""
        tokens = self.asked.tokens[term.first : term.last]
        is_unit = bool(unit_behind(tokens[0].text, 0)) and len(tokens) == 1
        return is_unit and not self.asked.lexicon.is_name(tokens[0])

    def _related(self, mark: Mark) -> Term | None:
        """The word behind a number that names a relation of what is asked for: "more than 5 members"."""
        token = self.asked.tokens[mark.last] if mark.last < len(self.asked.tokens) else None
        if token is None or not token.is_word:
            return None
        lexicon, tokens = self.asked.lexicon, self.asked.tokens
        option = lexicon.relation(token, self.asked.anchored)
        if option is None:
            return None
        behind = tokens[mark.last + 1] if mark.last + 1 < len(tokens) else None  # "more than 5 crew members"
        after = lexicon.relation(behind, self.asked.anchored) if behind is not None and behind.is_word else None
        is_longer = after is not None and after.is_same(option)
        return Term(mark.last, mark.last + 1 + is_longer, (option,))

    def _counted(self, term: Term) -> Option | None:
        """The class whose things a number counts, or else the attribute whose values; ``None`` for one of numbers."""
        classes = [option for option in term.classes() if option.score >= CLASS]
        if not classes:
            attribute = self.asked.attribute(term)
            is_ordered = any(self.asked.lexicon.has_order(option) for option in term.attributes())
            return None if is_ordered else attribute
        least = classes[0].score - _AS_SURE
        return None if any(o.is_numeric and o.score > least for o in term.attributes()) else classes[0]

    def _year(self) -> Option | None:
        """The attribute of years nearest to what is named."""
        asked, label = self.asked, self.asked.lexicon.ontology.label
        options = [option for own in asked.lexicon.attributes.values() for option in own if option.step is not None]
        years = [option for option in options if option.step and "year" in label(option.step.property).lower().split()]
        nearest = min(years, key=lambda option: (asked.far(option.cls), option.cls), default=None)
        return nearest if nearest is not None and asked.far(nearest.cls) <= _NEAREST else None

    def _average(self, mark: Mark) -> None:
        """What is above or below the average of all."""
        term = self.asked.behind(mark.last) or self.asked.before(mark.first)
        ordered = [o for o in term.attributes() if o.is_ordered] if term is not None else []
        if term is not None and (chosen := self.asked.attribute(term, ordered)) is not None:
            self._claim(term, Condition(chosen, cast(Operator, mark.value), average=True), mark.first)
            self.parts.read.add(mark)

    def _text(self, mark: Mark) -> None:
        """What contains a text."""
        texts = (text for (first, _), text in self.asked.texts.items() if mark.last <= first < mark.last + 2)
        text, term = next(texts, ""), self.asked.before(mark.first)
        if text and term is not None and (chosen := self.asked.attribute(term)) is not None:
            self._claim(term, Condition(chosen, cast(Operator, mark.value), (text,)), mark.first)
            self.parts.read.add(mark)

    def _name(self, mention: Mention) -> None:
        """What is named, with the attribute or the class beside it."""
        asked = self.asked
        usable = [c for c in mention.candidates if c.kind in {"node", "value"} and asked.classes_of(c)]
        if not usable:
            return
        beside = [term for term in (asked.before(mention.first), asked.behind(mention.last)) if term is not None]

        def fit(candidate: Candidate) -> tuple[float, float]:
            is_said = any(self._is_said(term, mention, candidate) for term in beside)
            far = min(asked.far(cls) for cls in asked.classes_of(candidate))
            return (candidate.score + _SAID * is_said - _STEP * far, candidate.score)

        candidate = max(usable, key=fit)
        said = [term for term in beside if self._is_said(term, mention, candidate)][:1]
        asked.claimed.update(said)
        self.parts.read.update(said)
        cls = min(asked.classes_of(candidate), key=asked.far)
        option = Option(candidate.score, cls)
        if candidate.value is not None:
            prop = candidate.value.property
            option = next(o for o in asked.lexicon.attributes[cls] if o.step is not None and o.step.property == prop)
        self._hold(Condition(option, anchors=(Anchor(mention, candidate, frozenset({cls})),)), mention.first)

    def _is_said(self, term: Term, mention: Mention, candidate: Candidate) -> bool:
        """Whether a term is what a name is: its attribute, its class, or a text of things of its class."""
        if candidate.value is not None:
            return any(o.step is not None and o.step.property == candidate.value.property for o in term.options)
        asked, classes = self.asked, self.asked.classes_of(candidate)
        is_of = any(token.lower in _OF for token in asked.tokens[term.last : mention.first])
        return any(o.cls in classes and (o.step is None or not (o.is_ordered or is_of)) for o in term.options)

    def _claim(self, term: Term, condition: Condition, place: int) -> None:
        self.asked.claimed.add(term)
        self.parts.read.add(term)
        self.parts.said.append(condition.option.score)
        self._hold(condition, place)

    def _hold(self, condition: Condition, place: int) -> None:
        """Hold a condition; of two on one attribute one has to hold, or if they are joined by "and" each apart."""
        is_denied = self.asked.is_denied(place)
        where = self.parts.absent if is_denied else self.parts.held
        for number, other in enumerate(where):
            if other.is_choice_with(condition):
                is_any = self.asked.joined_by(place) == "or" or not (other.anchors or "both" in self.asked.words)
                if is_denied or is_any:
                    where[number] = other.or_else(condition)
                    return
                where[number] = replace(other, apart=True)
                condition = replace(condition, apart=True)
        where.append(condition)
