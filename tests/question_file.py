"""A file of questions for a test."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["write"]


def write(folder: Path, *items: object) -> Path:
    """A JSON Lines file of some questions; what is a text already is written as it is."""
    file = folder / "questions.jsonl"
    file.write_text("\n".join(item if isinstance(item, str) else json.dumps(item) for item in items))
    return file
