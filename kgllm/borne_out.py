"""Whether a sentence says no more than its facts: it may add grammar to their words, and nothing else.

A list of what is allowed, since none of what is forbidden would be whole: names can be written in lower case, numbers
as words, a lie with "not". What the words alone cannot show, who did it to whom, is looked at where two nodes meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from kgllm.answer import name_of
from kgllm.ontology import RDF_TYPE
from kgllm.terms import Literal, Node, Triple, clean
from kgllm.words import stem

__all__ = ["LONGEST", "TURNED_ROUND", "roots", "what_is_not"]

LONGEST = 240  # characters of a sentence
TURNED_ROUND = "who did it to whom"

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
_NUMBER = re.compile(r"(?<![\w.,−-])[−-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?!\w|[.,:/−-][0-9])")
_WRITTEN_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_WRITTEN_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T.*)?")
_PUNCTUATION = frozenset(" .,;:()'’\"“”„–—-")
_MONTHS = (
    "january|januar|jan", "february|februar|feb", "march|märz|mar", "april|apr", "may|mai", "june|juni|jun",
    "july|juli|jul", "august|aug", "september|sept|sep", "october|oktober|oct", "november|nov", "december|dezember|dec",
)  # fmt: skip


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
    known = roots(names.values())
    if unknown := [word for word in words if word not in _GRAMMAR and not _is_known(word, known)]:
        return ", ".join(dict.fromkeys(unknown))
    if not set(rest) - set("".join(words)) <= _PUNCTUATION:
        return "signs that are no punctuation"
    ends = roots(names[end] for s, _, o in evidence for end in (s, o))
    if rest == without_names and ends.isdisjoint(roots([said])):
        return "that it is about these facts"
    if _could_be_swapped(evidence):
        return "which of the facts belong together; say each in a sentence of its own"
    return TURNED_ROUND if _is_turned_round(said, evidence, names) else None


def roots(texts: Iterable[str]) -> set[str]:
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
    literals = [str(o) for _, _, o in evidence if isinstance(o, Literal)]
    for literal in literals:
        if date := _WRITTEN_DATE.fullmatch(literal):
            text = re.sub(_forms_of_date(*date.groups()), " ", text)
    numbers = {Decimal(literal) for literal in literals if _WRITTEN_NUMBER.fullmatch(literal)}

    def without(match: re.Match[str]) -> str:
        return " " if Decimal(match.group().replace(",", "").replace("−", "-")) in numbers else match.group()

    return _NUMBER.sub(without, text)


def _forms_of_date(year: str, month: str, day: str) -> str:
    name = f"(?:{_MONTHS[(int(month) - 1) % 12]})\\.?"
    number = f"0?{int(day)}(?:st|nd|rd|th|\\.)?"
    forms = (
        f"{year}-{month}-{day}",
        f"{number} (?:of )?{name},? {year}",
        f"{name} {number},? {year}",
        f"{name},? {year}",
        f"(?:in|of|during|im jahr) (?:the year )?{year}",
    )
    return rf"(?<![\w.,/−-])(?:{'|'.join(forms)})(?!\w|[.,:/−-][0-9])"


def _could_be_swapped(evidence: Sequence[Triple]) -> bool:
    """Whether two facts of one property have neither end in common, so that words alone do not pair them."""
    return any(
        p == q and s != t and o != u for number, (s, p, o) in enumerate(evidence) for t, q, u in evidence[:number]
    )


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
        for verb in {word for word in words if _root(word) in roots([head]) and word not in _WORD.findall(label)}:
            yield rf"\b{verb} by (?:the )?{o}"
            yield rf"{o}{few}{verb}{the}{s}"
        return
    yield rf"\bof (?:the )?{o}"
    yield rf"{o}['’]"
    yield rf"\b{re.escape(label)} by (?:the )?{o}"
    stems = roots([label])
    does, done = (o, s) if label.endswith("ed") else (s, o)  # "directed" says what its subject does, "director" not
    for verb in {word for word in words if _root(word) in stems and word not in _WORD.findall(label)}:
        yield rf"\b{verb} by (?:the )?{does}"
        yield rf"{does}{few}{verb}{the}{done}"
        yield rf"\b{verb} of (?:the )?{done if label.endswith('ed') else o}"
