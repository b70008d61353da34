"""Training of the embedder: a sentence-transformers model drawn, a little, towards pairs of texts that mean the same.

Contrastive: each text is to be nearer to its own partner than to a wrong one that was named with it, and than to those
of the other pairs of a batch (van den Oord, Li and Vinyals, 2018). What comes out is mixed with the model it came from
(Wortsman and others, "Robust fine-tuning of zero-shot models", CVPR 2022), so that it forgets little.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgllm.engines.sentence_transformers import load_model, quiet_transformers
from kgllm.engines.trainers import needed, quiet_datasets, tell_steps
from kgllm.errors import InputError
from kgllm.protocols import Progress
from kgllm.terms import clean

__all__ = ["Pair", "Schedule", "move_model", "train_embedder"]

_WARMING = 0.1  # share of the steps in which the rate rises


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to train, and how much of the model."""

    batch: int  # pairs a step
    epochs: int
    most_steps: int
    rate: float  # at its highest
    frozen: int = 0  # layers, the lowest; the vectors of tokens with them
    tokens: int | None = None  # of a text that are read while it trains; None: as many as the model reads


@dataclass(frozen=True, slots=True)
class Pair:
    """A text, what means the same, and what does not; that is left out of all of them or of none."""

    text: str
    same: str
    other: str = ""


def train_embedder(
    base: str,
    pairs: Sequence[Pair],
    folders: Mapping[float, Path],
    *,
    schedule: Schedule,
    seed: int,
    progress: Progress,
) -> None:
    """Train a model on at least two pairs, and write it to each folder as it is at that part of the way, in [0, 1].

    Its prompts, pooling and normalisation stay. ``base`` is the default, a folder, or a model hub's name. The same
    pairs and seed give the same model on the same machine. Raises ``EmbedderError`` if the base cannot be had,
    ``BackendError`` without what trains it, and ``InputError`` where a folder cannot be written.
    """
    datasets, _ = needed("datasets", "accelerate", what="tuning an embedder")
    model = load_model(base)
    model.model_card_data.widget = [{"text": ""}]  # for a page on a hub; else it is computed under a bar of its own
    before = {name: values.clone() for name, values in model.state_dict().items()}
    columns = {"anchor": [pair.text for pair in pairs], "positive": [pair.same for pair in pairs]}
    if any(pair.other for pair in pairs):
        columns["negative"] = [pair.other for pair in pairs]
    data = datasets.Dataset.from_dict(columns)
    with quiet_transformers(), quiet_datasets():
        _train(model, data, schedule, seed=seed, progress=progress)
        after = {name: values.to("cpu", copy=True) for name, values in model.state_dict().items()}
        model.to("cpu")
        for part, folder in folders.items():
            _write(model, _mixed(before, after, part), folder)


def move_model(trained: Path, folder: Path) -> None:
    """Put a model that was written into a folder that holds nothing. Raises ``InputError`` if it cannot be written."""
    try:
        shutil.copytree(trained, folder, dirs_exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _train(model: Any, data: Any, schedule: Schedule, *, seed: int, progress: Progress) -> None:
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    steps = min(schedule.most_steps, max(1, schedule.epochs * len(data) // schedule.batch))
    both_ways = "negative" not in data.column_names  # then either of a pair may be the text that is asked with
    directions: Any = ("query_to_doc", "doc_to_query") if both_ways else ("query_to_doc",)
    frozen = _lowest(model, schedule.frozen)
    reads = model.max_seq_length
    if schedule.tokens is not None and schedule.tokens < reads:
        model.max_seq_length = schedule.tokens
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=min(schedule.batch, len(data)),
            learning_rate=schedule.rate,
            warmup_steps=round(_WARMING * steps),
            batch_sampler="no_duplicates",
            dataloader_pin_memory=False,
            prompts=(model.prompts or {}).get(model.default_prompt_name),
            seed=seed,
            data_seed=seed,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer = SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=data,
            loss=MultipleNegativesRankingLoss(model, directions=directions, partition_mode="per_direction"),
        )
        tell_steps(trainer, progress)
        for weights in frozen:
            weights.requires_grad_(False)
        trainer.train()
        for weights in frozen:
            weights.requires_grad_(True)
    if model.max_seq_length != reads:
        model.max_seq_length = reads
    model.eval()


def _lowest(model: Any, layers: int) -> list[Any]:
    """The weights of so many of a transformer's lowest layers, and those below them; none if it has no more layers."""
    from torch.nn import Embedding, ModuleList

    parts = list(model.modules())
    stack = max((part for part in parts if isinstance(part, ModuleList)), key=len, default=())
    if not 0 < layers < len(stack):
        return []
    lowest = [*(part for part in parts if isinstance(part, Embedding)), *stack[:layers]]
    return [weights for part in lowest for weights in part.parameters()]


def _mixed(before: Mapping[str, Any], after: Mapping[str, Any], part: float) -> dict[str, Any]:
    """The weights that lie that part of the way between two models."""
    return {
        name: values + part * (after[name] - values) if values.is_floating_point() else values
        for name, values in ((name, values.to("cpu")) for name, values in before.items())
    }


def _write(model: Any, weights: Mapping[str, Any], folder: Path) -> None:
    model.load_state_dict(weights)
    try:
        model.save_pretrained(str(folder), create_model_card=False)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"{clean(str(folder))} cannot be written", why=clean(str(error)), try_next="name a folder of yours"
    )
