"""The embedder learns from a graph's own names which description each goes with, with no question by anybody.

What was trained on texts of every kind knows little of the words of one trade. The graph has them with their meaning
beside them: each name of a node is drawn to its description, away from those of others. A twentieth of the nodes is
held out, and the tuned model is kept only if names of these find their own description more often than before.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kgllm.adapter import ENOUGH_PAIRS
from kgllm.descriptions import Description
from kgllm.engines.embedder_training import Pair, Schedule, move_model, train_embedder
from kgllm.engines.sentence_transformers import DEFAULT_MODEL, SentenceTransformersEmbedder
from kgllm.errors import InputError
from kgllm.export import check_new
from kgllm.index import Index
from kgllm.protocols import Embedder, Progress

__all__ = ["TunedOnNames", "tune_on_names"]

_SCHEDULE = Schedule(batch=64, epochs=3, most_steps=700, rate=4e-5, frozen=3, tokens=64)  # benchmarks/search.py
_MOST_PAIRS = _SCHEDULE.batch * _SCHEDULE.most_steps  # that are seen
_MOST_NAMES = 3  # of a node, the label first
_HELD_OUT = 20  # every twentieth
_MOST_HELD = 500
_AMONG = 5_000  # descriptions that a name is to find its own among, those held out included
_FIRST = 10
_AT_ONCE = 5_000  # rows of the index


@dataclass(frozen=True, slots=True)
class TunedOnNames:
    """What an embedder learned from: ``pairs`` of a name and a description, of so many ``nodes`` and classes.

    ``before`` and ``after`` are the shares of the ``held_out`` names that have their own description among the first
    ten of ``among``. ``folder`` is ``None`` where that became no better, and nothing was kept.
    """

    folder: Path | None
    base: str
    nodes: int
    pairs: int
    held_out: int
    among: int
    before: float
    after: float
    seconds: int

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {**asdict(self), "folder": None if self.folder is None else str(self.folder)}


def tune_on_names(
    index: Index,
    folder: Path,
    *,
    languages: Sequence[str] = ("en", ""),
    base: str | None = None,
    seed: int = 0,
    progress: Progress = lambda stage, done, total: None,
) -> TunedOnNames:
    """Tune a model on the names and descriptions of a graph, and write it as a folder that ``--embed-model`` takes.

    Names are learned in some ``languages``, those without one among them. ``base`` is what it starts from: the default
    model, a folder, or a model hub's name. The same graph and seed give the same model on the same machine. Raises
    ``InputError`` for a folder that holds something or cannot be made, or for a graph with too few descriptions;
    ``BackendError`` without the extra ``tune``, ``EmbedderError`` for the base.
    """
    began, base = time.monotonic(), base or DEFAULT_MODEL
    check_new(folder)
    described = _described(index, np.random.default_rng(seed))
    if len(described) < ENOUGH_PAIRS:
        raise InputError(
            f"the graph describes {len(described):,} things, and {ENOUGH_PAIRS:,} are the least",
            why="what is learned is which name goes with which description",
            try_next="kgllm tune --questions FILE --embedder FOLDER learns from questions",
        )
    held, learned = _apart(described)
    pairs = [Pair(name, d.description) for d in learned for name in _names(d, languages)][:_MOST_PAIRS]
    among = [d.description for d in (*held, *learned)][:_AMONG]
    with tempfile.TemporaryDirectory() as place:
        trained = Path(place) / "trained"
        train_embedder(base, pairs, {1.0: trained}, schedule=_SCHEDULE, seed=seed, progress=progress)
        shares = []
        for number, model in enumerate((base, str(trained)), start=1):
            shares.append(_found(SentenceTransformersEmbedder(model), held, among))
            progress("measure", number, 2)
        before, after = shares
        if after > before:
            move_model(trained, folder)
    return TunedOnNames(
        folder if after > before else None,
        base,
        len(learned),
        len(pairs),
        len(held),
        len(among),
        before,
        after,
        round(time.monotonic() - began),
    )


def _described(index: Index, random: np.random.Generator) -> list[Description]:
    """Nodes and classes that are described, drawn by chance, as many as could be learned from."""
    rows = random.permutation(len(index)).tolist()
    found: list[Description] = []
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        by_row = index.descriptions(some)
        found += [d for row in some if (d := by_row[row]).description and d.kind != "property"]
        if len(found) >= _MOST_PAIRS + _MOST_HELD:
            break
    return found


def _apart(described: Sequence[Description]) -> tuple[list[Description], list[Description]]:
    """Those held out, and those learned from, none of which is described in the same words."""
    held = list(described[: min(_MOST_HELD, len(described) // _HELD_OUT)])
    texts = {d.description for d in held}
    return held, [d for d in described[len(held) :] if d.description not in texts]


def _names(description: Description, languages: Sequence[str]) -> list[str]:
    names = {name: None for name, language in description.names if language.split("-")[0] in {*languages, ""}}
    return list(names)[:_MOST_NAMES] or [description.label]


def _found(embedder: Embedder, held: Sequence[Description], among: Sequence[str]) -> float:
    """The share of labels that have their own description among the first; ``among[i]`` is that of ``held[i]``."""
    likeness = embedder.embed([d.label for d in held]) @ embedder.embed(among).T
    own = likeness[np.arange(len(held)), np.arange(len(held))]
    return float(((likeness > own[:, None]).sum(axis=1) < _FIRST).mean())
