"""The words of a question: tokens with their places, function words, stems, numbers, and the form it asks for.

English is read in full, German as far as its question words, function words and articles go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import zip_longest
from typing import Any, TypeAlias
from typing import Literal as OneOfStrings

__all__ = [
    "Bound",
    "Form",
    "Token",
    "asks_for",
    "bounds",
    "content_tokens",
    "is_function_word",
    "stem",
    "tokenize",
    "with_article",
]

_TOKEN = re.compile(r"\w+(?:[’'](?!s\b)\w+)*|[’']s\b|[^\w\s]", re.UNICODE)

_FUNCTION_WORDS = frozenset(
    """
    a an the this that these those some any each every all both no not of in on at by for with from to into onto as
    about over under between among through during and or but nor so than then also too just only own same other s t d
    ll re ve i you he she it we they me him her us them my your his its our their one ones
    is are was were be been being am do does did done doing have has had having can could may might must shall should
    will would there here if who whom whose what which when where why how
    der die das den dem des ein eine einen einem einer eines und oder von vom zu zum zur im am auf aus bei mit nach
    ist sind war waren wird wurde wurden hat haben hatte es er sie wer wen wem wessen was welche welcher welches
    welchen welchem wann wo wohin woher wie wieviel warum
    """.split()  # noqa: SIM905 - a list of a hundred literals reads worse
)
_LIGHT_WORDS = frozenset(
    """
    list name names show give tell find get return display print please know listed called named known certain
    following different various present exist exists available many much number count total amount
    kind type sort thing things make made makes making take took taken go went gone come came please
    nenne zeige gib liste viele anzahl
    """.split()  # noqa: SIM905 - as above
)


_SORTS = frozenset(["type", "types", "kind", "kinds", "sort", "sorts"])
"""Light words before "of" alone: "what types are the …" asks for a type."""
_GRAND = re.compile(r"grand((?:child|parent|mother|father|son|daughter)(?:ren|s)?)")
_BEHIND_DIE = frozenset("in on of at from for during before after ? . !".split())  # noqa: SIM905
"""What stands behind the English verb, and not behind the German article."""
_EITHER = _SORTS | {"about"}
"""Words that carry meaning where a graph has what they stand for: a genre, a subject."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word or mark of the question, and where it stands in it (character offsets, end exclusive)."""

    text: str
    start: int
    end: int

    @property
    def lower(self) -> str:
        """The token without case."""
        return self.text.casefold()

    @property
    def is_word(self) -> bool:
        """Whether it is more than punctuation."""
        return self.text[0].isalnum() or self.text[0] == "_"


