"""Tuning of the embedder: right readings come nearer to their questions, and what makes others worse is not kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from kgllm import Assistant, InputError
from kgllm.engines.embedder_training import Pair, Schedule, train_embedder
from kgllm.engines.sentence_transformers import DEFAULT_MODEL, SentenceTransformersEmbedder, load_model
from kgllm.questions import Question
from kgllm.tuning import embedder
from kgllm.tuning.embedder import tune_embedder
from kgllm.tuning.made_questions import make_questions, write_questions
from tests.command_line import demo as on_demo

Open = Callable[..., Assistant]
PAIRS = [
    Pair(f"whose sweetie is the {kind}", f"the spouse of the {kind}", f"the parent of the {kind}")
    for kind in "person writer actor king queen baker painter sailor miller farmer".split()  # noqa: SIM905
]


def silent(stage: str, done: int, total: int) -> None:
    pass


def margin(model: SentenceTransformersEmbedder) -> float:
    """How much nearer "sweetie" is to a spouse than to a parent, of a kind that no pair is about."""
    asked, right, wrong = model.embed(
        ["whose sweetie is the pilot", "the spouse of the pilot", "the parent of the pilot"]
    )
    return float(asked @ right - asked @ wrong)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Mapping[float, SentenceTransformersEmbedder]:
    place = tmp_path_factory.mktemp("models")
    folders = {part: place / str(part) for part in (0.0, 0.5, 1.0)}
    schedule = Schedule(batch=32, epochs=3, most_steps=150, rate=2e-5)
    train_embedder(DEFAULT_MODEL, PAIRS * 12, folders, schedule=schedule, seed=0, progress=silent)
    return {part: SentenceTransformersEmbedder(str(folder)) for part, folder in folders.items()}


def test_what_means_the_same_comes_nearer(trained: Mapping[float, SentenceTransformersEmbedder]) -> None:
    assert margin(trained[0.0]) < margin(trained[0.5]) < margin(trained[1.0])


def test_no_part_of_the_way_is_the_model_before(trained: Mapping[float, SentenceTransformersEmbedder]) -> None:
    texts = ["Who commanded Apollo 11?", "the commander of the mission"]
    before = SentenceTransformersEmbedder(DEFAULT_MODEL).embed(texts)
    assert np.allclose(trained[0.0].embed(texts), before, atol=1e-5)
    assert not np.allclose(trained[1.0].embed(texts), before, atol=1e-5)


def test_what_was_trained_is_exported_as_any_model(
    trained: Mapping[float, SentenceTransformersEmbedder], tmp_path: Path
) -> None:
    assert trained[1.0].dimension == trained[0.0].dimension
    assert np.allclose(np.linalg.norm(trained[1.0].embed(["the Moon"]), axis=1), 1.0, atol=1e-5)
    trained[1.0].export(tmp_path)


def test_layers_that_are_to_stay_do(tmp_path: Path) -> None:
    pairs = [Pair(pair.text, pair.same) for pair in PAIRS]
    schedule = Schedule(batch=8, epochs=9, most_steps=3, rate=1e-3, frozen=3, tokens=16)
    train_embedder(DEFAULT_MODEL, pairs, {1.0: tmp_path / "model"}, schedule=schedule, seed=0, progress=silent)
    model, base = load_model(str(tmp_path / "model")), load_model(DEFAULT_MODEL)
    before = base.state_dict()
    changed = {name for name, weights in model.state_dict().items() if not np.allclose(weights, before[name])}
    assert changed
    assert not [name for name in changed if "word_embeddings" in name or "layer.2." in name]
    assert [name for name in changed if "layer.3." in name]
    assert model.max_seq_length == base.max_seq_length


def made(kg: Assistant, count: int = 60) -> list[Question]:
    file = Path(kg.workspace.folder) / "made.jsonl"
    write_questions(make_questions(kg.index, count=count), file)
    from kgllm.questions import read_questions

    return read_questions(file, kg.index.store)


def spoilt(base: str, pairs: Sequence[Pair], folders: Mapping[float, Path], **_: object) -> None:
    """In place of training: models that have forgotten everything."""
    model = load_model(base)
    for parameter in model.parameters():
        parameter.data.normal_()
    for folder in folders.values():
        model.save_pretrained(str(folder), create_model_card=False)


def test_a_model_that_reads_worse_is_not_kept(demo: Assistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter((0.9, 0.5, 0.4))
    monkeypatch.setattr(embedder, "train_embedder", spoilt)
    monkeypatch.setattr(embedder, "_read_right", lambda index, questions: next(shares))
    tuned = tune_embedder(demo.index, made(demo), tmp_path / "tuned")
    assert tuned.folder is None
    assert (tuned.before, tuned.after) == (0.9, 0.5)
    assert not (tmp_path / "tuned").exists()


def test_too_few_questions_and_a_folder_that_is_taken_are_errors(demo: Assistant, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "model.txt").write_text("something")
    with pytest.raises(InputError, match="is there already"):
        tune_embedder(demo.index, [], tmp_path / "taken")
    with pytest.raises(InputError, match="20 are the least"):
        tune_embedder(demo.index, made(demo, 10), tmp_path / "tuned")


@pytest.mark.usefixtures("clean_surroundings")
def test_the_command_writes_a_model_that_an_index_is_built_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder, "_SCHEDULE", Schedule(batch=32, epochs=1, most_steps=2, rate=2e-5))
    questions, folder = str(tmp_path / "made.jsonl"), tmp_path / "tuned"
    assert on_demo("tune", "--make-questions", questions, "--count", "60", "--quiet").exit_code == 0
    done = on_demo("tune", "--questions", questions, "--embedder", str(folder), "--json", "--quiet")
    told = json.loads(done.stdout)
    assert told["held_out"] > 0
    assert told["before"] <= told["after"]
    assert SentenceTransformersEmbedder(str(folder)).identity.startswith(str(folder))
    assert on_demo("tune", "--questions", questions, "--embedder", str(folder), "--dry-run").exit_code == 2
