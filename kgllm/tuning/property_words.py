"""Property words: the nouns and verbs that people have for a property, by its label and by everyday English.

A label is read by its form: "director" is a noun, "walked on" a verb, "directed by" the passive of one. Beside it stand
the nouns and verbs of the families below, wherever one of its own words is in a family.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from kgllm.answer import is_verbal
from kgllm.claims.wordings import BE, HAVE, PREPOSITIONS
from kgllm.roots import root
from kgllm.suggestions import plain, plural

T = TypeVar("T")

__all__ = ["PropertyWords", "Verb", "property_words"]


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb with its forms: ``finite`` "directed", ``plural`` "were born in", behind an ``auxiliary`` the ``rest``.

    ``passive`` is what stands between object and agent, "directed by"; ``behind`` what stands behind a noun without
    "who", "born in". Both may be empty.
    """

    finite: str
    plural: str
    auxiliary: str
    auxiliaries: str
    rest: str
    passive: str = ""
    behind: str = ""

    @property
    def particle(self) -> str:
        """The preposition at the end, if there is one."""
        last = self.rest.rsplit(" ", 1)[-1]
        return last if last in PREPOSITIONS else ""


@dataclass(frozen=True, slots=True)
class PropertyWords:
    """What the object is of the subject and the other way round, what the subject does to it and what it does."""

    nouns: tuple[str, ...] = ()
    converse_nouns: tuple[str, ...] = ()
    does: tuple[Verb, ...] = ()
    done: tuple[Verb, ...] = ()
    of_person: bool = False

    def __bool__(self) -> bool:
        return bool(self.nouns or self.converse_nouns or self.does or self.done)

    def turned(self) -> PropertyWords:
        """The words of the relation walked from object to subject."""
        return PropertyWords(self.converse_nouns, self.nouns, self.done, self.does)

    def with_more(self, other: PropertyWords) -> PropertyWords:
        """These and others."""
        return PropertyWords(
            _distinct(self.nouns, other.nouns),
            _distinct(self.converse_nouns, other.converse_nouns),
            _distinct(self.does, other.does),
            _distinct(self.done, other.done),
            self.of_person or other.of_person,
        )