def tokenize(text: str) -> list[Token]:
    """The tokens of a text; a possessive 's stands alone."""
    return [Token(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(text)]


def with_article(label: str) -> str:
    """An English noun behind its indefinite article.

    >>> with_article("astronaut"), with_article("mission")
    ('an astronaut', 'a mission')
    """
    return f"{'an' if label[:1].lower() in 'aeiou' else 'a'} {label}"


def word_pairs(tokens: Sequence[Token]) -> list[tuple[int, str]]:
    """Each word with the one behind it, as "born in", by the number of its token."""
    return [
        (number, f"{token.lower} {tokens[number + 1].lower}")
        for number, token in enumerate(tokens[:-1])
        if token.is_word and tokens[number + 1].is_word
    ]


def is_function_word(word: str) -> bool:
    """Whether a word carries grammar rather than meaning."""
    return word.casefold() in _FUNCTION_WORDS


def generations(token: Token, *, known: Callable[[str], bool]) -> list[Token]:
    """A word for kin two generations away as the word for one, twice; any other, and one that is ``known``, alone.

    >>> [token.text for token in generations(Token("grandmother", 0, 11), known=lambda word: False)]
    ['mother', 'mother']
    """
    match = _GRAND.fullmatch(token.lower)
    return [token] if match is None or known(token.lower) else 2 * [replace(token, text=match[1])]


def is_sort(word: str) -> bool:
    """Whether a word asks for the kind of something, as "kind" and "types" do."""
    return word.casefold() in _SORTS


def content_tokens(tokens: list[Token], *, says: Callable[[str], bool] = lambda word: False) -> list[Token]:
    """The tokens that say what is asked about: neither grammar nor the phrases with which one asks.

    ``says`` tells of a word that may be either, such as "about" and "kind", whether it stands for a relation.
    """
    said = []
    for token, following in zip_longest(tokens, tokens[1:]):
        is_sort = token.lower in _SORTS and (following is None or following.lower not in {"of", "von"})
        is_article = token.lower != "die" or (following is not None and following.lower not in _BEHIND_DIE)
        is_light = (token.lower in _FUNCTION_WORDS and is_article) or (not is_sort and token.lower in _LIGHT_WORDS)
        if token.is_word and (not is_light or (token.lower in _EITHER and says(token.lower))):
            said.append(token)
    return said


@cache
def stem(word: str) -> str:
    """The Snowball stem of a word, without case."""
    return str(_stemmer().stemWord(word.casefold()))


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


Form: TypeAlias = OneOfStrings["who", "when", "where", "how many", "yes/no", "define", "which", "other"]

KINDS = {
    "who": ("person", "people", "agent"),
    "where": ("place", "location", "country", "city"),
    "when": ("date", "year", "time"),
}
"""Words for the kind of answer that a question word asks for."""

_YES_NO = re.compile(
    r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|ist|sind|war|waren|hat|haben|wurde)\b"
    r"(?! (?:you|i)\b)",
    re.I,
)
_GERMAN_WHAT = re.compile(r"was (?:ist|sind|war|waren|hat|haben|macht|bedeutet|für)\b", re.I)
_ASKS_ELSE = re.compile(r"\b(?:which|what|whom|how many)\b|\ban? \w+ or an? \w+\W*$", re.I)
"""Of a question that begins with a verb: "is it a man or a woman" asks which."""
_ENDS_ASKING = re.compile(r"\b(?:who|whom|what|when|where|(?:which|what) [\w-]+(?: [\w-]+)?)[.!]?$", re.I)
_ANY = re.compile(r"^(?:(?:is|are|was|were) there|do(?:es)? (?:we|it|anyone|anything)|gibt es)\b|\bany\b", re.I)
_NEGATION = re.compile(
    r"\b(?:not|never|without|neither|nor|lack(?:s|ed|ing)?|nicht|nie|ohne|kein\w*)\b|\w+n['’]t\b"
    r"|\bno\b(?! (?:more|less|fewer|later|earlier|longer|matter)\b|[. ]*[0-9])",
    re.I,
)
_SHARING = re.compile(
    r"\b(?:same|shar(?:e|es|ed|ing)|together|also|fellow|in common|another|gemeinsam|zusammen|auch)\b|\bco-", re.I
)
EXCEPT = (
    r"besides|other than|apart from|aside from|except(?: for)?|excluding|in addition to|außer|ausser|abgesehen von|"
    r"sauf|excepté|hormis|excepto|salvo|aparte de|tranne|eccetto|oltre a"
)
"""A pattern of the words that leave out of a question's answers what stands behind them."""
_HOW_MANY = re.compile(
    r"\b(?:how many|how much|(?:^|the |total )number of|count of|count the|count all|wie ?viele?|anzahl)\b", re.I
)
_DEFINE = re.compile(
    r"(?:(?:what|who)(?:\s+(?:is|are|was|were)|['’]s)|define|describe|explain|tell me about"
    r"|(?:was|wer)\s+(?:ist|sind|war|waren))"
    r"\s+(?:(?:meant by|the meaning of)\s+)?(?:an?\s+|the\s+|eine?\s+|der\s+|die\s+|das\s+)?(?P<rest>.+?)\s*[?.!]*\s*$",
    re.I,
)
_WHO = re.compile(r"\b(?:who|whom|whose|wer|wen|wem)\b", re.I)
_WHEN = re.compile(r"\b(?:when|what year|which year|what date|which date|what time|wann|release dates?|years)\b", re.I)
_WHERE = re.compile(r"\b(?:where|wo|wohin|woher)\b", re.I)
_WAS = r"was\s+(?:ist|sind|war|waren|wird|wurden?|hat|haben|hatten?|kann|kostet|bedeutet|macht|für)\b"
_WHICH = re.compile(rf"\b(?:which|what|welche[rsnm]?|{_WAS})\b", re.I)
"""The German "was" is told from the English one by the verb behind it."""


