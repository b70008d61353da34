"""What reaches the terminal: answers on standard output, all else on standard error; colour only where it is seen."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TextIO

from kgllm.errors import KgllmError

__all__ = ["Terminal", "lasted", "told"]

_DIM, _RED, _PLAIN = "\x1b[2m", "\x1b[31m", "\x1b[0m"
_BAR = 24  # characters
_REDRAW_S = 0.1


class Terminal:
    """Standard output and standard error of one run. ``quiet`` silences remarks and progress, never errors."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self._stage = ""
        self._stage_started = 0.0
        self._stage_began_with = 0
        self._drawn = 0.0
        self._bar_is_up = False

    def out(self, text: str) -> None:
        """Print a part of the answer. It reaches a reader of a pipe at once."""
        self._clear_bar()
        print(text, flush=True)  # noqa: T201

    def remark(self, text: str) -> None:
        """Print what is no part of the answer."""
        if not self.quiet:
            self._clear_bar()
            print(_painted(text, _DIM, sys.stderr), file=sys.stderr, flush=True)  # noqa: T201

    def error(self, error: KgllmError) -> None:
        """Print what happened, why, and what to try next."""
        self._clear_bar()
        print(f"{_painted('error:', _RED, sys.stderr)} {told(error)}", file=sys.stderr, flush=True)  # noqa: T201

    def fault_of(self, question: str, error: KgllmError) -> None:
        """Print the question, one of many, that ended in an error, and the error."""
        from kgllm.terms import clean

        self._clear_bar()
        print(f"» {clean(question, cap=200)}", file=sys.stderr)  # noqa: T201
        self.error(error)

    def unexpected(self, error: BaseException) -> None:
        """Print a fault of kgllm itself: one line, and with ``verbose`` the traceback."""
        from kgllm.terms import clean

        self._clear_bar()
        if self.verbose:
            import traceback

            traceback.print_exception(error, file=sys.stderr)
        lines = [f"{_painted('error:', _RED, sys.stderr)} {clean(f'{type(error).__name__}: {error}')}"]
        lines.append("    why: this is a fault of kgllm")
        if not self.verbose:
            lines.append("    try: the same again with -v, which shows where it happened")
        print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201

    def progress(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is: a bar with an estimate on a terminal, elsewhere one line a stage."""
        if self.quiet:
            return
        now = time.monotonic()
        is_new = stage != self._stage
        if is_new:
            self._stage, self._stage_started, self._stage_began_with = stage, now, done
        if not sys.stderr.isatty():
            if is_new:
                print(f"{stage} …", file=sys.stderr, flush=True)  # noqa: T201
            return
        if not is_new and done < total and now - self._drawn < _REDRAW_S:
            return
        self._drawn = now
        self._bar_is_up = True
        print(f"\r\x1b[K{self._bar(stage, done, total, now)}", end="", file=sys.stderr, flush=True)  # noqa: T201

    def step(self, text: str) -> None:
        """Show what was done last, in one line that changes; nothing where standard error is no terminal."""
        if not self.quiet and sys.stderr.isatty():
            from kgllm.terms import clean

            text = clean(text)  # it may hold a label, or what a model wrote
            width = shutil.get_terminal_size().columns - 1
            shown = text if len(text) <= width else text[: max(0, width - 1)] + "…"
            self._bar_is_up = True
            print(f"\r\x1b[K{_painted(shown, _DIM, sys.stderr)}", end="", file=sys.stderr, flush=True)  # noqa: T201

    def clear(self) -> None:
        """Take the bar or the step off the line."""
        self._clear_bar()

    def _bar(self, stage: str, done: int, total: int, now: float) -> str:
        if total <= 1:
            return f"{stage} …"
        filled = _BAR * done // total
        spent = now - self._stage_started
        seen = done - self._stage_began_with
        left = f"{lasted(spent / seen * (total - done))} left" if seen > 0 and spent > 1 else ""
        return f"{stage} {'━' * filled}{'╌' * (_BAR - filled)} {done:,} of {total:,}  {left}"

    def _clear_bar(self) -> None:
        if self._bar_is_up:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # noqa: T201
            self._bar_is_up = False


def lasted(seconds: float) -> str:
    """A length of time as one would say it.

    >>> lasted(40), lasted(1_560), lasted(9_000)
    ('40 s', '26 min', '2.5 h')
    """
    if seconds < 100:
        return f"{round(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"


def told(error: KgllmError) -> str:
    """What happened, and on lines of their own why, and what to try next, safe to show."""
    from kgllm.terms import clean

    lines = ["\n".join(clean(line, cap=2_000) for line in error.what.split("\n"))]
    lines += [
        f"    {word}: {clean(text, cap=2_000)}" for word, text in (("why", error.why), ("try", error.try_next)) if text
    ]
    return "\n".join(lines)


def _painted(text: str, code: str, stream: TextIO) -> str:
    return f"{code}{text}{_PLAIN}" if _has_colour(stream) else text


def _has_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
