"""JSON and Turtle as the verbs print them: what a terminal obeys or no reader sees is escaped, not lost."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["as_json", "as_turtle"]

_NOT_PLAIN = re.compile(r"[^\n\x20-\x7e]")
_IN_NO_NAME = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f]")


def as_json(value: Any, *, indent: int | None = None) -> str:
    r"""The value as JSON; control, bidi and invisible characters and lone surrogates as ``\uXXXX``."""
    return _NOT_PLAIN.sub(_json_character, json.dumps(value, ensure_ascii=False, indent=indent))


def as_turtle(text: str) -> str:
    r"""Turtle or TriG with control and bidi characters as ``\uXXXX``.

    Only those that no prefixed name may hold: strings and IRIs know such escapes, names don't (Turtle, section 6.4).
    """
    return _IN_NO_NAME.sub(lambda match: f"\\u{ord(match[0]):04X}", text)


def _json_character(match: re.Match[str]) -> str:
    from kgllm.terms import clean  # rdflib comes with it, which a call for help can do without

    character = match[0]
    return character if clean(character) == character else json.dumps(character)[1:-1]