def asks_for(question: str) -> Form:
    """The kind of answer that the wording asks for."""
    text = question.strip()
    if _YES_NO.match(text) and not _GERMAN_WHAT.match(text) and not _ASKS_ELSE.search(text):
        return "yes/no"
    for form, pattern in (("how many", _HOW_MANY), ("when", _WHEN), ("where", _WHERE), ("who", _WHO)):
        if pattern.search(text):
            return form  # type: ignore[return-value]
    return "which" if _WHICH.search(text) else "other"


def asks_for_any(question: str) -> bool:
    """Whether a yes/no question asks if there is anything of a kind: "is there a …", "do we have any …"."""
    return _ANY.search(question.strip()) is not None


def ends_asking(question: str) -> bool:
    """Whether what is asked for stands last: "the films of the director of Alien starred who"."""
    first = question.strip().partition(" ")[0]
    return _ENDS_ASKING.search(question.strip(" ?")) is not None and asks_for(first) == "other"


def shares(question: str) -> bool:
    """Whether a question asks for what has the same of something: "films that share actors", "co-wrote with"."""
    return _SHARING.search(question) is not None


def is_sharing(word: str) -> bool:
    """Whether a word says that, as "share" and the "co" of "co-wrote" do."""
    return word.lower() == "co" or shares(word)


def is_negated(question: str) -> bool:
    """Whether a question asks for what is not so."""
    return _NEGATION.search(question) is not None


def definition_of(question: str) -> str | None:
    """What a question of the form "what is a …?" asks to have explained; ``None`` for any other form."""
    match = _DEFINE.match(question.strip())
    return match["rest"] if match else None


def looks_like_description(question: str) -> bool:
    """Whether a text describes something rather than asks: no question word, no request, no question mark."""
    text = question.strip()
    if text.endswith("?") or _ENDS_ASKING.search(text) or _YES_NO.match(text) or _HOW_MANY.search(text):
        return False
    first = tokenize(text)[:1]
    if first and (first[0].lower in _LIGHT_WORDS or first[0].lower in {"count", "in", "which", "what", "can", "could"}):
        return False
    return not re.match(r"(?:who|whom|whose|what|which|when|where|why|how|wer|was|welche\w?|wann|wo|wie)\b", text, re.I)


@dataclass(frozen=True, slots=True)
class Bound:
    """A condition on a number, a year or a date: operator, value as written, and where it stands in the question."""

    operator: OneOfStrings["=", "<", "<=", ">", ">="]
    value: str
    start: int
    end: int
    is_year: bool

    @property
    def is_date(self) -> bool:
        """Whether the value is a whole date, as ISO 8601 writes it."""
        return "-" in self.value


_NUMBER = r"(?P<value>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9][0-9,]*(?:\.[0-9]+)?)"
GREATER = "more|greater|larger|higher|bigger|longer|older|heavier|later|taller|deeper|wider|faster|newer|richer"
LESSER = "less|fewer|smaller|lower|shorter|younger|lighter|earlier|cheaper|slower|shallower|narrower|poorer"
"""Words before "than", as alternatives of a pattern."""
_BOUNDS: tuple[tuple[str, str], ...] = (
    (">=", r"(?:at least|no less than|not less than|minimum of|mindestens)"),
    ("<=", r"(?:at most|no more than|not more than|up to|maximum of|höchstens)"),
    (">", rf"(?:(?:{GREATER}) than|above|over|exceeds?|exceeding|after|since|mehr als|nach)"),
    ("<", rf"(?:(?:{LESSER}) than|below|under|before|prior to|until|weniger als|vor)"),
    ("=", r"(?:equal to|exactly|in the year|in year|in|during|of)"),
)


