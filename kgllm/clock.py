"""The clock of one question: how long each of the five verbs took."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Clock"]


@dataclass(slots=True)
class Clock:
    """Time spent in each stage."""

    spent_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of a ``with`` statement to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spent_s[name] = self.spent_s.get(name, 0.0) + time.perf_counter() - started

    def milliseconds(self) -> Mapping[str, float]:
        """Of each stage and in all; what whoever follows the steps does between them is nobody's time."""
        stages = ("link", "plan", "recall", "validate", "answer")
        spent_ms = {stage: self.spent_s.get(stage, 0.0) * 1000 for stage in stages}
        return {**spent_ms, "total": sum(spent_ms.values())}
