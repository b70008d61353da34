"""Lessons: what questions with known answers taught about one graph. They lie beside its index.

Words are those that people have for its relations and the graph has not. Wordings are whole questions with the names
masked by what they are, each with the readings that were right; they tell what is asked about any other name, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kgllm.errors import DamagedIndexError
from kgllm.export import write_whole
from kgllm.terms import Literal, URIRef, n3

__all__ = ["FILE", "Lesson", "Lessons"]

FILE = "lessons.json"
_FORMAT = 1
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Lesson:
    """A word for a relation: of the ``count`` questions that had it, in the share ``sure`` it said that."""

    word: str
    property: URIRef
    sure: float
    count: int


@dataclass(frozen=True, slots=True)
class Lessons:
    """Words, and how often each shape of a reading was right for a masked wording."""

    words: tuple[Lesson, ...] = ()
    wordings: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.words or self.wordings)

    def share(self, wording: str, shape: str) -> float:
        """How often a reading of this shape was right for a wording, in [0, 1]; 0 for one that was never seen.

        1 is as often as the one that was right most often, since several readings may be right for one question.
        """
        seen = self.wordings.get(self.key(wording))
        return seen.get(shape, 0) / max(seen.values()) if seen else 0.0

    @staticmethod
    def key(wording: str) -> str:
        """A masked wording by its words alone."""
        return " ".join(_WORD.findall(wording.lower()))

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        words = [[lesson.word, lesson.property, lesson.sure, lesson.count] for lesson in self.words]
        return {"format": _FORMAT, "words": words, "wordings": {key: dict(seen) for key, seen in self.wordings.items()}}

    @classmethod
    def read(cls, folder: Path) -> Lessons:
        """Those of an index's folder, none without any. Raises ``DamagedIndexError`` for a file that holds none."""
        try:
            content = json.loads((folder / FILE).read_bytes())
            if content["format"] != _FORMAT:
                raise ValueError(f"format {content['format']}")
            words = tuple(Lesson(w, URIRef(p), float(s), int(n)) for w, p, s, n in content["words"])
            wordings = {key: {str(k): int(n) for k, n in seen.items()} for key, seen in content["wordings"].items()}
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedIndexError(
                f"{FILE} in {folder} cannot be read",
                why=str(error),
                try_next="kgllm tune --forget with the same options removes it; then learn again",
            ) from error
        return cls(words, wordings)

    def write(self, folder: Path) -> Path:
        """Keep them in an index's folder, in the place of those that were there. Raises ``InputError``."""
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=0)
        write_whole(folder / FILE, text.encode("utf-8", "backslashreplace"))
        return folder / FILE

    def to_turtle(self) -> str:
        """The words as other names of the relations, for an ontology that takes them over."""
        named = (
            f"{n3(w.property)} skos:altLabel {n3(Literal(w.word, lang='en'))} .  # in {w.count}" for w in self.words
        )
        return "\n".join(["@prefix skos: <http://www.w3.org/2004/02/skos/core#> .", "", *named, ""])
