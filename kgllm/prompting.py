"""Prompts: the texts beside this module, and data from the graph framed so that it stays data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from kgllm.protocols import Completion
from kgllm.terms import Literal, clean, local_name

__all__ = ["as_data", "as_reply", "plain", "prompt", "said", "value_entry"]

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


def plain(text: str, *, cap: int | None = _CAP) -> str:
    """A text in one line, cut and cleaned and broken as in ``as_data``, for a prompt that is no JSON."""
    return " ".join(clean(text, cap=cap).split()).translate(_BROKEN)


def value_entry(literal: Literal) -> str:
    """A literal as its text and its datatype."""
    return str(literal) + (f" ({local_name(literal.datatype)})" if literal.datatype else "")


def said(completion: Completion) -> Any:
    """What a model replied, for the record: its JSON, or the text that was none."""
    return completion.text or None if completion.value is None else completion.value


def as_reply(value: Any) -> str:
    """A model's own JSON as its turn in the conversation, its strings broken like data."""
    return _STRING.sub(lambda string: string.group().translate(_BROKEN), json.dumps(value))
