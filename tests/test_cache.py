"""The cache of completions: what it answers for, what it does not, and that it can be done without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kgllm import Answer, Assistant, KgllmWarning
from kgllm.cache import CachedModel, Completions
from kgllm.errors import ModelServerError
from kgllm.protocols import Completion, LanguageModel, Message, Usage
from kgllm.runs import Served
from kgllm.testing import ScriptedModel

ASKED = [Message("system", "Rules"), Message("user", "Who?")]
SETTINGS = {"base_url": "http://gpu/v1", "temperature": 0.0, "seed": None}


@pytest.fixture
def store(tmp_path: Path) -> Completions:
    return Completions(tmp_path / "completions.sqlite")


def ask(model: LanguageModel, *, turns: Sequence[Message] = ASKED, schema: Any = None, max_tokens: int = 9) -> Any:
    return model.complete([turns], schema=schema or {"type": "object"}, max_tokens=max_tokens)[0]


def test_the_same_is_asked_once(store: Completions) -> None:
    server = ScriptedModel([{"a": "ä\ud800"}])
    model: LanguageModel = CachedModel(server, store, fingerprint="g", settings=SETTINGS)
    first, second = ask(model), ask(model)
    assert first.value == second.value == {"a": "ä\ud800"}
    assert first.usage.prompt_tokens > 0
    assert second.usage == Usage()
    assert len(server.conversations) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"settings": {**SETTINGS, "temperature": 0.1}},
        {"settings": {**SETTINGS, "seed": 1}},
        {"settings": {**SETTINGS, "base_url": "http://other/v1"}},
        {"fingerprint": "another graph"},
        {"name": "another model"},
        {"schema": {"type": "array"}},
        {"max_tokens": 10},
        {"turns": [*ASKED, Message("user", "And?")]},
        {"turns": [ASKED[0], Message("assistant", "Who?")]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_whatever_the_reply_depends_on_misses(store: Completions, other: dict[str, Any]) -> None:
    server = ScriptedModel(["first", "second"])
    ask(CachedModel(server, store, fingerprint="g", settings=SETTINGS))
    server.name = other.pop("name", server.name)
    made = {
        "fingerprint": "g",
        "settings": SETTINGS,
        **{k: other.pop(k) for k in ("fingerprint", "settings") if k in other},
    }
    assert ask(CachedModel(server, store, **made), **other).value == "second"


def test_what_is_no_reply_is_not_kept(store: Completions) -> None:
    model = CachedModel(ScriptedModel([None, "right"]), store, fingerprint="g", settings=SETTINGS)
    assert ask(model).value is None
    assert ask(model).value == "right"
    with pytest.raises(ModelServerError):
        ask(model, turns=[Message("user", "?")])
    with pytest.raises(ModelServerError):
        ask(model, turns=[Message("user", "?")])


def test_of_many_only_the_missing_are_asked(store: Completions) -> None:
    server = ScriptedModel(["b", "a", "c"])
    model = CachedModel(server, store, fingerprint="g", settings=SETTINGS)
    turns = {name: [Message("user", name)] for name in "abc"}
    assert ask(model, turns=turns["b"]).value == "b"
    found = model.complete(list(turns.values()), schema={"type": "object"}, max_tokens=9)
    assert [completion.value for completion in found] == ["a", "b", "c"]
    assert (model.hits, model.misses) == (1, 3)


def test_a_stream_is_served_and_kept(store: Completions) -> None:
    server = ScriptedModel([{"claims": ["one", "two"]}])
    model = CachedModel(server, store, fingerprint="g", settings=SETTINGS)
    first = list(model.stream(ASKED, schema={"type": "object"}, max_tokens=9))
    again = list(model.stream(ASKED, schema={"type": "object"}, max_tokens=9))
    for pieces in (first, again):
        assert isinstance(pieces[-1], Completion)
        assert pieces[-1].value == {"claims": ["one", "two"]}
        assert "".join(piece for piece in pieces if isinstance(piece, str)) == '{"claims": ["one", "two"]}'
    assert len(first) > len(again) == 2
    assert ask(model).value == {"claims": ["one", "two"]}


def test_a_stream_that_breaks_off_keeps_nothing(store: Completions) -> None:
    model = CachedModel(ScriptedModel(["long enough to be cut", "whole"]), store, fingerprint="g", settings=SETTINGS)
    pieces = model.stream(ASKED, schema={}, max_tokens=9)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert ask(model, schema={}).value == "whole"


def test_the_oldest_are_dropped(tmp_path: Path) -> None:
    few = Completions(tmp_path / "few.sqlite", most=2)
    for key in "abc":
        few.keep(key, key)
    assert [few.find(key) for key in "abc"] == [None, "b", "c"]
    small = Completions(tmp_path / "small.sqlite", most_bytes=100_000)
    for number in range(200):
        small.keep(str(number), "x" * 5_000)
    assert small.find("199") is not None
    assert (tmp_path / "small.sqlite").stat().st_size < 700_000


def test_a_damaged_file_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"no database " * 1_000)
    model = CachedModel(
        ScriptedModel(["a", "b"]), Completions(tmp_path / "c.sqlite"), fingerprint="g", settings=SETTINGS
    )
    with pytest.warns(KgllmWarning, match="asked without a cache"):
        assert [ask(model).value, ask(model).value] == ["a", "b"]


Open = Callable[..., Assistant]
MOTHERS = "@prefix ex: <http://example.org/> .\nex:Ann a ex:Person ; ex:mother ex:Eve .\n"
PLAN = {"form": "select", "patterns": [], "nonsense": True}


def answered(kg: Assistant, model: ScriptedModel, store: Completions, served: Served | None = None) -> Answer:
    return Assistant(kg.workspace, model=model, cache=store, served=served).ask("Who is the mother of Ann?")


def test_the_same_question_of_the_same_graph_asks_the_model_once(open_cached: Open, store: Completions) -> None:
    kg, model = open_cached(MOTHERS), ScriptedModel([PLAN] * 3)
    first = answered(kg, model, store)
    again = answered(kg, model, store)
    assert (first.cached, again.cached) == (False, True)
    assert again.usage == Usage()
    assert (first.text, len(first.exchanges)) == (again.text, len(again.exchanges))
    assert len(model.conversations) == 3
    assert again.to_json()["cached"] is True


def test_a_changed_graph_and_changed_settings_ask_it_again(open_cached: Open, store: Completions) -> None:
    kg = open_cached(MOTHERS)
    answered(kg, ScriptedModel([PLAN] * 3), store)
    for changed, served in [(open_cached(MOTHERS + "ex:Eve ex:mother ex:Zoe .\n"), None), (kg, Served("", 1.0, None))]:
        model = ScriptedModel([PLAN] * 3)
        assert not answered(changed, model, store, served).cached
        assert len(model.conversations) == 3


def test_the_same_graph_opened_again_has_the_same_fingerprint(open_cached: Open) -> None:
    one, same, other = open_cached(MOTHERS), open_cached(MOTHERS), open_cached(MOTHERS + "ex:Eve ex:mother ex:Zoe .\n")
    assert one.workspace.fingerprint == same.workspace.fingerprint != other.workspace.fingerprint
    assert len(one.workspace.fingerprint) == 16


def test_an_answer_without_a_model_is_no_cached_one(open_cached: Open, store: Completions) -> None:
    kg = Assistant(open_cached(MOTHERS).workspace, cache=store)
    assert not [kg.ask("Who is the mother of Ann?") for _ in range(2)][-1].cached
