"""Wordings: which property a sentence means by the words between two names, and which of these is its subject.

Nothing is guessed: the words have to be those of a name of the property, but for inflection, the verb that an agent
noun is made of ("commander", "commanded"), and words for the kind of a value ("launch date", "launched on"). What a
name means in each of its grammatical forms decides the direction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal as OneOfStrings
from typing import TypeAlias

from kgllm.ontology import Ontology
from kgllm.terms import URIRef, local_name, readable
from kgllm.vocabularies import is_vocabulary

__all__ = ["ARTICLES", "BE", "HAVE", "PREPOSITIONS", "Form", "Meaning", "Wordings", "base"]

Form: TypeAlias = OneOfStrings["noun", "copula", "active"]
"""How two names are joined: "the … of left is right", "left is … right", "left … right"."""

_Key: TypeAlias = tuple[str, ...]
Needs: TypeAlias = OneOfStrings["", "date", "node"]

ARTICLES = frozenset("a an the der die das den dem des ein eine einen einem einer eines".split())  # noqa: SIM905
BE = frozenset("is are was were be been being ist sind war waren wird werden wurde wurden worden".split())  # noqa: SIM905
HAVE = frozenset("has have had having hat haben hatte hatten".split())  # noqa: SIM905
PREPOSITIONS = frozenset(
    """
    by in on at of for to from with into onto as during within under over through around near against
    von vom am im an auf aus bei mit für zu zum zur nach durch unter über
    """.split()  # noqa: SIM905 - a list of a hundred literals reads worse
)
_OF = frozenset("of for in on to at from von vom des der".split())  # noqa: SIM905
_LEFT_OUT = ARTICLES | {"its", "his", "her", "their"}
"""Words that no name is told apart by."""
_TIMES = frozenset("date day year time datum jahr".split())  # noqa: SIM905
_PLACES = frozenset("place location site city town country ort".split())  # noqa: SIM905
_AT_TIME, _AT_PLACE = frozenset("on in at am im".split()), frozenset("in at on".split())  # noqa: SIM905
_NO_VERB = frozenset("play speak act run work live compete".split())  # noqa: SIM905 - "played Germany" is against it
_LYING = frozenset("located situated lies gelegen liegt".split())  # noqa: SIM905
_ROLES = frozenset(
    """
    parent father mother pilot host coach captain head lead guide sponsor author star partner tutor mentor nurse guard
    judge chair champion sire boss model crew staff stage target source land base neighbor neighbour
    """.split()  # noqa: SIM905 - as above
)
"""Nouns that are verbs too, of what their bearer does: a property "parents" does not say that its subject parents."""
_IRREGULAR = {
    form: forms.split()[0]
    for forms in (
        "bear born birth bore", "die died dies dying death dead", "write wrote written", "make made", "build built",
        "lead led", "win won", "hold held", "fly flew flown flies", "sell sold", "buy bought", "teach taught",
        "give gave given", "take took taken", "sing sang sung", "speak spoke spoken", "draw drew drawn",
        "go went gone", "run ran", "find found", "stand stood", "set set", "begin began begun", "know knew known",
        "drive drove driven", "marry married marries marriage", "wear wore worn", "send sent", "keep kept",
        "lie lay lies lying", "person people persons", "child children", "man men", "woman women",
    )
    for form in forms.split()
}  # fmt: skip
_SETTLED = {**_IRREGULAR, "founded": "founde", "founder": "founder", "founding": "founde"}


def base(word: str) -> str:
    """A word without its inflection, and no more than that: "author" and "authority" stay two words.

    >>> base("studied"), base("studies"), base("released"), base("written"), base("director")
    ('study', 'study', 'releas', 'writ', 'director')
    """
    word = word.casefold()
    word = _SETTLED.get(word, word)
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-2] if word.endswith(("xes", "ches", "shes", "sses", "zes")) else word[:-1]
    elif len(word) > 4 and word.endswith("ied"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith("ed"):
        word = _without_doubling(word[:-2])
    elif len(word) > 5 and word.endswith("ing"):
        word = _without_doubling(word[:-3])
    return word[:-1] if len(word) > 3 and word.endswith("e") and not word.endswith("ee") else word


def _without_doubling(root: str) -> str:
    is_doubled = len(root) > 3 and root[-1] == root[-2] and root[-1] not in "aeiousl"
    return root[:-1] if is_doubled else root


def _key(words: Sequence[str]) -> _Key:
    """The words of a name to compare by, "date of birth" as "birth date"."""
    plain = [word for word in words if word not in _LEFT_OUT]
    if "of" in plain[1:-1]:
        place = plain.index("of", 1)
        plain = [*plain[place + 1 :], *plain[:place]]
    return tuple(base(word) for word in plain)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A property that some words may mean; ``is_turned`` if the left name is its object.

    ``needs`` says what the object has to be for the words to mean it.
    """

    property: URIRef
    is_turned: bool = False
    needs: Needs = ""


