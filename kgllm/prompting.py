"""Prompts: the texts beside this module, and data from the graph framed so that it stays data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from kgllm.protocols import Completion
from kgllm.terms import clean

__all__ = ["as_data", "as_reply", "prompt", "said"]

_CAP = 300  # characters of a text from the graph
_BROKEN = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&|[]`"})
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


@cache
def prompt(name: str) -> str:
    """The prompt of that name, word for word."""
    return (files("kgllm") / "prompts" / f"{name}.md").read_text(encoding="utf-8")


def as_data(texts: Mapping[str, str], *, cap: int | None = _CAP) -> str:
    """Texts by handle as JSON, an entry a line, with all broken that a tokenizer or a template could take for control.

    Each text is cut at ``cap`` characters and cleaned of control, bidi and invisible characters.
    """
    lines = [
        f"{json.dumps(handle)}: {json.dumps(clean(text, cap=cap), ensure_ascii=False).translate(_BROKEN)}"
        for handle, text in texts.items()
    ]
    return "{" + ",\n ".join(lines) + "}"


def said(completion: Completion) -> Any:
    """What a model replied, for the record: its JSON, or the text that was none."""
    return completion.text or None if completion.value is None else completion.value


def as_reply(value: Any) -> str:
    """A model's own JSON as its turn in the conversation, its strings broken like data."""
    return _STRING.sub(lambda string: string.group().translate(_BROKEN), json.dumps(value))
