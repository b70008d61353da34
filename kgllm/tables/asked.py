"""A question as its terms, marks, names and texts in their places, and what stands beside what."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from kgllm.link import Candidate, Links, Mention
from kgllm.tables.lexicon import CLASS, Lexicon, Option, Term
from kgllm.tables.marks import Mark, marks
from kgllm.terms import URIRef
from kgllm.words import is_function_word

__all__ = ["Asked"]

_NAMED = 0.5  # score from which a mention names something
_IS_NAME = 0.9  # score from which a word is the name of an attribute or its last word
_BEFORE, _AHEAD, _NAMED_CLASS, _STEP, _COMPANY = 0.4, 0.3, 0.15, 0.1, 0.05
"""How much likelier an attribute is meant that is of the class right before it, of the class that a list of attributes
leads to, of one named anywhere; what each step to the nearest of these takes; what each term of the same class adds."""
_POSSESSIVE = frozenset(["s", "'s", "’s"])
_LISTED = frozenset("of for from the all each every a an in to s any this these and or".split())  # noqa: SIM905
_GRAMMAR = frozenset("named called value".split())  # noqa: SIM905
_WHICH = frozenset("which what welche welcher welches welchem welchen".split())  # noqa: SIM905
_SORTS = frozenset("order orders sort sorts rank ranks".split())  # noqa: SIM905
"""Nouns that are verbs of sorting where the graph has nothing of that name."""
_CLAUSE = frozenset("and but who whose which that is are was were has have had do does did".split())  # noqa: SIM905
"""Words that begin a new clause."""
_OPENING = frozenset("'\"=“‘(:-")
_FURTHEST = 4  # words between a term and what is said of it


class Asked:
    """One question. ``claimed`` are the terms that a condition has taken."""

    def __init__(self, links: Links, lexicon: Lexicon) -> None:
        self.links = links
        self.lexicon = lexicon
        self.tokens = links.tokens
        self.words = {token.lower for token in self.tokens}
        names = [*lexicon.names(self.tokens), *((place, place + 1) for place, _ in lexicon.shared(self.tokens))]
        names += [(p, p + 1) for p, t in enumerate(self.tokens) if t.lower in _SORTS and lexicon.is_name(t)]
        self.mentions = [
            m
            for m in links.mentions
            if m.score >= _NAMED
            and m.candidates[0].kind in {"node", "value"}
            and not any(first <= m.first and m.last <= last for first, last in names)
        ]
        taken = [(m.first, m.last) for m in self.mentions]
        self.marks = marks(links.question, self.tokens, taken=[*taken, *names])
        self.texts = dict(self._texts())
        taken += [(mark.first, mark.last) for mark in self.marks]
        self.terms = lexicon.terms(self.tokens, taken=[*taken, *self.texts]) if self.may_be_table else []
        self.terms = sorted([*self.terms, *self._kind_asked_for()], key=lambda term: term.first)
        self.claimed: set[Term] = set()
        self.anchored = self._anchored()

    @property
    def may_be_table(self) -> bool:
        """Whether there is a word for a form in it, a list, or "all"."""
        return any(mark.kind != "sentence" for mark in self.marks) or bool({"and", "or", ",", "all"} & self.words)

    def _kind_asked_for(self) -> Iterator[Term]:
        """The class that the word right behind "which" is likest to, where it names nothing better: of universities."""
        items: list[Term | Mention | Mark] = [*self.terms, *self.mentions, *self.marks]
        taken = {place for item in items for place in range(item.first, item.last)}
        for place, token in enumerate(self.tokens[1:], start=1):
            is_asked_for = self.tokens[place - 1].lower in _WHICH and token.is_word and place not in taken
            if self.terms and is_asked_for and (meant := self.lexicon.nearest_class(token)) is not None:
                yield Term(place, place + 1, (meant,))

    def _texts(self) -> Iterator[tuple[tuple[int, int], str]]:
        """The text behind "contains", in quotation marks or the one word there is, by its place."""
        for mark in self.marks:
            first = mark.last
            if mark.kind != "text" or first >= len(self.tokens):
                continue
            while first + 1 < len(self.tokens) and self.tokens[first].lower in {"the", "a", "an"}:
                first += 1
            if self.tokens[first].is_word:
                yield (first, first + 1), self.tokens[first].text
                continue
            closing = [p for p in range(first + 1, len(self.tokens)) if self.tokens[p].text in "'\"’”»"]
            if closing and closing[0] > first + 1:
                inside = self.links.question[self.tokens[first].end : self.tokens[closing[0]].start]
                yield (first, closing[0] + 1), inside

    def _anchored(self) -> list[URIRef]:
        """The classes that the question surely names, by themselves or by a thing of theirs."""
        best = [term.options[0] for term in self.terms]
        found = [option.cls for option in best if option.step is None and option.score >= CLASS]
        found += [cls for m in self.mentions for cls in self.classes_of(m.candidates[0])]
        return list(dict.fromkeys(found))

    def classes_of(self, candidate: Candidate) -> list[URIRef]:
        """The classes of what is named, or of the things that have the value."""
        attributes = self.lexicon.attributes
        if candidate.description is not None:
            return [cls for cls in candidate.description.types if cls in attributes]
        assert candidate.value is not None  # noqa: S101 - a candidate is one or the other
        prop = candidate.value.property
        return [cls for cls, options in attributes.items() if any(o.step and o.step.property == prop for o in options)]

    def far(self, cls: URIRef) -> int:
        """How many steps it is from a class to the nearest one that the question names."""
        return min((self.lexicon.distance(named, cls) for named in self.anchored), default=0)

    def attribute(self, term: Term, options: Sequence[Option] | None = None) -> Option | None:
        """The attribute that a term means, of some or of all it may: that of the class which stands nearest."""
        before, ahead = self._classes_before(term), self._classes_ahead(term)

        def fit(option: Option) -> float:
            if option.cls in before:
                return option.score + _BEFORE
            if option.cls in ahead:
                return option.score + _AHEAD
            if option.cls in self.anchored:
                return option.score + _NAMED_CLASS
            company = sum(any(other.cls == option.cls for other in t.options) for t in self.terms)
            return option.score - _STEP * self.far(option.cls) + _COMPANY * company

        return max(term.attributes() if options is None else options, key=fit, default=None)

    def _classes_before(self, term: Term) -> list[URIRef]:
        """The classes that the word right before a term means: "singer" of "singer names"."""
        before = [t for t in self.terms if t.last <= term.first and self._only(t.last, term.first, _POSSESSIVE)]
        return [option.cls for t in before for option in t.classes() if option.score >= CLASS]

    def _classes_ahead(self, term: Term) -> list[URIRef]:
        """The classes of the next term behind a list: "singers" of "names and ages of the singers"."""
        counted = {mark.last for mark in self.marks if mark.kind in {"count", "most"}}
        place = term.last
        while place < len(self.tokens):
            here = next((t for t in self.terms if t.first == place), None)
            mark = next((m for m in self.marks if m.first == place), None)
            if here is not None:
                classes = [option.cls for option in here.classes() if option.score >= CLASS]
                is_named = place not in counted and not here.attributes()
                if classes and (is_named or self._is_behind_of(place)):
                    return classes
                place = here.last
            elif mark is not None and mark.kind in {"count", "function", "each"}:
                place = mark.last
            elif mark is None and (self.tokens[place].text in {",", "'s", "’s"} or self.tokens[place].lower in _LISTED):
                place += 1
            else:
                break
        return []

    def _is_behind_of(self, place: int) -> bool:
        return any(t.lower in {"of", "for", "each", "every"} for t in self.tokens[max(0, place - 3) : place])

    def _only(self, first: int, last: int, words: Collection[str]) -> bool:
        """Whether no word but some stands between two places."""
        return all(t.lower in words or not (t.is_word or t.text in ".?;") for t in self.tokens[first:last])

    def before(self, place: int) -> Term | None:
        """The term that ends before a place with nothing but grammar and marks of conditions between."""
        kinds = {"operator", "not", "text", "average"}
        inside = {p for m in self.marks if m.kind in kinds for p in range(m.first, m.last)}
        term = next((term for term in reversed(self.terms) if term.last <= place), None)
        if term is None:
            return None
        between = [self.tokens[p] for p in range(term.last, place) if p not in inside]
        is_near = all(t.lower in _GRAMMAR or is_function_word(t.text) or t.text in _OPENING for t in between)
        return term if is_near and len(between) <= _FURTHEST else None

    def behind(self, place: int) -> Term | None:
        """The term that begins at a place."""
        ahead = (term for term in self.terms if term.first >= place)
        return next((term for term in ahead if self._only(place, term.first, {"different", "distinct"})), None)

    def qualifies(self, term: Term) -> bool:
        """Whether a term says of which class the attribute right behind it is, as in "singer names"."""
        ahead = (t for t in self.terms if term.last <= t.first <= term.last + 1)
        behind = next((t for t in ahead if self._only(term.last, t.first, _POSSESSIVE)), None)
        if behind is None or behind in self.claimed:
            return False
        classes = {option.cls for option in term.classes() if option.score >= CLASS}
        is_done = self.tokens[min(behind.last, len(self.tokens) - 1)].lower == "by"  # "cartoons directed by"
        return not is_done and any(o.cls in classes and o.score >= _IS_NAME for o in behind.attributes())

    def joined_by(self, place: int) -> str | None:
        """The conjunction shortly before a place."""
        words = [token.lower for token in self.tokens[max(0, place - 5) : place]]
        return next((word for word in reversed(words) if word in {"and", "or"}), None)

    def is_denied(self, place: int) -> bool:
        """Whether a denial stands before a place in the same sentence, and no new clause between the two."""
        start = max((m.last for m in self.marks if m.kind == "sentence" and m.last <= place), default=0)
        return any(m.kind == "not" and start <= m.first < place <= self._end_of_denial(m) for m in self.marks)

    def _end_of_denial(self, mark: Mark) -> int:
        """Where what a denial is said of ends: at the next clause or sentence behind the first term or name."""
        items: list[Term | Mention] = [*self.terms, *self.mentions]
        first = min((item.last for item in items if item.first >= mark.last), default=len(self.tokens))
        sentences = {m.first for m in self.marks if m.kind == "sentence"}
        ends = (p for p in range(first, len(self.tokens)) if p in sentences or self.tokens[p].lower in _CLAUSE)
        return next(ends, len(self.tokens))

    def is_denial_clear(self) -> bool:
        """Whether no term or name is joined by "and" to what is denied, so that it may be denied or not."""
        starts = {term.first for term in self.terms if term not in self.claimed} | {m.first for m in self.mentions}
        ends = [self._end_of_denial(mark) for mark in self.marks if mark.kind == "not"]
        return not any(end + 1 in starts and self.tokens[end].lower == "and" for end in ends if end < len(self.tokens))

    def numbers_between(self, first: int, last: int) -> list[Mark]:
        """The numbers between two places."""
        return [mark for mark in self.marks if mark.kind == "number" and first <= mark.first < last]