class Wordings:
    """The names of all relations and classes of an ontology, by the words and the form in which a sentence has them."""

    def __init__(self, ontology: Ontology) -> None:
        self._tables: dict[Form, dict[_Key, set[Meaning]]] = {f: defaultdict(set) for f in ("noun", "copula", "active")}
        self._classes: dict[_Key, set[URIRef]] = defaultdict(set)
        self._words: dict[str, set[URIRef]] = defaultdict(set)
        self._of_classes: set[str] = set()
        self._begun: set[_Key] = set()
        for cls in ontology.classes.values():
            for name in {cls.label, *cls.names}:
                if words := _words(name):
                    self._classes[_key(words)].add(cls.iri)
                    self._of_classes.update(map(base, words))
        for prop in ontology.properties.values():
            if prop.is_text or is_vocabulary(prop.iri):
                continue
            others = [ontology.properties[q] for q in prop.inverses if q in ontology.properties]
            back = {_key(_words(name)) for other in others for name in (other.label, *other.names)}
            for name in {prop.label, *prop.names, readable(local_name(prop.iri))}:
                if name.endswith("-"):  # some mark an inverse so, whose words are those of the property then
                    continue
                self._say(prop.iri, _words(name), back)
                self._say(prop.iri, _words(name.replace("(", " ").replace(")", " ")), back)  # "weight (g)"

    def meanings(self, form: Form, words: Sequence[str]) -> set[Meaning]:
        """The properties that words in a form may mean."""
        if form == "noun" and len(words) == 1 and words[0].endswith("ed"):
            return set()  # "the encompassed of" is no way to say what encompasses
        return self._tables[form].get(_key(words), set())

    def classes(self, words: Sequence[str]) -> set[URIRef]:
        """The classes that some words name."""
        return self._classes.get(_key(words), set())

    def is_vague(self, words: Sequence[str]) -> bool:
        """Whether words say too little to be held against anybody: "from", and "part of" beside "part of programme"."""
        return all(word in PREPOSITIONS for word in words) or _key(words) in self._begun

    def knows(self, word: str) -> bool:
        """Whether a word stands in the name of any property or class."""
        return base(word) in self._words or base(word) in self._of_classes

    def properties_with(self, words: Sequence[str]) -> set[URIRef]:
        """The properties that have one of some words in a name."""
        return {iri for word in words for iri in self._words.get(base(word), ())}

    def _add(self, form: Form, key: _Key, meaning: Meaning) -> None:
        if key:
            self._tables[form][key].add(meaning)

    def _say(self, prop: URIRef, words: list[str], back: Collection[_Key]) -> None:
        """Enter one name of a property in each form that a sentence may give it; ``back``: its inverses' names."""
        for word in words:
            self._words[base(word)].add(prop)
        is_copula = False
        while words and words[0] in BE | HAVE:
            is_copula = words[0] in BE
            words = words[1:]
        if not words:
            return
        own = Meaning(prop)
        last = words[-1]
        for place in range(1, len(words) - 1):  # "belongs to programme"
            if words[place] not in PREPOSITIONS:
                continue
            self._begun.add(_key(words[: place + 1]))
            if words[place] != "of" and self.classes(words[place + 1 :]):
                self._add("copula", _key(words[: place + 1]), own)
                self._add("active", _key(words[: place + 1]), own)
        if last == "in" and words[0] in _LYING:
            self._add("copula", ("in",), own)
        if is_copula or (last in PREPOSITIONS and last != "by"):
            self._add("copula", _key(words), own)
            if last in PREPOSITIONS:
                self._add("active", _key(words), own)
            return
        if last == "by" and len(words) > 1:
            self._say_done(prop, _key(words[:-1]))
            return
        self._say_noun(prop, words, back)

    def _say_done(self, prop: URIRef, key: _Key) -> None:
        """The object does it to the subject: "directed by", and the verb of "director"."""
        self._add("copula", (*key, "by"), Meaning(prop))
        self._add("copula", (*key, "von"), Meaning(prop))
        self._add("active", key, Meaning(prop, is_turned=True))

    def _say_noun(self, prop: URIRef, words: list[str], back: Collection[_Key]) -> None:
        key = _key(words)
        first, last = words[0], words[-1]
        is_past = first.endswith("ed") or (first in _IRREGULAR and _IRREGULAR[first] != first)
        if is_past and len(words) == 1 and first not in {"birth", "death"}:
            if key in back:  # "encompassed" beside "encompasses" says what is done to its subject
                self._say_done(prop, key)
            else:  # "commanded"
                self._say_doing(prop, key)
            return
        self._add("noun", key, Meaning(prop))
        for of in _OF:
            self._add("copula", (*key, of), Meaning(prop, is_turned=True))
        if is_past and first not in {"birth", "death"}:  # "visited station"
            self._say_doing(prop, (base(first),))
            self._add("active", key, Meaning(prop))
        elif (
            len(words) == 1 and first.endswith("s") and not first.endswith(("ss", "us", "is")) and key[0] not in _ROLES
        ):
            self._say_doing(prop, key)  # "studies"
        elif first in {"contains", "includes", "measures", "carries"}:
            self._add("active", key, Meaning(prop))
        if len(words) == 1 and last.endswith(("er", "or")) and (verb := _verb(last)) not in _NO_VERB:
            self._say_done(prop, (verb,))
        for kinds, prepositions, meaning in (
            (_TIMES, _AT_TIME, Meaning(prop, needs="date")),
            (_PLACES, _AT_PLACE, Meaning(prop, needs="node")),
        ):
            event = [word for word in key if word not in {base(kind) for kind in kinds}]
            if 0 < len(event) < len(key):
                for preposition in prepositions:
                    self._add("copula", (*event, preposition), meaning)
                    self._add("active", (*event, preposition), meaning)

    def _say_doing(self, prop: URIRef, key: _Key) -> None:
        """The subject does it to the object."""
        self._add("active", key, Meaning(prop))
        self._add("copula", (*key, "by"), Meaning(prop, is_turned=True))


def _words(name: str) -> list[str]:
    """The words of a name; what stands in brackets, a unit say, is none of them."""
    plain = name.casefold().replace("_", " ").split("(")[0].replace("-", " ").replace("/", " ")
    return [word for word in plain.split() if word not in _LEFT_OUT or word in {"in", "an"}]


def _verb(agent: str) -> str:
    """The verb of an agent noun, to compare by: "commander" is one who commands."""
    root = agent[:-2]
    if root.endswith("i"):
        return root[:-1] + "y"
    return _without_doubling(root) if root.endswith(("nn", "pp", "tt", "mm", "gg", "dd", "bb")) else root