_FAMILIES = """
director filmmaker | director filmmaker | | < direct directed directed
writer author screenwriter | writer author | | < write wrote written
actor actress cast star performer | actor star | | < star starred starred in / act acted acted in / appear appeared appeared in
composer | composer | | < compose composed composed
spouse husband wife consort | spouse husband wife partner | spouse | > be married to / marry married -
child son daughter offspring | child kid | parent |
parent father mother | parent | child |
sibling | sibling | sibling |
birthplace | place of birth | | > be born in / come came - from
deathplace | place of death | | > die died - in
nationality citizenship | nationality citizenship | citizen | > be a citizen of
profession occupation job | profession job occupation | | > work worked - as
employer | employer | employee | > work worked - for / work worked - at
employee | employee | employer | < work worked - for
school university college education | | | > study studied - at / attend attended -
religion faith denomination | religion faith | follower | > believe believed - in
location venue site place | location | | > be located in / be in
headquarters | headquarters seat | | > be based in
genre | genre kind type | |
category | category kind type | |
topic theme tag keyword subject | topic subject | | > be about
language tongue | language | |
founder | founder | | < found founded founded / establish established established
owner | owner | | < own owned owned / have had -
member | member | | < belong belonged - to / be a member of
manufacturer maker | manufacturer maker | | < make made made / manufacture manufactured manufactured / build built built
builder | builder | | < build built built
developer | developer | creation | < develop developed developed
creator | creator maker | creation | < create created created / make made made
inventor | inventor | invention | < invent invented invented
discoverer | discoverer | discovery | < discover discovered discovered
producer | producer | | < produce produced produced
designer | designer | | < design designed designed
commander | commander | | < command commanded commanded
publisher | publisher | | < publish published published
editor | editor | | < edit edited edited
translator | translator | | < translate translated translated
painter | painter | | < paint painted painted
narrator | narrator | | < narrate narrated narrated
presenter | presenter host | | < present presented presented
host | host | | < host hosted hosted
operator | operator | | < operate operated operated / run ran -
leader head chief | leader head | | < lead led led / head headed headed
president | president | | < lead led led
manager supervisor boss | manager boss supervisor | | < manage managed managed / run ran -
coach trainer | coach trainer | | < coach coached coached / train trained trained
teacher | teacher | student | < teach taught taught
sponsor | sponsor | | < sponsor sponsored sponsored
supplier | supplier | | < supply supplied supplied
illustrator | illustrator | | < illustrate illustrated illustrated
conductor | conductor | | < conduct conducted conducted
singer | singer | | < sing sang sung
successor | successor | predecessor |
predecessor | predecessor | successor |
award prize honour honor | award prize | winner | > win won -
colour color | colour | |
""".strip()  # noqa: E501 - a table
_TIMES = frozenset(["date", "day", "year", "time"])
_PLACES = frozenset(["place", "location", "site", "city", "town", "country"])
_ACTIVE = {form: forms.split()[0] for forms in (
    "direct directed", "write wrote written", "star starred", "visit visited visits", "command commanded",
    "win won wins", "walk walked walks", "play played plays", "work worked works", "live lived lives",
    "study studied studies", "marry married", "fly flew flown flies", "launch launched launches",
    "carry carried carries", "contain contained contains", "include included includes", "own owned owns",
    "use used uses", "make made makes", "have had has", "treat treated treats", "cause caused causes",
    "border bordered borders", "speak spoke spoken speaks", "produce produced produces", "serve served serves",
    "belong belonged belongs", "hold held holds", "run ran runs", "attend attended attends", "teach taught teaches",
    "buy bought buys", "sell sold sells", "supply supplied supplies", "flow flowed flows", "lead led leads",
    "employ employed employs", "cross crossed crosses", "join joined joins", "wear wore worn wears",
    "host hosted hosts", "support supported supports", "require required requires", "perform performed performs",
    "compete competed competes", "build built builds", "publish published publishes", "found founded founds",
    "create created creates", "invent invented", "discover discovered", "kill killed", "follow followed follows",
    "like liked likes", "know knew known knows", "meet met meets", "reach reached reaches", "start started starts",
    "end ended ends", "begin began begins", "manage managed manages", "orbit orbited orbits", "die died dies",
    "influence influenced influences", "represent represented represents", "graduate graduated", "release released",
    "observe observed observes", "encompass encompassed encompasses", "fund funded funds",
    "consist consisted consists", "mean means meant", "describe described describes", "record recorded records",
    "appear appeared appears", "cover covered covers", "dock docked", "concern concerned concerns",
    "offer offered offers", "measure measured measures", "feature featured features",
) for form in forms.split()}  # fmt: skip
"""What a label's verb is at its base, by each form of it."""
_PARTICIPLES = frozenset(
    """
    born located situated based made derived associated related connected married held composed named called known
    filmed set grown found written owned used encompassed affiliated assigned attached linked deployed installed
    launched docked moored mounted carried
    """.split()  # noqa: SIM905 - a list of so many literals reads worse
)
"""Of a label that ends in a preposition, what something is rather than what it does."""
_NO_NAME = frozenset(
    "how who whom whose what which where when why it its he she they them this that these those".split()  # noqa: SIM905
)
"""Words of a name that is a piece of a sentence: "how long it lasted"."""
_UNFINISHED = frozenset(["than", "as", "and", "or"])
_NO_NOUN = frozenset(
    "first last next tall high long old heavy big large expensive cheap deep wide fast early late".split()  # noqa: SIM905
)
"""Names of one such word are none; "first flight" is one, and so is "next mission"."""
_KIN = frozenset(map(root, "spouse child parent sibling husband wife son daughter friend member employee".split()))  # noqa: SIM905
_AGENT = re.compile(r"[a-z]{3}(?:er|or|ress|ist|ian)s?")
_NO_AGENT = frozenset(
    """
    number order letter water server chapter gender color colour sector factor weather river border center centre
    computer user parameter diameter meter layer paper cover power register quarter header identifier vector error
    floor motor door color tower harbor counter container folder filter
    """.split()  # noqa: SIM905
)


@cache
def _families() -> dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[Verb, ...], bool]]:
    """By each of its words: the nouns of a family, its converse nouns, its verbs, and who does them."""
    found: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[Verb, ...], bool]] = {}
    for line in _FAMILIES.splitlines():
        words, nouns, converse, verbs = (part.strip() for part in line.split("|"))
        is_turned, forms = verbs.startswith("<"), verbs.lstrip("<> ")
        made = tuple(_verb(*text.split()) for text in forms.split("/") if text.strip())
        for word in words.split():
            found[word] = (tuple(_nouns(nouns)), tuple(converse.split()), made, is_turned)
    return found


def _nouns(text: str) -> Iterator[str]:
    """The nouns of a line, those of several words ("place of birth") as one."""
    if " of " in text:
        yield text
    else:
        yield from text.split()


