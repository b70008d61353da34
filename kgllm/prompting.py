"""Prompts: the texts beside this module, and data from the graph framed so that it stays data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from kgllm.terms import clean

__all__ = ["as_data", "prompt"]

_CAP = 300  # characters of a text from the graph
_BROKEN = {character: f"\\u{ord(character):04x}" for character in "<>&|[]`"}


@cache
def prompt(name: str) -> str:
    """The prompt of that name, word for word."""
    return (files("kgllm") / "prompts" / f"{name}.md").read_text(encoding="utf-8")


def as_data(handles: Mapping[str, Any]) -> str:
    """A mapping as JSON, an entry a line, with everything broken that a tokenizer or a template could take for control.

    Texts are cut at 300 characters and cleaned of control, bidi and invisible characters.
    """
    lines = [
        f"{json.dumps(handle)}: {_broken(json.dumps(_cleaned(value), ensure_ascii=False))}"
        for handle, value in handles.items()
    ]
    return "{" + ",\n ".join(lines) + "}"


def _cleaned(value: Any) -> Any:
    return clean(value, cap=_CAP) if isinstance(value, str) else value


def _broken(text: str) -> str:
    return "".join(_BROKEN.get(character, character) for character in text)