_BETWEEN = re.compile(
    rf"\b(?:between|from|zwischen)\s+{_NUMBER.replace('value', 'least')}"
    rf"\s+(?:and|to|until|und|bis)\s+{_NUMBER.replace('value', 'most')}\b",
    re.I,
)
_DECADE = re.compile(r"\b(?:in|during)\s+the\s+(?P<decade>1[0-9]{2}|20[0-9])0['’]?s\b", re.I)


def bounds(question: str) -> list[Bound]:
    """The numeric and yearly conditions of a question, those with words for an order first to claim their number.

    >>> [(bound.operator, bound.value) for bound in bounds("Who was born in the 1950s?")]
    [('>=', '1950'), ('<=', '1959')]
    """
    found: list[Bound] = []
    for match in _BETWEEN.finditer(question):
        for operator, end in ((">=", "least"), ("<=", "most")):
            value = match[end].replace(",", "")
            found.append(Bound(operator, value, match.start(), match.end(), _is_year(match[end])))  # type: ignore[arg-type]
    for match in _DECADE.finditer(question):
        for operator, digit in ((">=", "0"), ("<=", "9")):
            value = match["decade"] + digit
            found.append(Bound(operator, value, match.start(), match.end(), is_year=True))  # type: ignore[arg-type]
    for operator, words in _BOUNDS:
        for match in re.finditer(rf"\b{words}\s+(?:the\s+year\s+)?{_NUMBER}\b", question, re.I):
            value = match["value"].replace(",", "")
            if any(b.start <= match.start("value") < b.end for b in found):
                continue
            is_year = _is_year(match["value"])
            if operator == "=" and not is_year:
                continue
            found.append(Bound(operator, value, match.start(), match.end(), is_year))  # type: ignore[arg-type]
    return found


def _is_year(number: str) -> bool:
    return bool(re.fullmatch(r"1[0-9]{3}|20[0-9]{2}", number))


@dataclass(frozen=True, slots=True)
class Superlative:
    """A word that asks for an extreme: the quantities it can mean, and whether the greatest value is wanted."""

    quantities: tuple[str, ...]
    descending: bool
    start: int
    end: int


_EXTREMES: dict[str, tuple[str, bool]] = {
    "largest": ("size area population", True),
    "biggest": ("size area population", True),
    "greatest": ("size number", True),
    "highest": ("height elevation number rate", True),
    "tallest": ("height", True),
    "longest": ("length duration", True),
    "heaviest": ("mass weight", True),
    "oldest": ("birth date age year", False),
    "most expensive": ("price cost", True),
    "fastest": ("speed", True),
    "deepest": ("depth", True),
    "latest": ("date year", True),
    "newest": ("date year", True),
    "most recent": ("date year", True),
    "last": ("date year", True),
    "best": ("rating score rank", True),
    "maximum": ("number", True),
    "most populous": ("population", True),
    "richest": ("income value", True),
    "widest": ("width", True),
    "smallest": ("size area population", False),
    "lowest": ("height number rate", False),
    "shortest": ("length duration height", False),
    "lightest": ("mass weight", False),
    "youngest": ("birth date age", True),
    "cheapest": ("price cost", False),
    "least expensive": ("price cost", False),
    "slowest": ("speed", False),
    "earliest": ("date year", False),
    "first": ("date year", False),
    "minimum": ("number", False),
    "poorest": ("income value", False),
    "worst": ("rating score rank", False),
    "schwerste": ("mass weight", True),
    "größte": ("size area population", True),
    "längste": ("length duration", True),
    "älteste": ("birth date age", False),
    "erste": ("date year", False),
    "letzte": ("date year", True),
}
_COMPARATIVES = {
    "larger": "largest",
    "bigger": "biggest",
    "higher": "highest",
    "taller": "tallest",
    "longer": "longest",
    "heavier": "heaviest",
    "older": "oldest",
    "faster": "fastest",
    "deeper": "deepest",
    "later": "latest",
    "newer": "newest",
    "smaller": "smallest",
    "lower": "lowest",
    "shorter": "shortest",
    "lighter": "lightest",
    "younger": "youngest",
    "cheaper": "cheapest",
    "slower": "slowest",
    "earlier": "earliest",
    "more expensive": "most expensive",
    "schwerer": "schwerste",
    "größer": "größte",
    "älter": "älteste",
}