def _verb(base: str, *rest: str) -> Verb:
    """A verb of its base, past, participle and preposition; "-" for a participle has no passive."""
    if base == "be":
        said = " ".join(rest)
        is_past = rest[0] == "born"
        one, more = ("was", "were") if is_past else ("is", "are")
        if rest[0] == "a":  # "is a citizen of"
            return Verb(f"{one} {said}", f"{more} {plural(rest[1])} {rest[2]}", one, more, said)
        behind = said if rest[0] in _PARTICIPLES or rest[0] in PREPOSITIONS or rest[0] == "about" else ""
        return Verb(f"{one} {said}", f"{more} {said}", one, more, said, behind=behind)
    past, participle, particle = rest[0], rest[1], " ".join(rest[2:])
    said = f"{base} {particle}".strip()
    finite = f"{past} {particle}".strip()
    passive = "" if participle == "-" or particle else f"{participle} by"
    return Verb(finite, finite, "did", "did", said, passive)


def property_words(label: str, names: Iterable[str] = ()) -> PropertyWords:
    """The words of a relation with a label and other names; none where these make no words that one could ask with.

    >>> property_words("directed by").nouns, property_words("walked on").does[0].rest
    (('director', 'filmmaker'), 'walk on')
    """
    own = PropertyWords()
    for name in dict.fromkeys([label, *names]):
        own = own.with_more(_of_label(name))
    return _with_family(own)


def _kind(words: list[str]) -> str:
    """What a name of several words, one of them an event, is of: "place" of birth, "time" of launch."""
    if len(words) > 1 and any(word in _TIMES for word in words):
        return "time"
    return "place" if len(words) > 1 and any(word in _PLACES for word in words) else ""


def _distinct(one: tuple[T, ...], other: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys([*one, *other]))


def _of_label(label: str) -> PropertyWords:
    words = plain(label.replace("_", " ").replace("-", " ")).split()
    lower = [word.lower() for word in words]
    while lower and lower[0] in HAVE:
        words, lower = words[1:], lower[1:]
    is_copula = bool(lower) and lower[0] in BE
    while lower and lower[0] in BE:
        words, lower = words[1:], lower[1:]
    if not lower or not any(character.isalpha() for character in "".join(lower)):
        return PropertyWords()
    if is_copula and lower == ["aged"]:
        return PropertyWords(("age",))
    is_adjective = len(lower) == 1 and (lower[0] in _NO_NOUN or (is_copula and lower[0].endswith("ed")))
    if is_adjective or _NO_NAME & set(lower) or lower[-1] in _UNFINISHED:
        return PropertyWords()
    if lower[0] in PREPOSITIONS:  # "in language", "is in country"
        return _of_label(" ".join(words[1:])) if words[1:] else PropertyWords()
    said = " ".join(word if word.isupper() else word.lower() for word in words)
    if lower[-1] == "by" and len(lower) > 1:
        return _passive(lower[:-1])
    if lower[-1] == "of" and len(lower) > 1 and lower[0] not in {*_ACTIVE, *_PARTICIPLES}:
        return PropertyWords(converse_nouns=(" ".join(said.split()[:-1]),))
    if lower[-1] in PREPOSITIONS and len(lower) > 1:
        return _with_preposition(lower, said, is_copula=is_copula)
    if len(lower) > 2 and lower[1] == "by":  # "led by agency"
        return _passive(lower[:1]).with_more(PropertyWords((" ".join(said.split()[2:]),)))
    if len(lower) > 2 and lower[0] in _PARTICIPLES and lower[1] in PREPOSITIONS:  # "based in country"
        stated = _with_preposition(lower[:2], " ".join(said.split()[:2]), is_copula=True)
        return stated.with_more(PropertyWords((" ".join(said.split()[2:]),)))
    base = _ACTIVE.get(lower[0])
    if base is not None and base != lower[0] and len(lower) == 1:
        return PropertyWords(does=(_verb_of(base, lower[0]),))
    if base is not None and base != lower[0] and lower[1] in PREPOSITIONS:  # "plays for country", "belongs to group"
        verb = _verb_of(base, " ".join(lower[:2]))
        return PropertyWords((" ".join(said.split()[2:]),), does=(verb,))
    if base is not None and base != lower[0] and not lower[0].endswith("ed"):  # "plays position", "wears number"
        return PropertyWords((" ".join(said.split()[1:]),))
    if is_verbal(said) and len(lower) == 1:
        return PropertyWords()
    return PropertyWords((_singular(said),), of_person=_is_agent(lower[-1]))


def _passive(words: list[str]) -> PropertyWords:
    """Of "directed by", that the object directed the subject."""
    participle = words[-1]
    base = _ACTIVE.get(participle)
    family = next((verbs for _, _, verbs, turned in _families().values() if turned and _has(verbs, participle)), ())
    if family:
        return PropertyWords(done=tuple(verb for verb in family if verb.passive == f"{participle} by"), of_person=True)
    passive = f"{' '.join(words)} by"
    if len(words) > 1 or not participle.endswith(("ed", "en", "wn", "ilt", "ade", "un")):
        return PropertyWords()
    past = next((f for f, b in _ACTIVE.items() if b == base and f != base and not f.endswith("s")), participle)
    return PropertyWords(done=(Verb(past, past, "did" if base else "", "did" if base else "", base or "", passive),))


