"""The examples do what they say, and the notebook shows what happens when it is run."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "first_tour.ipynb"
EXPLORING = EXAMPLES / "explore_your_graph.ipynb"


@pytest.fixture
def environment(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """This process's, without settings of the user's, and with an index of the demo graph that all share."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KGLLM_", "OPENAI_"))}
    cache = tmp_path_factory.getbasetemp() / "index-of-the-demo"
    return {**kept, "KGLLM_CACHE_DIR": str(cache), "XDG_CONFIG_HOME": str(tmp_path)}


def run(script: str, environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / script), *arguments]
    done = subprocess.run(
        command, env=environment, cwd=environment["XDG_CONFIG_HOME"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_answer_is_explained_down_to_its_triples(environment: dict[str, str]) -> None:
    printed = run("ask_and_explain.py", environment, "Who commanded Apollo 11?")
    assert "Answer: The commander of Apollo 11 is Neil Armstrong [1]." in printed
    assert re.search(r"commanded +property +sf:commander", printed)
    assert "/Apollo_11> <https://example.org/spaceflight/ontology#commander> <" in printed
    assert "nothing wrong" in printed


def test_proposed_statements_are_sorted_into_those_that_fit_and_those_that_do_not(environment: dict[str, str]) -> None:
    verdicts = re.findall(r"^(fits|REFUSED) +(.*)$", run("check_new_facts.py", environment), re.MULTILINE)
    assert [verdict for verdict, _ in verdicts] == ["fits", "fits", "REFUSED", "REFUSED", "REFUSED"]


def test_a_batch_becomes_a_table_with_the_least_sure_first(environment: dict[str, str]) -> None:
    rows = list(csv.DictReader(run("batch_to_csv.py", environment).splitlines()))
    assert len(rows) == 10
    assert rows[0]["question"] == "Who discovered penicillin?"
    sure = [float(row["confidence"]) for row in rows]
    assert sure == sorted(sure)
    by_question = {row["question"]: row for row in rows}
    assert by_question["Who commanded Apollo 11?"]["results"] == "<https://example.org/spaceflight/Neil_Armstrong>"


def printed_by(notebook: Any) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs if output.output_type == "stream")


def drawn_by(notebook: Any) -> list[str]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pages = [output.data.get("text/html", "") for output in outputs if output.output_type == "execute_result"]
    return [page for page in pages if "data:image/svg+xml" in page]


@pytest.fixture
def run_notebook(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    def run_notebook(notebook: Any) -> None:
        for name in [name for name in os.environ if name.startswith(("KGLLM_", "OPENAI_"))]:
            monkeypatch.delenv(name)
        for name in ("KGLLM_CACHE_DIR", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(name, environment[name])
        where = {"metadata": {"path": str(EXAMPLES)}}
        nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where).execute()

    return run_notebook


of_the_kernels_client = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@of_the_kernels_client
def test_the_notebook_runs_and_was_stored_with_what_it_shows(run_notebook: Callable[[Any], None]) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    stored = printed_by(notebook)
    run_notebook(notebook)
    for printed in (stored, printed_by(notebook)):
        assert "space:Neil_Armstrong sf:walkedOn space:Moon" in printed
        assert re.search(r"answer +Neil Armstrong", printed)
        assert "True []\nThe graph does not say" in printed
        assert "exactly one commander" in printed
        assert "(by prp-spo1, from)" in printed  # why
        assert (
            "When was he born?\n  The birth date of Neil Armstrong is 1930-08-05" in printed
        )  # a question that follows
    assert len(drawn_by(notebook)) == 3  # the answer, the view where no kernel runs, and what is laid out in it


@of_the_kernels_client
def test_exploring_shows_the_same_each_time_and_answers_all_that_it_suggests(
    run_notebook: Callable[[Any], None],
) -> None:
    notebook = nbformat.read(EXPLORING, as_version=4)  # type: ignore[no-untyped-call]
    stored, drawn = printed_by(notebook), drawn_by(notebook)
    run_notebook(notebook)
    printed = printed_by(notebook)
    questions = re.findall(r"^(?:What|Who|Which|How) .*\?$", printed, re.MULTILINE)
    assert len(questions) == 10
    assert "The graph does not say" not in printed
    assert questions == re.findall(r"^(?:What|Who|Which|How) .*\?$", stored, re.MULTILINE)
    assert len(drawn_by(notebook)) == len(drawn) == 3  # the overview, the answer, and the view
    assert "celestial body, crewed spacecraft" in printed


@pytest.mark.parametrize(("path", "most"), [(NOTEBOOK, 60_000), (EXPLORING, 150_000)])
def test_a_notebook_is_small_and_holds_nothing_of_the_machine_it_was_run_on(path: Path, most: int) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text) < most
    assert not re.search(r"/(?:home|root|tmp|work|Users)/", text)
    assert '"ename"' not in text  # no cell was stored with an error
    assert '"stderr"' not in text
