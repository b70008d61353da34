"""Two runs compared: by question, with a test that chance does not pass."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from kgllm.compare import MEASURES, compare
from kgllm.errors import InputError, SourceNotFoundError


def run(folder: Path, name: str, hits: Sequence[float], *, f1: Sequence[float] | None = None) -> Path:
    """A file of predictions with these scores."""
    file = folder / name
    values = zip(hits, f1 or hits, strict=True)
    lines: list[dict[str, Any]] = [
        {"id": number, "scores": dict.fromkeys(MEASURES, hit) | {"f1": of_f1}}
        for number, (hit, of_f1) in enumerate(values)
    ]
    file.write_text("\n".join(json.dumps(line) for line in lines))
    return file


def test_a_run_that_is_better_on_forty_of_a_hundred_is_better_beyond_chance(tmp_path: Path) -> None:
    found = compare(run(tmp_path, "a", [0] * 50 + [1] * 50), run(tmp_path, "b", [1] * 40 + [0] * 10 + [1] * 50))
    assert (found["n"], found["left_out"]) == (100, 0)
    hits = found["hits@1"]
    assert (hits["a"], hits["b"], hits["difference"]) == (0.5, 0.9, 0.4)
    assert (hits["greater"], hits["less"], hits["p"]) == (40, 0, 0)
    assert 0.3 < hits["interval"][0] < 0.4 < hits["interval"][1] <= 0.5


def test_as_many_better_as_worse_is_chance(tmp_path: Path) -> None:
    found = compare(run(tmp_path, "a", [1] * 30 + [0] * 70), run(tmp_path, "b", [0] * 30 + [1] * 30 + [0] * 40))
    hits = found["hits@1"]
    assert (hits["greater"], hits["less"], hits["p"]) == (30, 30, 1)
    assert hits["interval"][0] < 0 < hits["interval"][1]


def test_scores_of_no_and_yes_are_tested_as_mcnemar_does(tmp_path: Path) -> None:
    found = compare(run(tmp_path, "a", [1] * 5 + [0] * 20), run(tmp_path, "b", [0] * 5 + [1] * 15 + [0] * 5))
    assert found["hits@1"]["p"] == round(stats.binomtest(15, 20).pvalue, 4)


def test_shares_are_tested_by_randomisation_and_the_result_is_the_same_each_time(tmp_path: Path) -> None:
    chance = random.Random(1)
    f1 = [chance.random() for _ in range(200)]
    better = [min(1.0, score + 0.05 * chance.random()) for score in f1]
    files = run(tmp_path, "a", [0] * 200, f1=f1), run(tmp_path, "b", [0] * 200, f1=better)
    found = compare(*files)
    assert found["f1"]["p"] < 0.001
    assert found == compare(*files)
    shuffled = [score + 0.05 * (chance.random() - 0.5) for score in f1]
    assert compare(files[0], run(tmp_path, "c", [0] * 200, f1=shuffled))["f1"]["p"] > 0.01


def test_the_same_run_differs_in_nothing(tmp_path: Path) -> None:
    file = run(tmp_path, "a", [0, 1, 1])
    for measure in MEASURES:
        assert compare(file, file)[measure] | {"a": 0, "b": 0} == {
            "a": 0, "b": 0, "difference": 0, "interval": [0, 0], "greater": 0, "less": 0, "p": 1,
        }  # fmt: skip


def test_questions_of_one_file_alone_are_left_out_and_counted(tmp_path: Path) -> None:
    found = compare(run(tmp_path, "a", [1, 1, 0]), run(tmp_path, "b", [0]))
    assert (found["n"], found["left_out"], found["hits@1"]["a"]) == (1, 2, 1)


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    good = run(tmp_path, "a", [1])
    with pytest.raises(SourceNotFoundError):
        compare(good, tmp_path / "absent")
    for name, text in {
        "old": '{"id": 0, "text": "no scores"}',
        "broken": "{",
        "list": "[]",
        "odd": '{"id": 0, "scores": 7}',
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=f"{name}:1: no prediction with its scores"):
            compare(good, tmp_path / name)
    (tmp_path / "empty").write_text("")
    with pytest.raises(InputError, match="no question in common"):
        compare(good, tmp_path / "empty")
