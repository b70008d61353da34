"""A language model learns to plan over one graph: from nothing, or by adapters to one that was trained before.

It is trained on the very prompts that the planner will send it, and on the JSON of their right plans.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kgllm.engines.causal_lm import CHECKPOINTS, SIZES, TrainedModel, Training, from_pretrained, from_scratch, train
from kgllm.errors import InputError
from kgllm.evaluate import Answering, right_first
from kgllm.export import check_new, make_folder, write_whole
from kgllm.hardware import find_hardware
from kgllm.lessons import Lessons
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.protocols import LanguageModel
from kgllm.questions import read_questions
from kgllm.similarity import Vocabulary
from kgllm.tuning.training_data import Reader, TrainingExample, training_examples

if TYPE_CHECKING:
    from kgllm.workspace import Workspace

__all__ = ["CARD", "TunedModel", "apart", "learn", "tune_language_model"]

CARD = "training.json"
_CONTEXT = 2_048  # tokens of a model from scratch
_SAME = 10  # times in an epoch that one prompt with one plan is learned from, however often it is asked
_HELD_OUT, _MOST_HELD_OUT = 10, 100  # every tenth of the prompts that one question has, and how many at most
_FEWEST = 20  # questions with a plan, under which there is nothing to learn
_BEGUN = "kgllm-begun.json"  # what training that was broken off learned from
_EXAMPLES = "kgllm-examples.json.gz"  # of that training
_GO_ON = "make room, and give the same command again: it goes on from the last checkpoint"
_SCRATCH, _ADAPTERS = Training(), Training(epochs=2, batch=8, rate=2e-4)


class Tunable(Protocol):
    """What an ``Assistant`` has that is needed here."""

    @property
    def workspace(self) -> Workspace:
        """The graph."""

    def asking(self, model: LanguageModel) -> Answering:
        """An assistant over the same graph with a model that plans."""


@dataclass(frozen=True, slots=True)
class TunedModel:
    """What a model learned from how many questions, ``planned`` of which have a right plan that is known.

    ``examples`` counts the different ones that it learned; ``losses`` are the held-out ones by epoch; ``right`` is the
    share of ``asked`` questions held out of which the first answer is right, planned without constraint; ``None`` where
    every prompt was too common to be held out.
    """

    folder: Path
    base: str
    parameters: int
    questions: int
    planned: int
    examples: int
    training: Training
    losses: list[dict[str, float]]
    seconds: int
    hardware: str
    asked: int
    right: float | None

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {**asdict(self), "folder": str(self.folder)}


def tune_language_model(
    assistant: Tunable,
    questions: Path,
    folder: Path,
    *,
    base: str | None = None,
    size: str | None = None,
    epochs: float | None = None,
) -> TunedModel:
    """Train a model on a file of questions that ``eval`` reads, and write it as a folder that ``vllm serve`` takes.

    With a ``base`` that model gets adapters, which are merged into it; else one of a ``size`` is made from nothing.
    Training that was broken off goes on where it was, if it is asked for again with the same questions over the same
    graph. Raises ``InputError`` for too few questions with a known plan, for a folder that holds something or cannot be
    written, ``BackendError`` without the extra ``tune``, and what ``read_questions`` raises.
    """
    size = size or "12m"
    training = _SCRATCH if base is None else _ADAPTERS
    training = training if epochs is None else replace(training, epochs=epochs)
    if size not in SIZES:
        raise InputError(f"there is no size {size}", try_next=f"one of {', '.join(SIZES)}")
    if not any((folder / name).exists() for name in (_BEGUN, _EXAMPLES)):
        check_new(folder)
    began = time.monotonic()
    workspace = assistant.workspace
    index, progress = workspace.index, workspace.progress
    asked = read_questions(questions, index.store, languages=workspace.settings.languages)
    model = from_pretrained(base) if base is not None else None
    reader = Reader(_CONTEXT) if model is None else Reader(model.context, model.tokens)
    known = (questions.read_bytes(), workspace.fingerprint, base, reader.context_length())
    of = hashlib.sha256(repr(known).encode()).hexdigest()
    found = _kept_examples(folder, of)
    if found is None:
        make_folder(folder)
        planner = EmbeddedPlanner(Vocabulary(index, Lessons.read(workspace.folder)))
        found = training_examples(asked, planner, reader, progress=progress)
        _keep_examples(folder, of, found)
    planned = [(question, example) for question, example in zip(asked, found, strict=True) if example is not None]
    if len(planned) < _FEWEST:
        raise InputError(
            f"of {len(asked)} questions {len(planned)} have a plan to learn from, and {_FEWEST} are the least",
            why="a right plan is the gold query, or the first reading that gives the gold answer",
            try_next="kgllm tune --make-questions writes questions of the graph's own",
        )
    kept, held = apart([example for _, example in planned])
    model, losses = _learn(kept, held, folder, model=model, size=size, training=training, progress=progress)
    aside = set(held)
    left = [question for question, example in planned if example in aside]
    asking = assistant.asking(model).held_out(question.text for question in asked)
    answers = asking.ask_each(question.text for question in left)
    right = round(right_first(left, answers), 3) if left else None
    tuned = TunedModel(
        folder,
        base or f"{size} from scratch",
        model.parameters(),
        len(asked),
        len(planned),
        len(set(kept)),
        training,
        losses,
        round(time.monotonic() - began),
        f"{os.cpu_count()} processors, {find_hardware()}",
        len(left),
        right,
    )
    write_whole(folder / CARD, json.dumps(tuned.to_json(), indent=1).encode())
    _finish(folder)
    return tuned


def learn(
    kept: Sequence[TrainingExample],
    held: Sequence[TrainingExample],
    folder: Path,
    *,
    model: TrainedModel | None = None,
    size: str = "12m",
    training: Training | None = None,
    progress: Callable[[str, int, int], None],
) -> tuple[TrainedModel, list[dict[str, float]]]:
    """Train on examples, perhaps of several graphs, and write the model; it, and its held-out losses by epoch.

    Without a ``model`` one of a ``size`` is made from scratch. Raises ``InputError`` for a folder that cannot be
    written.
    """
    learned = _learn(kept, held, folder, model=model, size=size, training=training, progress=progress)
    _finish(folder)
    return learned


def _learn(
    kept: Sequence[TrainingExample],
    held: Sequence[TrainingExample],
    folder: Path,
    *,
    model: TrainedModel | None,
    size: str,
    training: Training | None,
    progress: Callable[[str, int, int], None],
) -> tuple[TrainedModel, list[dict[str, float]]]:
    """``learn``, but what it would go on from stays."""
    adapters = model is not None
    training = training or (_ADAPTERS if adapters else _SCRATCH)
    if model is None:
        texts = [text for example in kept for text in (*(m.content for m in example.prompt), example.plan)]
        model = from_scratch(texts, size=size, context=_CONTEXT, seed=training.seed)
    _begin(folder, kept, model, training)
    losses = train(
        model,
        [example.to_json() for example in kept],
        [example.to_json() for example in held],
        folder,
        training=training,
        adapters=adapters,
        progress=progress,
    )
    try:
        model.save(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written", why=str(error), try_next=_GO_ON) from error
    return model, losses


def apart(found: Sequence[TrainingExample]) -> tuple[list[TrainingExample], list[TrainingExample]]:
    """What is learned from, no example more than a few times, and what is held out, with other prompts.

    Held out are prompts that a single question has; what is asked often is learned.
    """
    counts = Counter(found)
    prompts = Counter(example.prompt for example in found)
    once = [example for example in counts if prompts[example.prompt] == 1]
    held = once[_HELD_OUT - 1 :: _HELD_OUT][:_MOST_HELD_OUT]
    learned = {example: min(count, _SAME) for example, count in counts.items()}
    for example in held:
        del learned[example]
    return list(Counter(learned).elements()), held


def _kept_examples(folder: Path, of: str) -> list[TrainingExample | None] | None:
    """The examples of training that was broken off, if it was the same."""
    try:
        kept = json.loads(gzip.decompress((folder / _EXAMPLES).read_bytes()))
    except (OSError, ValueError, EOFError):
        return None
    if kept["of"] != of:
        return None
    return [TrainingExample.of_json(one) if one is not None else None for one in kept["examples"]]


def _keep_examples(folder: Path, of: str, found: Sequence[TrainingExample | None]) -> None:
    """Keep them: which ones there are depends on how quickly queries end, and training goes on with the same alone."""
    kept = {"of": of, "examples": [one.to_json() if one is not None else None for one in found]}
    write_whole(folder / _EXAMPLES, gzip.compress(json.dumps(kept).encode(), mtime=0))


def _begin(folder: Path, kept: Sequence[TrainingExample], model: TrainedModel, training: Training) -> None:
    """Make the folder ready: training that was broken off goes on if it is the same, and begins anew if it is not."""
    make_folder(folder)
    learned = hashlib.sha256(repr((kept, model.name, training)).encode()).hexdigest()
    begun = folder / _BEGUN
    if not begun.exists() or json.loads(begun.read_bytes()) != learned:
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        write_whole(begun, json.dumps(learned).encode())


def _finish(folder: Path) -> None:
    """Remove what training would go on from."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    for name in (_EXAMPLES, _BEGUN):
        (folder / name).unlink(missing_ok=True)
