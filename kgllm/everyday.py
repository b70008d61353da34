"""Everyday words for relations that most graphs have under other names: "wife" for a spouse, "appear in" for a cast.

The names of an ontology are seldom those of the person who asks, and an embedder sees no kinship between "kind" and
"genre". Each line has words that names of properties are made of, and behind the bar words that only questions have:
a property named by one on the left answers to all of the line.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from kgllm.roots import root
from kgllm.words import is_function_word

__all__ = ["everyday_words"]

_LINES = """
genre category style kind type class classification | sort
subject topic theme tag keyword | about describe word term concern deal depict
cast star actor actress performer | appear act play perform feature role
writer author script screenplay screenwriter | story pen create creator
director | filmmaker helm
composer | music compose
release publication premiere | publish appear air come
spouse husband wife partner consort | marry marriage wed half mate
child son daughter offspring descendant | kid bear heir
parent father mother | mum mom mama dad papa
sibling brother sister |
birth birthplace | bear native hail
death deathplace | die pass decease
nationality citizenship | citizen country national
profession occupation job vocation | work career living employ
employer | work company job
education university school college alma | study graduate attend degree learn
religion faith denomination | believe belief religious worship
gender sex | male female man woman
ethnicity race | ethnic origin
location place site venue residence | situate lie locate held live reside home address
headquarters seat | base office
population inhabitant | people live
height elevation altitude | tall high
mass weight | heavy weigh
length | long
duration runtime | long last minute
age | old
speed velocity | fast quick
price cost | expensive cheap pay charge
salary wage income | earn pay
rating score review grade | rate opinion think good
vote popularity | popular famous
language | speak tongue
founder | establish found start
owner | belong possess have
member membership | belong join
manufacturer maker | make build produce
developer | develop build make
inventor | invent
discoverer | discover find
award prize honour honor | win receive
leader head chief president | lead run
manager supervisor boss | manage report supervise
coach trainer | train
successor | follow next replace
predecessor | precede previous
email mail | contact reach
phone telephone | call contact reach
address street | live reside
date year | release publish issue appear happen occur hold
colour color |
"""
_ALL, _HEAD = 0.8, 0.7  # of a name whose every word is in the line, and of one whose head alone is
_OF_A_VALUE = frozenset("date day year time name number place location town city country".split())  # noqa: SIM905
"""Words of a name that say what a value is, where others say what relates to it: "release year", "birth place"."""


@cache
def _table() -> tuple[Mapping[str, tuple[int, ...]], tuple[tuple[str, ...], ...]]:
    """For each root on a left side its lines, and all roots of each line."""
    lines_of: dict[str, list[int]] = defaultdict(list)
    roots = []
    for number, line in enumerate(_LINES.strip().splitlines()):
        named, _, said = line.partition("|")
        for word in named.split():
            lines_of[root(word)].append(number)
        roots.append(tuple(dict.fromkeys(root(word) for word in (*named.split(), *said.split()))))
    return {word: tuple(lines) for word, lines in lines_of.items()}, tuple(roots)


def everyday_words(name: str) -> dict[str, float]:
    """The roots of the words that may stand for a relation of this name, each with how surely, in [0, 1].

    >>> everyday_words("has genre")[root("kind")], root("wife") in everyday_words("has genre")
    (0.8, False)
    """
    before, _, behind = re.sub(r"\W+", " ", name.casefold()).partition(" of ")
    words = [word for word in (*behind.split(), *before.split()) if not is_function_word(word)]
    told = [word for word in words if word not in _OF_A_VALUE] or words
    if not told:
        return {}
    lines_of, roots = _table()
    by_word = [set(lines_of.get(root(word), ())) for word in told]
    found: dict[str, float] = {}
    for lines, score in ((by_word[-1], _HEAD), (set.intersection(*by_word), _ALL)):
        for line in lines:
            found |= dict.fromkeys(roots[line], score)
    return found