def _has(verbs: tuple[Verb, ...], participle: str) -> bool:
    return any(verb.passive == f"{participle} by" for verb in verbs)


def _with_preposition(lower: list[str], said: str, *, is_copula: bool) -> PropertyWords:
    """As "walked on", "is moored at" and "located in"."""
    first = lower[0]
    if is_copula or first in _PARTICIPLES:
        is_past = first == "born"
        one, more = ("was", "were") if is_past else ("is", "are")
        return PropertyWords(does=(Verb(f"{one} {said}", f"{more} {said}", one, more, said, behind=said),))
    base = _ACTIVE.get(first) or (first[:-2] if first.endswith("ed") else None)
    if base is None:
        return PropertyWords()
    return PropertyWords(does=(_verb_of(base, said),))


def _verb_of(base: str, said: str) -> Verb:
    """A verb as a label has it: "walked on" in the past, "contains" in the present."""
    first, *rest = said.split()
    tail = " ".join(rest)
    base_said = f"{base} {tail}".strip()
    if first.endswith("s"):
        return Verb(said, base_said, "does", "do", base_said)
    return Verb(said, said, "did", "did", base_said)


def _is_agent(word: str) -> bool:
    return root(word) in _KIN or (_AGENT.fullmatch(word) is not None and word.removesuffix("s") not in _NO_AGENT)


def _singular(noun: str) -> str:
    """A noun without its plural: labels like "children" and "parents" say what many are.

    >>> _singular("starred actors"), _singular("children"), _singular("status"), _singular("headquarters")
    ('starred actor', 'child', 'status', 'headquarters')
    """
    *before, last = noun.split()
    if last == "children":
        last = "child"
    elif last.endswith("ies") and len(last) > 4 and last != "series":
        last = last[:-3] + "y"
    elif last.endswith("s") and len(last) > 3 and not last.endswith(("ss", "us", "is", "ws", "headquarters", "series")):
        last = last[:-1]
    return " ".join([*before, last])


def _with_family(own: PropertyWords) -> PropertyWords:
    """The words and those of the families that their own words are in."""
    found = own
    for noun in own.nouns:
        words = [word for word in noun.lower().split() if word != "of"]
        kind = _kind(words)
        event = next((root(word) for word in words if root(word) in _EVENTS), None) if kind else None
        if event is not None:
            verbs = _EVENTS[event].get(kind, ())
            found = found.with_more(PropertyWords(does=verbs))
            continue
        nouns, converse, verbs, is_turned = _families().get(words[-1], ((), (), (), False))
        extra = PropertyWords(nouns, converse, () if is_turned else verbs, verbs if is_turned else ())
        found = found.with_more(extra)
    for verb in own.done:
        for nouns, converse, verbs, is_turned in _families().values():
            if is_turned and verb in verbs:
                found = found.with_more(PropertyWords(nouns, converse, (), verbs))
                break
    return found


def _past(base: str, past: str, particle: str) -> Verb:
    return Verb(f"{past} {particle}", f"{past} {particle}", "did", "did", f"{base} {particle}")


def _state(participle: str, particle: str) -> Verb:
    said = f"{participle} {particle}"
    return Verb(f"was {said}", f"were {said}", "was", "were", said, behind=said)


_EVENTS: dict[str, dict[str, tuple[Verb, ...]]] = {
    root("birth"): {"place": (_state("born", "in"), _past("come", "came", "from")), "time": (_state("born", "on"),)},
    root("death"): {"place": (_past("die", "died", "in"),), "time": (_past("die", "died", "on"),)},
    root("release"): {"time": (_state("released", "in"), _past("come out", "came out", "in"))},
    root("publication"): {"time": (_state("published", "in"),)},
    root("launch"): {"time": (_state("launched", "on"),), "place": (_state("launched", "from"),)},
    root("landing"): {"time": (_past("land", "landed", "on"),), "place": (_past("land", "landed", "at"),)},
    root("foundation"): {"time": (_state("founded", "in"),), "place": (_state("founded", "in"),)},
    root("founding"): {"time": (_state("founded", "on"),), "place": (_state("founded", "in"),)},
    root("construction"): {"time": (_state("built", "in"),)},
    root("start"): {"time": (_past("start", "started", "on"),)},
    root("end"): {"time": (_past("end", "ended", "on"),)},
}
