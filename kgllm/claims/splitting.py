"""Splitting: the sentences of a text, each of which is a claim of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kgllm import quantities
from kgllm.index import Index
from kgllm.names import normalise
from kgllm.words import tokenize

__all__ = ["split"]

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)]*\s+(?=[\"“(]?[A-ZÄÖÜ0-9])")
_NO_END = re.compile(r"(?:\b[A-Z]|\b(?:Dr|Mr|Mrs|Ms|St|Jr|Sr|No|vs|ca|bzw))\.$")
_AROUND, _WORDS = 60, 4  # characters and words on each side of a full stop that may be within a name


def split(text: str, index: Index) -> Iterator[str]:
    """The sentences of a text; a full stop within a date or a name of the graph ends none."""
    text = " ".join(text.split())
    begin = 0
    for match in _SENTENCE_END.finditer(text):
        is_date = any(start < match.start() < end for start, end, _ in quantities.dates(text))
        if is_date or _NO_END.search(text[begin : match.start()]) or _is_within_name(text, match.start(), index):
            continue
        yield text[begin : match.end()].strip()
        begin = match.end()
    if text[begin:].strip():
        yield text[begin:].strip()


def _is_within_name(text: str, place: int, index: Index) -> bool:
    start = max(0, place - _AROUND)
    before = [token for token in tokenize(text[start:place]) if token.is_word][-_WORDS:]
    behind = [token for token in tokenize(text[place : place + _AROUND]) if token.is_word][:_WORDS]
    spans = [normalise(text[start + a.start : place + b.end]) for a in before for b in behind]
    return bool(index.names.exact(spans)) if spans else False
