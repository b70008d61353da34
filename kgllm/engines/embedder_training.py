"""Training of the embedder: a sentence-transformers model drawn, a little, towards pairs of texts that mean the same.

Contrastive: each text is to be nearer to its own partner than to a wrong one that was named with it, and than to those
of the other pairs of a batch (van den Oord, Li and Vinyals, 2018). What comes out is mixed with the model it came from
(Wortsman and others, "Robust fine-tuning of zero-shot models", CVPR 2022), so that it forgets little.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from kgllm.engines.sentence_transformers import SentenceTransformersEmbedder
from kgllm.errors import BackendError, InputError
from kgllm.protocols import Embedder, Progress, TextPair
from kgllm.terms import clean

__all__ = ["EmbedderTraining"]

_BATCH = 32
_RATE = 2e-5
_MOST_STEPS = 150
_WARMING = 0.1  # share of the steps in which the rate rises


class EmbedderTraining:
    """Trains one model; ``base`` is what it starts from: the default, a folder, or a model hub's name.

    Raises ``EmbedderError`` if the model cannot be had, ``BackendError`` without what trains it.
    """

    def __init__(self, base: str, *, seed: int = 0) -> None:
        try:
            for name in ("accelerate", "datasets"):
                import_module(name)
        except ImportError as error:
            raise BackendError(
                f"an embedder is tuned with {error.name}, which cannot be imported",
                why=str(error),
                try_next="pip install 'kgllm[tune]'",
            ) from None
        self._seed = seed
        self._before = SentenceTransformersEmbedder(base)
        self.name = self._before.name

    def train(self, pairs: Sequence[TextPair], *, part: float, progress: Progress) -> Embedder:
        """The embedder trained on the pairs, ``part`` of the way from the one before. To be saved by ``save``."""
        import torch
        from sentence_transformers import SentenceTransformerTrainer
        from sentence_transformers.losses import MultipleNegativesRankingLoss
        from sentence_transformers.training_args import BatchSamplers, SentenceTransformerTrainingArguments

        data: Any = import_module("datasets").Dataset.from_dict(
            {
                "anchor": [pair.text for pair in pairs],
                "positive": [pair.partner for pair in pairs],
                "negative": [pair.wrong for pair in pairs],
            }
        )
        tuned = self._before.copy()
        before = {name: values.clone() for name, values in tuned.model.state_dict().items()}
        steps = min(_MOST_STEPS, max(1, len(pairs) // _BATCH))
        with tempfile.TemporaryDirectory() as folder:
            arguments = SentenceTransformerTrainingArguments(
                output_dir=folder,
                max_steps=steps,
                per_device_train_batch_size=min(_BATCH, len(pairs)),
                learning_rate=_RATE,
                warmup_steps=round(_WARMING * steps),
                batch_sampler=BatchSamplers.NO_DUPLICATES,
                seed=self._seed,
                data_seed=self._seed,
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
            )
            trainer = SentenceTransformerTrainer(
                model=tuned.model,
                args=arguments,
                train_dataset=data,
                loss=MultipleNegativesRankingLoss(tuned.model),
                callbacks=[_told(progress)],
            )
            trainer.train()
        tuned.model.eval()
        with torch.no_grad():
            mixed = {
                name: torch.lerp(values, after.to(values.device), part) if values.is_floating_point() else values
                for (name, values), after in zip(before.items(), tuned.model.state_dict().values(), strict=True)
            }
            tuned.model.load_state_dict(mixed)
        return tuned

    def save(self, embedder: Embedder, folder: Path) -> None:
        """Write a trained embedder as a folder that ``--embed-model`` takes. Raises ``InputError`` where it cannot."""
        assert isinstance(embedder, SentenceTransformersEmbedder)  # noqa: S101 - train made it
        try:
            embedder.model.save_pretrained(str(folder), create_model_card=False)
        except OSError as error:
            raise InputError(
                f"{clean(str(folder))} cannot be written", why=clean(str(error)), try_next="name a folder of yours"
            ) from error


def _told(progress: Progress) -> Any:
    """What tells the trainer's steps."""
    from transformers import TrainerCallback

    class Told(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            progress("train", state.global_step, state.max_steps)

    return Told()
