"""What is seen of a question while it is answered: its steps on standard error, its claims as they are ready."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kgllm.cli.terminal import Terminal

if TYPE_CHECKING:
    from kgllm.answer import Answer, Claim
    from kgllm.protocols import Step

__all__ = ["follow"]


def follow(items: Iterator[Step | Claim | Answer], terminal: Terminal, *, is_text: bool) -> tuple[Answer, str]:
    """The answer at the end of a stream, and the text of it that has been printed already.

    On a terminal each claim is printed when it is ready. Where the answer turns out to say more than its claims, it is
    printed again as a whole, and nothing counts as said.
    """
    from kgllm.answer import Answer, Claim
    from kgllm.terms import clean

    said: list[str] = []
    answer: Answer | None = None
    try:
        for item in items:
            if isinstance(item, Answer):
                answer = item
            elif isinstance(item, Claim):
                if is_text and sys.stdout.isatty():
                    said.append(clean(item.text, cap=None))
                    terminal.out(said[-1])
            else:
                terminal.step(f"{item.text} …")
    finally:
        terminal.clear()
    assert answer is not None  # noqa: S101 - a stream ends with its answer, or raises
    text = clean(answer.text, cap=None)
    is_all = bool(said) and _bare(text) == _bare(" ".join(said))
    return answer, text if is_all else ""


def _bare(text: str) -> str:
    """A text without the numbers of its facts."""
    return " ".join(re.sub(r"\[\d+\]…?", "", text).split())
