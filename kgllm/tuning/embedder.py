"""The embedder learns from questions with known answers how people put what its graph relates.

What is compared when a question is read, is compared in training: the question with its names masked by what they are,
the right reading in words, and the wrong reading that the planner liked best, as a hard negative. A fifth of the
questions is held out, and the tuned model is kept only if the planner then reads these no worse.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from kgllm.engines.embedder_training import Pair, Schedule, move_model, train_embedder
from kgllm.engines.sentence_transformers import DEFAULT_MODEL, SentenceTransformersEmbedder
from kgllm.errors import InputError
from kgllm.export import check_new
from kgllm.index import Index
from kgllm.link import link
from kgllm.phrases import masked, phrase
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.protocols import Progress
from kgllm.questions import Question
from kgllm.similarity import Vocabulary
from kgllm.stages import right_reading

__all__ = ["TunedEmbedder", "tune_embedder"]

_SCHEDULE = Schedule(batch=32, epochs=3, most_steps=150, rate=2e-5)
_PARTS = (0.5, 1.0)  # of the way from the model before; the shorter one wins where both read as well
_HELD_OUT = 5  # every fifth
_FEWEST = 20  # questions whose right reading is known, under which there is nothing to learn
_FEWEST_PAIRS = 2
_WRONG = 2  # readings that a right one is held against


@dataclass(frozen=True, slots=True)
class TunedEmbedder:
    """What an embedder learned from: of the ``questions`` those ``solved`` have a reading that gives the gold.

    ``before`` and ``after`` are the shares of the ``held_out`` of these that are read right first. ``folder`` is
    ``None`` where that became worse, and nothing was kept; ``part`` is how far of the way from the ``base`` it went.
    """

    folder: Path | None
    base: str
    questions: int
    solved: int
    pairs: int
    held_out: int
    before: float
    after: float
    part: float
    seconds: int

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return {**asdict(self), "folder": None if self.folder is None else str(self.folder)}


@dataclass(frozen=True, slots=True)
class _Solved:
    """A question, and what its right reading teaches."""

    question: Question
    pairs: tuple[Pair, ...]


def tune_embedder(
    index: Index,
    questions: Sequence[Question],
    folder: Path,
    *,
    base: str | None = None,
    seed: int = 0,
    progress: Progress = lambda stage, done, total: None,
) -> TunedEmbedder:
    """Tune a model on questions over a graph, and write it as a folder that ``--embed-model`` takes.

    ``base`` is what it starts from: the default model, a folder, or a model hub's name. The same questions and seed
    give the same model on the same machine. Raises ``InputError`` for a folder that holds something, or for too few
    questions that the planner can read; ``BackendError`` without the extra ``tune``, ``EmbedderError`` for the base.
    """
    began, base = time.monotonic(), base or DEFAULT_MODEL
    check_new(folder)
    planner = EmbeddedPlanner(Vocabulary(index))
    solved: list[_Solved] = []
    for number, question in enumerate(questions, start=1):
        solved += _solved(question, planner)
        progress("read", number, len(questions))
    if len(solved) < _FEWEST:
        raise InputError(
            f"of {len(questions)} questions {len(solved)} have a reading that gives the gold, "
            f"and {_FEWEST} are the least",
            try_next="kgllm tune --make-questions writes questions of the graph's own",
        )
    held = [one.question for number, one in enumerate(solved) if number % _HELD_OUT == _HELD_OUT - 1]
    pairs = [pair for number, one in enumerate(solved) if number % _HELD_OUT != _HELD_OUT - 1 for pair in one.pairs]
    if len(pairs) < _FEWEST_PAIRS:
        raise InputError(
            f"the readings of {len(solved)} questions differ in no words",
            why="an embedder learns from the words in which right readings and wrong ones differ",
            try_next="questions about relations between things, as kgllm tune --make-questions writes them",
        )
    before = _read_right(index, held)
    with tempfile.TemporaryDirectory() as place:
        trained = {part: Path(place) / str(part) for part in _PARTS}
        train_embedder(base, pairs, trained, schedule=_SCHEDULE, seed=seed, progress=progress)
        shares: dict[float, float] = {}
        for number, (part, where) in enumerate(trained.items(), start=1):
            shares[part] = _read_right(index.speaking(SentenceTransformersEmbedder(str(where))), held)
            progress("measure", number, len(trained))
        part = max(shares, key=lambda part: (shares[part], -part))
        is_kept = shares[part] >= before
        if is_kept:
            move_model(trained[part], folder)
    seconds = round(time.monotonic() - began)
    return TunedEmbedder(
        folder if is_kept else None,
        base,
        len(questions),
        len(solved),
        len(pairs),
        len(held),
        before,
        shares[part],
        part,
        seconds,
    )


def _solved(question: Question, planner: EmbeddedPlanner) -> Iterator[_Solved]:
    """What a question teaches; nothing if no reading of it gives the gold."""
    links = link(question.text, vocabulary=planner.vocabulary)
    right = right_reading(question, links, planner)[1]
    if right is None:
        return
    ontology = planner.ontology
    said = phrase(right.sketch, ontology)
    others = dict.fromkeys(
        words
        for one in planner.plan(links)
        if one.query != right.query and (words := phrase(one.sketch, ontology)) and words != said
    )
    text = masked(links, right.sketch, ontology)
    yield _Solved(question, tuple(Pair(text, said, other) for other in islice(others, _WRONG) if said))


def _read_right(index: Index, questions: Sequence[Question]) -> float:
    """The share of questions of which the first reading that finds something gives the gold."""
    planner = EmbeddedPlanner(Vocabulary(index))
    places = (right_reading(q, link(q.text, vocabulary=planner.vocabulary), planner)[0] for q in questions)
    return sum(place == 1 for place in places) / len(questions)
