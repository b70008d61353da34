"""The root that English words of one family share: "write", "wrote", "written", "writer" and "screenwriter"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from kgllm.words import stem

__all__ = ["heads", "root"]

_FORMS = """
begin began begun|break broke broken|bring brought|build built|buy bought|catch caught|choose chose chosen
come came|do did done|draw drew drawn|drive drove driven|eat ate eaten|fall fell fallen|feed fed|fight fought
find found|fly flew flown flight|forbid forbade forbidden|get got gotten|give gave given|go went gone
grow grew grown|hold held|keep kept|know knew known|lead led|leave left|lend lent|lose lost loss|make made
marry marriage|mean meant|meet met|pay paid payment|ride rode ridden|rise rose risen|run ran|say said
see saw seen|seek sought|sell sold sale|send sent|shoot shot|sing sang sung song|sit sat|sleep slept
speak spoke spoken|spend spent|stand stood|steal stole stolen|swim swam swum|take took taken|teach taught
tell told|think thought|throw threw thrown|wear wore worn|weigh weight|win won|write wrote written
child children|man men|woman women|person people|die dead death|bear bore born birth
"""
_BASE = {form: forms.split()[0] for forms in re.split(r"[|\n]", _FORMS.strip()) for form in forms.split()}
_AGENT = re.compile(r"(?<=[a-z]{3})(?:or|er|ress)$|^(act)(?:or|ress)$")
_SHORTEST_HEAD, _SHORTEST_REST = 5, 3


@cache
def root(word: str) -> str:
    """What is left of a word without inflection, irregular forms, and the ending of who or what does it.

    >>> root("writer") == root("written") == root("wrote"), root("director") == root("directed")
    (True, True)
    """
    lower = word.casefold()
    if lower.endswith(("ee", "ees")):  # an employee is no employer
        return stem(lower)
    stemmed = stem(_BASE.get(lower, lower))
    bare = _AGENT.sub(r"\1", stemmed)
    bare = _BASE.get(bare, bare)
    doubled = len(bare) > 3 and bare[-1] == bare[-2] and bare[-1] not in "ls"
    return (bare[:-1] if doubled else bare).removesuffix("e")


def heads(word: str) -> Iterator[str]:
    """The roots of what may be the second part of a compound written as one word, longest first.

    >>> root("writer") in heads("screenwriter")
    True
    """
    lower = word.casefold()
    for start in range(_SHORTEST_REST, len(lower) - _SHORTEST_HEAD + 1):
        yield root(lower[start:])
