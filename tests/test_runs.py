"""The run log: what it keeps of a question, for how long, and what it does where it cannot."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kgllm import Answer, Assistant, KgllmWarning
from kgllm.errors import BackendError, InputError
from kgllm.memory import WorkingMemoryGraph
from kgllm.protocols import Exchange, Message, Usage
from kgllm.runs import RunLog, Served, new_id
from kgllm.terms import URIRef

ROOT = Path(__file__).parents[1]
QUESTION = "Who commanded Apollo 11?"


@pytest.fixture(scope="module")
def answer(demo: Assistant) -> Answer:
    return demo.ask(QUESTION)


@pytest.fixture
def log(tmp_path: Path) -> RunLog:
    return RunLog(tmp_path / "kept" / "runs.sqlite")


def add(log: RunLog, answer: Answer, *, conversation: str = "") -> str:
    return log.add(answer, graph="demo", fingerprint="f", conversation=conversation)


def test_an_id_is_short_and_sorts_by_time() -> None:
    ids = [new_id() for _ in range(3)]
    assert all(len(id) == 13 and id.isalnum() for id in ids)
    assert [id[:9] for id in ids] == sorted(id[:9] for id in ids)


def test_a_run_keeps_all_that_the_answer_rests_on(log: RunLog, answer: Answer) -> None:
    exchange = Exchange("plan", (Message("system", "Rules"), Message("user", "?")), {"form": "select"}, Usage(3, 1))
    served = Served("https://me:secret@gpu:8000/v1", 0.5, 7)
    asked = replace(answer, planner="model", model="qwen", exchanges=(exchange,))
    run = log.get(log.add(asked, graph="demo", fingerprint="f", served=served))
    assert (run.question, run.text, run.abstained, run.query) == (QUESTION, answer.text, False, answer.sparql)
    assert (run.model, run.server, run.temperature, run.seed) == ("qwen", "gpu:8000", 0.5, 7)
    assert run.exchanges[0]["prompt"][0] == {"role": "system", "content": "Rules"}
    assert run.exchanges[0]["reply"] == {"form": "select"}
    assert run.answer == json.loads(json.dumps(asked.to_json()))
    assert "WorkingMemoryGraph" in run.memory
    assert run.time.endswith("+00:00")
    assert "secret" not in json.dumps(run.to_json())


def test_the_file_is_its_users_alone(log: RunLog, answer: Answer) -> None:
    add(log, answer)
    for file in log.path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.path.parent.stat().st_mode) == 0o700


def test_a_conversation_is_read_back_as_it_was(log: RunLog, answer: Answer) -> None:
    first = add(log, answer)
    add(log, answer)
    second = add(log, replace(answer, question="And Apollo 12?"), conversation=first)
    found = log.conversation(first, graph="demo")
    assert [turn.question for turn in found.turns] == [QUESTION, "And Apollo 12?"]
    assert found.turns[0].answers == (URIRef("https://example.org/spaceflight/Neil_Armstrong"),)
    assert found.id == first
    assert log.get(second).turn == 2
    assert log.conversation(graph="demo") == found
    with pytest.raises(InputError, match="was over demo, not over another"):
        log.conversation(first, graph="another")
    with pytest.raises(InputError, match="no conversation over another"):
        log.conversation(graph="another")


def test_an_id_is_known_by_its_beginning_if_that_is_no_other_ones(log: RunLog, answer: Answer) -> None:
    id = add(log, answer)
    assert log.get(id[:-2]).id == id
    add(log, answer)
    with pytest.raises(InputError, match="several runs"):
        log.get(id[:3])
    for unknown in ("", "nothing", "%", "'"):
        with pytest.raises(InputError, match="no run"):
            log.get(unknown)


def test_the_oldest_runs_are_dropped_beyond_their_number(tmp_path: Path, answer: Answer) -> None:
    log = RunLog(tmp_path / "runs.sqlite", most=3)
    ids = [add(log, answer) for _ in range(5)]
    assert [run.id for run in log.last(10)] == list(reversed(ids[2:]))


def test_the_oldest_runs_are_dropped_beyond_their_size(tmp_path: Path, answer: Answer) -> None:
    log = RunLog(tmp_path / "runs.sqlite", most_bytes=200_000)
    long = replace(answer, text="word " * 4_000)
    newest = [add(log, long) for _ in range(30)][-1]
    log.close()
    assert log.last(1)[0].id == newest
    assert log.path.stat().st_size < 400_000


def test_threads_and_processes_write_side_by_side(tmp_path: Path, answer: Answer) -> None:
    path = tmp_path / "runs.sqlite"
    code = (
        "import sys; from pathlib import Path; from kgllm.runs import RunLog; from kgllm.answer import Answer\n"
        "for n in range(20): RunLog(Path(sys.argv[1])).add(Answer(f'{n}', ''), graph='g', fingerprint='f')"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT) for _ in range(2)]
    log = RunLog(path)
    threads = [threading.Thread(target=add, args=(log, answer)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0]
    assert len(log.last(100)) == 60


@pytest.mark.parametrize("text", ["a\x00b", "lone \ud800 surrogate", "'; DROP TABLE run; --", "🚀" * 500])
def test_any_question_can_be_kept(log: RunLog, text: str) -> None:
    assert log.get(add(log, Answer(text, text))).question.startswith(text[:1])
    assert len(log.last(9)) == 1


def test_a_memory_that_no_rdf_can_write_costs_a_warning(demo: Assistant, log: RunLog, answer: Answer) -> None:
    memory = WorkingMemoryGraph("?")
    memory.assert_triple((URIRef("urn:a"), URIRef("urn:p"), URIRef("urn:no iri")))
    with pytest.raises(ValueError, match="Invalid IRI"):
        add(log, replace(answer, memory=memory))
    with pytest.warns(KgllmWarning, match="not logged"):
        log.keep(replace(answer, memory=memory), workspace=demo.workspace, served=None, conversation="")


def spoilt(path: Path, how: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "a folder":
        path.mkdir()
    elif how == "no database":
        path.write_bytes(b"no database " * 1_000)
    elif how == "of the future":
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
    elif how == "in a file":
        path.parent.rmdir()
        path.parent.write_text("")


@pytest.mark.parametrize("how", ["a folder", "no database", "of the future", "in a file"])
def test_a_log_that_cannot_be_used_costs_a_warning_and_no_answer(demo: Assistant, tmp_path: Path, how: str) -> None:
    log = RunLog(tmp_path / "kept" / "runs.sqlite")
    spoilt(log.path, how)
    with pytest.raises(BackendError, match="the run log"):
        log.last(1)
    kg = Assistant(demo.workspace, log=log)
    with pytest.warns(KgllmWarning, match="not logged"):
        assert "Neil Armstrong" in kg.ask(QUESTION).text


def test_a_full_disk_costs_a_warning_and_no_answer(demo: Assistant, log: RunLog, answer: Answer) -> None:
    add(log, answer)
    connection = log._database._connection
    assert connection is not None
    connection.execute("PRAGMA max_page_count = 1")  # as SQLite sees a disk on which nothing more finds room
    with pytest.warns(KgllmWarning, match="full"):
        assert "Neil Armstrong" in Assistant(demo.workspace, log=log).ask(QUESTION).text
    assert len(log.last(9)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_costs_a_warning_and_no_answer(demo: Assistant, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.warns(KgllmWarning):
        assert Assistant(demo.workspace, log=RunLog(tmp_path / "runs.sqlite")).ask(QUESTION).results
    tmp_path.chmod(0o700)


def test_a_log_that_another_process_holds_is_not_waited_for_long(demo: Assistant, log: RunLog, answer: Answer) -> None:
    add(log, answer)
    other = sqlite3.connect(log.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.warns(KgllmWarning, match="locked"):
        assert Assistant(demo.workspace, log=log).ask(QUESTION).results
    other.close()


def test_the_sdk_logs_only_where_it_is_asked_to(demo: Assistant, log: RunLog) -> None:
    demo.ask(QUESTION)
    assert demo.log is None
    Assistant(demo.workspace, log=log).ask(QUESTION)
    assert [run.question for run in log.last(9)] == [QUESTION]
