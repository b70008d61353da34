"""While a model is trained, the terminal says how far it is, how well it does, and from where it goes on."""

from __future__ import annotations

import io
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from kgllm.cli.terminal import Terminal
from kgllm.engines.trainers import tell_steps


class Trainer:
    """Calls what a trainer calls, for two steps with an evaluation between them."""

    def __init__(self, step: int) -> None:
        self.state = SimpleNamespace(global_step=step, max_steps=300)
        self.told: Any = None

    def remove_callback(self, callback: Any) -> None:
        pass

    def add_callback(self, callback: Any) -> None:
        self.told = callback

    def train(self) -> None:
        self.told.on_train_begin(None, self.state, None)
        self.state.global_step += 1
        self.told.on_step_end(None, self.state, None)
        self.told.on_evaluate(None, self.state, None, metrics={"eval_loss": 0.51239})
        self.state.global_step += 1
        self.told.on_step_end(None, self.state, None)


@pytest.mark.parametrize(("step", "first"), [(0, "train"), (1_200, "train on from step 1,200")])
def test_steps_are_told_with_the_last_loss(step: int, first: str) -> None:
    seen: list[tuple[str, int, int]] = []
    trainer = Trainer(step)
    tell_steps(trainer, lambda *stage: seen.append(stage))
    trainer.train()
    assert seen == [(first, step + 1, 300), ("train, held-out loss 0.5124", step + 2, 300)]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_left_is_reckoned_from_where_the_stage_began(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, now = Screen(), [100.0]
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown = Terminal()
    shown.progress("train on from step 200", 200, 300)
    now[0] += 20
    shown.progress("train on from step 200", 210, 300)
    assert "210 of 300  3 min left" in screen.getvalue()
