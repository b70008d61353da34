"""Whether a sentence says no more than its facts: it may add grammar to their words, and nothing else.

A list of what is allowed, since none of what is forbidden would be whole: names can be written in lower case, numbers
as words, a lie with "not". What the words alone cannot show, who did it to whom, is looked at where two nodes meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kgllm import quantities
from kgllm.answer import name_of
from kgllm.ontology import RDF_TYPE
from kgllm.terms import Literal, Node, Term, Triple, clean
from kgllm.words import stem

__all__ = ["LONGEST", "what_is_not"]

LONGEST = 240  # characters of a sentence

_GRAMMAR = frozenset(
    """
    a an the this that these those there it its he him his she her they them their who whom whose which where when
    is are was were be been being has have had having do does did s
    of in on at by for with from to into as and also called named
    der die das den dem des ein eine einen einem einer eines und von vom zu zum zur im am auf aus bei mit
    ist sind war waren wird wurde wurden hat haben hatte hatten er es sie
    """.split()  # noqa: SIM905 - a list of a hundred literals reads worse
)
"""Words that say nothing of the world: no negation is among them, no "only" or "all", no "more than" or "about"."""
_NEGATIONS = frozenset(
    "no not nor never none nobody nothing neither without cannot nicht kein keine nie niemals ohne".split()  # noqa: SIM905
)
_PREPOSITIONS = frozenset(["by", "in", "on", "at", "of", "for", "to", "from", "with", "into"])
_WORD = re.compile(r"\w+")
_LINK_OR_MARKUP = re.compile(r"\w:\S|www\.|\w\.[a-z]{2,}|[<>\[\]{}*_`|\\#@]", re.I)
_PUNCTUATION = frozenset(" .,;:()'’\"“”„–—-")


def what_is_not(text: str, evidence: Sequence[Triple], labels: Mapping[Node, str]) -> str | None:
    """What of a sentence its evidence does not bear out, for whoever is to word it again; ``None`` if nothing.

    Every word, number and date of it has to stand in the evidence, and it may carry no link or markup. Dates and
    numbers may be written otherwise: ``1969-07-16`` as 16 July 1969, 2970000 as 2,970,000.

    >>> from kgllm.terms import Literal, URIRef
    >>> fact = (URIRef("e:apollo_11"), URIRef("e:launch_date"), Literal("1969-07-16"))
    >>> what_is_not("It was launched on 16 July 1969.", [fact], {})
    >>> what_is_not("It was launched in 1970.", [fact], {})
    '1970'
    """
    if not evidence or len(text) > LONGEST or clean(text, cap=None) != text or _LINK_OR_MARKUP.search(text):
        return "a link, markup, or more than one short sentence"
    names: dict[Node, str] = {term: name_of(term, labels).casefold() for triple in evidence for term in triple}
    said = text.casefold()
    without_names = _without_names(said, list(names.values()))
    rest = _without_dates_and_numbers(without_names, evidence)
    words = _WORD.findall(rest)
    known = _roots(names.values())
    if unknown := [word for word in words if word not in _GRAMMAR and not _is_known(word, known)]:
        return ", ".join(dict.fromkeys(unknown))
    if not set(rest) - set("".join(words)) <= _PUNCTUATION:
        return "signs that are no punctuation"
    ends = _roots(names[end] for s, _, o in evidence for end in (s, o))
    if rest == without_names and ends.isdisjoint(_roots([said])):
        return "that it is about these facts"
    if _could_be_swapped(evidence) or _is_swapped(said, evidence, names):
        return "which of the facts belong together; say each in a sentence of its own"
    return "who did it to whom" if _is_turned_round(said, evidence, names) else None


def _roots(texts: Iterable[str]) -> set[str]:
    """The roots of the words of some texts, those of grammar left out."""
    return {_root(word) for text in texts for word in _WORD.findall(text) if word not in _GRAMMAR}


def _root(word: str) -> str:
    """The stem of a word without the ending that makes a noun of a verb, so that a director is who directed."""
    return re.sub(r"(?<=\w{5})(?:or|er|ion)$", "", stem(word))


def _is_known(word: str, known: set[str]) -> bool:
    return _root(word) in known and word not in _NEGATIONS and not any(character.isdigit() for character in word)


def _without_names(text: str, names: Sequence[str]) -> str:
    """The text without the names that stand in it whole: a number not inside another, nor behind a minus."""
    for name in sorted(names, key=len, reverse=True):
        before, after = r"(?<!\w)", r"(?!\w)"
        if name[:1].isdigit():
            before += r"(?<![.,−-])"
        if name[-1:].isdigit():
            after += r"(?![.,:/−-][0-9])"
        text = re.sub(before + re.escape(name) + after, " ", text)
    return text


def _without_dates_and_numbers(text: str, evidence: Sequence[Triple]) -> str:
    """The text without the dates and numbers of the evidence, in whatever form."""
    places = [place for _, _, o in evidence if isinstance(o, Literal) for place in _places_of_value(o, text)]
    for start, end in places:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def _places_of_value(literal: Literal, text: str) -> Iterator[tuple[int, int]]:
    """Where a text writes the date or number of a literal; a date that it writes in full is not also its year."""
    date, number = quantities.of_literal(literal)
    full: list[tuple[int, int]] = []
    for start, end, written in quantities.dates(text):
        if date is not None and not any(first <= start and end <= last for first, last in full):
            full.append((start, end))
            if written.agrees(date):
                yield start, end
    for start, end, quantity in quantities.numbers(text):
        if number is not None and quantity == number:
            yield start, end


def _could_be_swapped(evidence: Sequence[Triple]) -> bool:
    """Whether two facts of one property have neither end in common, so that words alone do not pair them."""
    return any(
        p == q and s != t and o != u for number, (s, p, o) in enumerate(evidence) for t, q, u in evidence[:number]
    )


def _is_swapped(said: str, evidence: Sequence[Triple], names: Mapping[Node, str]) -> bool:
    """Whether two facts of one node have their words in one order and their values in the other."""
    for number, (s, p, o) in enumerate(evidence):
        for t, q, u in evidence[:number]:
            if s != t or p == q:
                continue
            own, other = _roots([names[p]]), _roots([names[q]])
            word, other_word = _first_word(said, own - other), _first_word(said, other - own)
            end, other_end = _first_place(said, o, names), _first_place(said, u, names)
            is_said = min(word, other_word, end, other_end) >= 0
            if is_said and (word - other_word) * (end - other_end) < 0:
                return True
    return False


def _first_word(said: str, roots: set[str]) -> int:
    """Where the first word with one of the roots begins, -1 if none has."""
    return next((match.start() for match in _WORD.finditer(said) if _root(match.group()) in roots), -1)


def _first_place(said: str, end: Term, names: Mapping[Node, str]) -> int:
    """Where the end of a fact is first named, or written as a date or number; -1 if nowhere."""
    if isinstance(end, Literal) and (places := list(_places_of_value(end, said))):
        return min(places)[0]
    found = re.search(rf"(?<!\w){re.escape(names[end])}(?!\w)", said)
    return found.start() if found else -1


def _is_turned_round(said: str, evidence: Sequence[Triple], names: Mapping[Node, str]) -> bool:
    """Whether a sentence about two nodes has the wrong one for its subject."""
    return any(
        re.search(wrong, said)
        for s, p, o in evidence
        if p != RDF_TYPE and not isinstance(o, Literal) and names[s] != names[o]
        for wrong in _wrong_ways(names[s], names[p], names[o], _WORD.findall(said))
    )


def _wrong_ways(subject: str, label: str, object_: str, words: Sequence[str]) -> Iterator[str]:
    """Patterns of a sentence that says the property of its object: "the director of Scott is Alien"."""
    s, o = (rf"(?<!\w){re.escape(name)}(?!\w)" for name in (subject, object_))
    few = r"\W+(?:\w+\W+){0,3}?"
    the = r"\W+(?:the )?"
    yield rf"{o}{few}{re.escape(label)}{the}{s}"
    head, _, last = label.rpartition(" ")
    if head and last in _PREPOSITIONS:
        yield rf"{s}{few}{re.escape(head)}{the}{o}"
        yield rf"\b{re.escape(head.rpartition(' ')[2])} {last} (?:the )?{s}"
        for verb in {word for word in words if _root(word) in _roots([head]) and word not in _WORD.findall(label)}:
            yield rf"\b{verb} by (?:the )?{o}"
            yield rf"{o}{few}{verb}{the}{s}"
        return
    yield rf"\bof (?:the )?{o}"
    yield rf"{o}['’]"
    yield rf"\b{re.escape(label)} by (?:the )?{o}"
    stems = _roots([label])
    does, done = (o, s) if label.endswith("ed") else (s, o)  # "directed" says what its subject does, "director" not
    for verb in {word for word in words if _root(word) in stems and word not in _WORD.findall(label)}:
        yield rf"\b{verb} by (?:the )?{does}"
        yield rf"{does}{few}{verb}{the}{done}"
        yield rf"\b{verb} of (?:the )?{done if label.endswith('ed') else o}"
