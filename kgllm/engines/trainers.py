"""What the trainers of an embedder and of a language model have in common: what they need, and how they are told of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from kgllm.errors import BackendError
from kgllm.protocols import Progress

__all__ = ["needed", "quiet_datasets", "tell_steps"]


def needed(*modules: str, what: str) -> list[Any]:
    """Some modules of the extra ``tune``. Raises ``BackendError`` for the first that is not installed."""
    try:
        return [import_module(module) for module in modules]
    except ImportError as error:
        raise BackendError(
            f"{what} needs more packages",
            why=f"{error.name} cannot be imported",
            try_next="pip install 'kgllm[tune]'",
        ) from error


def tell_steps(trainer: Any, progress: Progress) -> None:
    """Have a trainer tell its steps, where it goes on from, and each held-out loss; and print nothing itself."""
    transformers: Any = import_module("transformers")

    class Told(transformers.TrainerCallback):  # type: ignore[misc]
        stage = "train"

        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step:
                self.stage = f"train on from step {state.global_step:,}"

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            progress(self.stage, state.global_step, state.max_steps)

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **rest: Any) -> None:
            self.stage = f"train, held-out loss {metrics['eval_loss']:.4f}"

    trainer.remove_callback(transformers.PrinterCallback)
    trainer.add_callback(Told())


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Without the progress bars of datasets."""
    datasets: Any = import_module("datasets")
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