def fixed_phrases() -> list[str]:
    """The phrases that any question may be compared with, so that an index can hold their vectors."""
    quantities = {quantity for of, _ in _EXTREMES.values() for quantity in of.split()}
    return [*(kind for kinds in KINDS.values() for kind in kinds), *sorted(quantities)]


def is_descending(quantities: Sequence[str], label: str, *, descending: bool) -> bool:
    """The order that an extreme of some quantities asks for: the oldest has the first birth date, but the greatest age.

    >>> is_descending(("birth", "date", "age", "year"), "birth date", descending=False)
    False
    >>> is_descending(("birth", "date", "age", "year"), "is aged", descending=False)
    True
    """
    return descending != (stem("age") in map(stem, label.lower().split()) and "age" in quantities)


def named_extremes(label: str, *, descending: bool) -> list[str]:
    """The English words for the greatest or the least of what a label names.

    >>> named_extremes("height (m)", descending=True)
    ['tallest', 'highest']
    """
    head = re.sub(r"\(.*", "", label.lower()).split()[-1:]
    ranked = [
        (len(of.split()), word)
        for word, (of, greatest) in _EXTREMES.items()
        if not word.endswith("te")
        and "number" not in head
        and set(head) & set(of.split())
        and is_descending(of.split(), label, descending=greatest) == descending
    ]
    return [word for _, word in sorted(ranked)]


@lru_cache(maxsize=64)  # every reading of a question asks it
def superlative(question: str, *, comparative: bool = False) -> Superlative | None:
    """The extreme that a question asks for, with ``comparative`` the greater of two; ``None`` if it asks for none."""
    table = {word: _EXTREMES[of] for word, of in _COMPARATIVES.items()} if comparative else _EXTREMES
    return next(_extremes(question, table), None)


def superlatives(question: str) -> list[Superlative]:
    """Every extreme that a question asks for, in order of place."""
    found: list[Superlative] = []
    for extreme in _extremes(question, _EXTREMES):
        if not any(other.start <= extreme.start < other.end for other in found):
            found.append(extreme)
    return sorted(found, key=lambda extreme: extreme.start)


def _extremes(question: str, table: Mapping[str, tuple[str, bool]]) -> Iterator[Superlative]:
    """The extremes of a table wherever a question has their words, the longest words first."""
    for word in sorted(table, key=len, reverse=True):
        quantities, descending = table[word]
        for match in re.finditer(rf"\b{word}[rsn]?\b", question, re.I):
            yield Superlative(tuple(quantities.split()), descending, match.start(), match.end())


def most_or_fewest(question: str) -> tuple[bool, int, int] | None:
    """Whether the most (True) or the fewest of something is asked for, and where it says so."""
    for pattern, descending in ((r"\b(?:the )?most\b", True), (r"\b(?:the )?(?:fewest|least)\b", False)):
        if (match := re.search(pattern, question, re.I)) and not superlative(question):
            return descending, match.start(), match.end()
    return None


NUMBER_WORDS = {
    word: str(number)
    for words in (
        "zero one two three four five six seven eight nine ten eleven twelve",
        "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    )
    for number, word in enumerate(words.split())
} | {"once": "1", "twice": "2"}


def numbers_in_words(question: str) -> list[str]:
    """The numbers up to twelve that a question writes as words.

    >>> numbers_in_words("Which agents sold more than two policies?")
    ['2']
    """
    return [NUMBER_WORDS[token.lower] for token in tokenize(question) if token.lower in NUMBER_WORDS]
