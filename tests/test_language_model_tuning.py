"""A language model is trained for a graph: from nothing, by adapters, and on from where it was broken off."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kgllm import Assistant, InputError
from kgllm.engines.causal_lm import SIZES, TrainedModel, Training, from_pretrained, from_scratch, train
from kgllm.errors import BackendError
from kgllm.protocols import Message
from kgllm.tuning import language_model
from kgllm.tuning.language_model import CARD, apart, learn, tune_language_model
from kgllm.tuning.training_data import TrainingExample
from tests.command_line import run
from tests.test_tuning import NAMES, family, written
from tests.turtle import EX

PLANS = [
    '{"plan":{"where":[{"s":"n0","p":"p0","o":"x0"}],"then":[],"select":["x0"]}}',
    '{"plan":{"where":[{"s":"x0","p":"p1","o":"n0"}],"then":[],"select":["x0"]}}',
]
EXAMPLES = [
    TrainingExample(
        (Message("system", "p0 spouse, p1 parent\nc0 person"), Message("user", f"n0 person\n{words} n0?")), plan
    )
    for words, plan in [*((f"who is the {w} of", PLANS[0]) for w in "abcdefgh"), ("whose parent is", PLANS[1])]
] * 4
QUICK = Training(epochs=1, batch=4)


def questions(count: int = 24) -> list[dict[str, Any]]:
    return [
        {"id": n, "question": f"Who is the spouse of {NAMES[n]}?", "answer_nt": [f"<{EX}p{n ^ 1}>"]}
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lm") / "model"
    learn(EXAMPLES, EXAMPLES[:4], folder, size="3m", training=replace(QUICK, epochs=12), progress=lambda *_: None)
    return folder


def asked(words: str) -> list[Message]:
    return [Message("system", "p0 spouse, p1 parent\nc0 person"), Message("user", f"n0 person\n{words} n0?")]


def test_what_is_written_is_a_folder_of_a_model_that_says_what_it_learned(trained: Path) -> None:
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in trained.iterdir()}
    assert not list(trained.glob("checkpoint*"))
    model = from_pretrained(str(trained))
    assert model.context_length() == 2_048
    assert 1e6 < model.parameters() < 4e6
    first, second = model.complete([asked("who is the c of"), asked("whose parent is")], schema={}, max_tokens=60)
    assert (first.text, second.text) == tuple(PLANS)
    assert first.value == json.loads(PLANS[0])


def test_a_plan_is_a_few_tokens_and_any_text_comes_back_whole() -> None:
    model = from_scratch(
        [text for e in EXAMPLES for text in (e.prompt[0].content, e.prompt[1].content, e.plan)],
        size="3m",
        context=2_048,
    )
    assert model.tokens(PLANS[0]) <= 12
    for text in (PLANS[0], 'who “wrote” naïve café, "a",\n x0 x100?', "月面 n0's {}[]"):
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert model.tokenizer.decode(ids) == text
    handles = model.tokenizer.tokenize("n0 and n0's p1")
    assert [token for token in handles if token.strip("Ġ") in {"n0", "p1"}] == ["n0", "Ġn0", "Ġp1"]


def test_the_same_seed_makes_the_same_model() -> None:
    texts = [example.plan for example in EXAMPLES]
    one, same, other = (from_scratch(texts, size="3m", context=64, seed=seed) for seed in (1, 1, 2))
    weights = [next(iter(model.model.parameters())).detach().flatten()[:50].tolist() for model in (one, same, other)]
    assert weights[0] == weights[1] != weights[2]
    assert 10e6 < from_scratch(texts, size="12m", context=64).parameters() < 14e6
    assert set(SIZES) == {"3m", "12m"}


def test_training_that_was_broken_off_goes_on_and_other_training_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    training = replace(QUICK, save_every=2)
    seen: list[int] = []

    def told(stage: str, done: int, total: int) -> None:
        seen.append(done)
        if done == 5 and len(seen) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(EXAMPLES, EXAMPLES[:4], folder, size="3m", training=training, progress=told)
    assert seen == [1, 2, 3, 4, 5]
    assert not (folder / "model.safetensors").exists()
    learn(EXAMPLES, EXAMPLES[:4], folder, size="3m", training=training, progress=told)
    assert seen[5:] == [5, 6, 7, 8, 9]
    assert (folder / "model.safetensors").exists()
    seen.clear()
    learn(
        EXAMPLES[::-1],
        EXAMPLES[:4],
        folder,
        size="3m",
        training=training,
        progress=lambda s, done, t: seen.append(done),
    )
    assert seen[0] == 1


def test_adapters_to_a_model_are_merged_into_it(trained: Path, tmp_path: Path) -> None:
    model = from_pretrained(str(trained))
    before = [part.detach().clone() for part in model.model.parameters()]
    learn(EXAMPLES[:8], EXAMPLES[:2], tmp_path / "adapted", model=model, training=QUICK, progress=lambda *_: None)
    adapted = from_pretrained(str(tmp_path / "adapted"))
    assert not (tmp_path / "adapted/adapter_config.json").exists()
    after = list(adapted.model.parameters())
    assert [part.shape for part in after] == [part.shape for part in before]
    assert any(not bool((one == other).all()) for one, other in zip(before, after, strict=True))


def test_the_held_out_have_prompts_that_nothing_is_learned_from() -> None:
    common = [TrainingExample((Message("user", f"common {n % 4}"),), "{}") for n in range(400)]
    rare = [TrainingExample((Message("user", f"rare {n}"),), "{}") for n in range(40)]
    kept, held = apart(common + rare)
    assert not {example.prompt for example in kept} & {example.prompt for example in held}
    assert [example.prompt[0].content for example in held] == ["rare 9", "rare 19", "rare 29", "rare 39"]
    assert len(kept) == 4 * 10 + 36
    assert apart(common)[1] == []


def test_a_model_is_tuned_for_a_graph_from_the_command_line(tmp_path: Path) -> None:
    graph = tmp_path / "family.ttl"
    graph.write_text(family(), encoding="utf-8")
    asked = written(tmp_path, questions())
    out = tmp_path / "model"
    options = ("--language-model", str(out), "--from-scratch", "3m", "--epochs", "1", "--json")
    result = run("tune", "-g", str(graph), "--questions", str(asked), *options)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["questions"], told["planned"], told["examples"]) == (24, 24, 1)
    assert json.loads((out / CARD).read_text()) == told
    assert (told["losses"], told["asked"], told["right"]) == ([], 0, None)  # all of them are one prompt
    again = run("tune", "-g", str(graph), "--questions", str(asked), *options)
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert json.loads((out / CARD).read_text()) == told


HOW = ("who is the", "name the", "give me the", "what is the name of the", "find the")
ASKING = [f"{how} {what} of {{}}" for how in HOW for what in ("spouse", "spouse, please,", "one spouse", "only spouse")]


def worded(count: int = 40) -> list[dict[str, Any]]:
    """Questions with as many prompts."""
    return [
        {"id": n, "question": f"{ASKING[n % 20].format(NAMES[n])}{'?' * (n // 20)}", "answer_nt": [f"<{EX}p{n ^ 1}>"]}
        for n in range(count)
    ]


def test_what_is_held_out_is_asked_in_the_end_without_examples(
    open_cached: Callable[..., Assistant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kg = open_cached(family())
    barred: list[frozenset[str]] = []
    ask_each = Assistant.ask_each

    def seen(self: Assistant, questions: Iterable[str]) -> Any:
        barred.append(self.barred)
        return ask_each(self, questions)

    monkeypatch.setattr(Assistant, "ask_each", seen)
    tuned = tune_language_model(kg, written(tmp_path, worded()), tmp_path / "model", size="3m", epochs=1)
    assert (tuned.planned, tuned.examples + tuned.asked) == (40, 40)
    assert tuned.asked == 4
    assert len(tuned.losses) == 1
    assert tuned.right is not None
    assert barred == [{question["question"] for question in worded()}]
    assert {file.name for file in (tmp_path / "model").iterdir() if file.name.startswith(("kgllm", "check"))} == set()


def test_what_was_trained_is_told_with_how_to_serve_it(tmp_path: Path) -> None:
    graph, out = tmp_path / "family.ttl", tmp_path / "model"
    graph.write_text(family(), encoding="utf-8")
    options = ("--language-model", str(out), "--from-scratch", "3m", "--epochs", "1", "--quiet")
    told = run("tune", "-g", str(graph), "--questions", str(written(tmp_path, worded())), *options).stdout
    assert "learned 36 plans from 40 questions" in told
    assert "  epoch 1: held-out loss " in told
    assert "of 4 held out, without any constraint: 0.000" in told
    assert "more questions, or with more --epochs" in told
    assert f"vllm serve {out} --generation-config vllm --structured-outputs-config '" in told


def test_a_run_that_was_broken_off_goes_on_with_the_prompts_that_it_wrote(
    open_cached: Callable[..., Assistant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kg, asked, folder = open_cached(family()), written(tmp_path, worded()), tmp_path / "model"

    def broken(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(language_model, "right_first", broken)  # after the training, before the end
        with pytest.raises(KeyboardInterrupt):
            tune_language_model(kg, asked, folder, size="3m", epochs=1)
    assert not (folder / CARD).exists()
    with monkeypatch.context() as patch:
        patch.setattr(language_model, "training_examples", broken)
        tuned = tune_language_model(kg, asked, folder, size="3m", epochs=1)
    assert json.loads((folder / CARD).read_text()) == tuned.to_json()


def test_a_folder_that_cannot_be_written_is_said(
    open_cached: Callable[..., Assistant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kg, asked = open_cached(family()), written(tmp_path, worded())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        tune_language_model(kg, asked, tmp_path / "file/model", size="3m")

    def full(self: TrainedModel, folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TrainedModel, "save", full)
    with pytest.raises(InputError, match="cannot be written") as caught:
        tune_language_model(kg, asked, tmp_path / "model", size="3m", epochs=1)
    assert "goes on" in caught.value.try_next
    assert list((tmp_path / "model").glob("checkpoints/checkpoint-*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--language-model", "m"), "give either --from MODEL or --from-scratch SIZE"),
        (
            ("--language-model", "m", "--from-scratch", "3m", "--from", "x"),
            "give either --from MODEL or --from-scratch SIZE",
        ),
        (("--language-model", "m", "--from-scratch", "9m"), "there is no size 9m"),
        (("--language-model", "m", "--from", "nowhere"), "nowhere cannot be loaded as a language model"),
        (("--from-scratch", "3m"), "go with --language-model"),
        (("--language-model", "m", "--from-scratch", "3m", "-f", "ttl"), "which learns words"),
        (("--language-model", "m", "--from-scratch", "3m", "--dry-run"), "which learns words"),
        (("--language-model", "full", "--from-scratch", "3m"), "is there already"),
        (("--language-model", "m", "--embedder", "m"), "give one of --embedder FOLDER and --language-model FOLDER"),
        (("--embedder", "m", "--from", "x"), "go with --language-model"),
        (("--embedder", "m", "--epochs", "2"), "go with --language-model"),
        (("--embedder", "m", "--dry-run"), "which learns words"),
    ],
)
def test_what_cannot_be_trained_is_said(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    graph = tmp_path / "family.ttl"
    graph.write_text(family(), encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/novel.txt").write_text("Chapter one")
    named = [str(tmp_path / option) if option in {"m", "full", "nowhere"} else option for option in options]
    result = run("tune", "-g", str(graph), "--questions", str(written(tmp_path, questions())), *named)
    assert result.exit_code in {2, 5}, result.stderr
    assert message in " ".join(result.stderr.split())
    assert (tmp_path / "full/novel.txt").read_text() == "Chapter one"
    assert not (tmp_path / "m").exists()


def test_too_few_questions_are_none(open_cached: Callable[..., Assistant], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of 12 questions 12 have a plan"):
        tune_language_model(open_cached(family()), written(tmp_path, questions(12)), tmp_path / "m")


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(BackendError, match="needs more packages") as caught:
        from_scratch(["a"], size="3m", context=64)
    assert "kgllm[tune]" in caught.value.try_next
    with pytest.raises(BackendError, match="needs more packages"):
        train(object(), [], [], tmp_path, training=QUICK, adapters=False, progress=lambda *_: None)  # type: ignore[arg-type]
