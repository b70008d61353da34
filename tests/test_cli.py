"""The command line as a user drives it: outputs and exit codes. What it says of bad inputs: test_cli_faults.py."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.command_line import APOLLO, ARMSTRONG, GRAPH, ONTOLOGY, QUESTION, demo, failed, file, run, spawn

pytestmark = pytest.mark.usefixtures("clean_surroundings")


# ask


def test_an_answer_stands_on_stdout_with_its_numbered_facts_and_remarks_on_stderr() -> None:
    result = demo("ask", QUESTION)
    assert result.exit_code == 0
    assert "Neil Armstrong [1]" in result.stdout
    assert '[1] space:Apollo_11 ! "Apollo 11"   sf:commander   space:Neil_Armstrong ! "Neil Armstrong"' in result.stdout
    assert "ontology ✓" in result.stderr
    assert "ontology ✓" not in result.stdout


def test_quiet_says_nothing_but_the_answer() -> None:
    assert demo("ask", QUESTION, "-q").stderr == ""


def test_json_is_one_object_with_terms_as_in_n_triples() -> None:
    answer = json.loads(demo("ask", QUESTION, "--json").stdout)
    assert answer["results"] == [f"<{ARMSTRONG}>"]
    assert answer["claims"][0]["evidence"][0][0] == f"<{APOLLO}>"
    assert set(answer) >= {"question", "text", "abstained", "reason", "vars", "rows", "complete", "query", "memory"}
    assert set(answer) >= {"violations", "planner", "model", "rounds", "timings_ms", "usage"}


def test_the_same_process_gives_json_on_stdout_alone() -> None:
    process = spawn("ask", "--json", QUESTION, "-g", GRAPH, "--ontology", ONTOLOGY)
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["abstained"] is False


def test_what_the_graph_does_not_say_exits_with_3_and_names_the_nearest() -> None:
    result = demo("ask", "What is the recipe for goulash?")
    assert result.exit_code == 3
    assert "The graph does not say" in result.stdout
    assert " ! " in result.stdout


def test_piped_questions_are_answered_one_a_line() -> None:
    result = demo("ask", "-", "--json", stdin=f"{QUESTION}\n\nWhat is the recipe for goulash?\n")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["abstained"] for answer in answers] == [False, True]
    assert result.exit_code == 0


def test_a_faulty_question_is_told_in_its_place_and_the_others_are_answered(tmp_path: Path) -> None:
    lines = [{"id": 1, "question": QUESTION}, {"id": 2, "question": " "}, {"id": 3, "question": QUESTION}]
    questions = file(tmp_path / "q.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    result = demo("ask", "--file", questions, "--jsonl")
    assert result.exit_code == 2
    first, fault, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert first["results"] == last["results"] == [f"<{ARMSTRONG}>"]
    assert (fault["id"], fault["question"], fault["error"]) == (2, " ", "the question is empty")
    shown = demo("ask", "--file", questions)
    assert shown.exit_code == 2
    assert shown.stdout.count("Neil Armstrong [1]") == 2
    assert "error: the question is empty" in shown.stderr


def test_what_was_answered_before_a_broken_line_is_printed(tmp_path: Path) -> None:
    questions = file(tmp_path / "q.jsonl", json.dumps({"question": QUESTION}) + "\n{\n")
    result = demo("ask", "--file", questions, "--jsonl")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["results"] == [f"<{ARMSTRONG}>"]
    assert "q.jsonl:2" in result.stderr


def test_piped_questions_that_all_find_nothing_exit_with_3() -> None:
    assert demo("ask", stdin="What is the recipe for goulash?\n").exit_code == 3


def test_a_file_of_questions_keeps_their_ids(tmp_path: Path) -> None:
    questions = file(tmp_path / "q.jsonl", json.dumps({"id": "q7", "question": QUESTION}) + "\n")
    result = demo("ask", "--file", questions, "--jsonl")
    (answer,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert answer["id"] == "q7"
    assert answer["results"] == [f"<{ARMSTRONG}>"]


def test_a_file_with_a_broken_line_names_the_line(tmp_path: Path) -> None:
    questions = file(tmp_path / "q.jsonl", '\n{"id": 1}\n')
    result = demo("ask", "--file", questions, "--jsonl")
    assert result.exit_code == 2
    assert "q.jsonl:2" in result.stderr


@pytest.mark.parametrize(
    ("form", "sign"),
    [
        ("md", "1. Apollo 11 (`space:Apollo_11`)"),
        ("ttl", "commander"),
        ("trig", "WorkingMemoryGraph"),
        ("jsonld", '"@id"'),
        ("html", "<!DOCTYPE html>"),
    ],
)
def test_an_answer_has_other_forms(form: str, sign: str) -> None:
    result = demo("ask", QUESTION, "-f", form)
    assert result.exit_code == 0
    assert sign in result.stdout


def test_an_unknown_form_is_a_fault_of_usage() -> None:
    assert demo("ask", QUESTION, "-f", "pdf").exit_code == 2


def test_the_query_is_shown_on_demand() -> None:
    assert "SELECT" in demo("ask", QUESTION, "--show-sparql").stdout
    assert "SELECT" not in demo("ask", QUESTION).stdout


@pytest.mark.parametrize(("question", "sign"), [("", "is empty"), ("  ", "is empty"), ("why " * 25_000, "100,000")])
def test_an_empty_or_endless_question_is_refused(question: str, sign: str) -> None:
    result = demo("ask", question)
    assert result.exit_code == 2
    assert sign in result.stderr
    assert len(result.stderr) < 600


def test_no_question_at_all_is_told() -> None:
    result = demo("ask", stdin="")
    assert result.exit_code == 2
    assert "no question" in result.stderr


# Conversations and the run log


def test_a_question_continues_the_last_conversation() -> None:
    assert demo("ask", QUESTION).exit_code == 0
    assert "Wapakoneta" in demo("ask", "-c", "Where was he born?").stdout
    assert "1969" in demo("ask", "-c", "When was it launched?").stdout


def test_without_a_conversation_a_pronoun_stands_for_nothing() -> None:
    assert demo("ask", QUESTION).exit_code == 0
    alone = demo("ask", "Where was he born?")
    assert alone.exit_code == 3
    assert "“he” refers to nothing" in alone.stdout


def test_a_conversation_that_is_not_there_cannot_be_continued() -> None:
    failed(demo("ask", "-c", QUESTION), 2, "no conversation over spaceflight")
    failed(demo("ask", "--cid", "zzz", QUESTION), 2, "no run whose id begins with 'zzz'")


def test_a_conversation_of_before_is_continued_by_the_id_of_any_of_its_runs() -> None:
    demo("ask", QUESTION)
    demo("ask", "Who commanded Apollo 13?")
    newest, oldest = [run["id"] for run in reversed(json.loads(run("logs", "--json").stdout)["runs"])]
    assert "Wapakoneta" in demo("ask", "--cid", oldest, "Where was he born?").stdout
    assert "Cleveland" in demo("ask", "--cid", newest, "Where was he born?").stdout


def test_logs_lists_the_last_questions_and_shows_one_in_full() -> None:
    assert run("logs").exit_code == 3
    demo("ask", QUESTION)
    demo("ask", "Who commanded Apollo 13?")
    listed = run("logs", "-n", "1").stdout
    assert "Apollo 13" in listed
    assert QUESTION not in listed
    id = listed.split()[0]
    full = run("logs", "show", id[:-1]).stdout
    assert all(part in full for part in ("Question", "James Lovell", "SELECT DISTINCT ?x", "WorkingMemoryGraph"))
    assert json.loads(run("logs", "show", id, "--json").stdout)["answer"]["claims"]


def test_a_question_stays_out_of_the_log_where_it_is_not_wanted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    demo("ask", "--no-log", QUESTION)
    demo("search", "Moon")
    assert run("logs").exit_code == 3
    monkeypatch.setenv("KGLLM_LOG", "off")
    demo("ask", QUESTION)
    assert run("logs").exit_code == 3
    monkeypatch.setenv("KGLLM_RUNS", "off")
    failed(run("logs"), 2, "the run log is off (by KGLLM_RUNS)")


@pytest.mark.parametrize(
    "content", [b"this is no database, whatever its name says" * 99, b"SQLite format 3\0" + b"x" * 4096]
)
def test_a_log_that_is_damaged_costs_a_remark_and_no_answer(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "runs.sqlite").write_bytes(content)
    result = demo("ask", QUESTION)
    assert result.exit_code == 0
    assert "Neil Armstrong [1]" in result.stdout
    assert result.stderr.count("the question was not logged") == 1
    assert run("logs").exit_code == 5


# The other verbs


def test_search_prints_score_node_and_type() -> None:
    result = demo("search", "Neil Armstrong", "-k", "2")
    assert result.exit_code == 0
    assert '1.00  space:Neil_Armstrong ! "Neil Armstrong"   a sf:Astronaut' in result.stdout
    assert len(result.stdout.splitlines()) == 2


def test_search_as_json() -> None:
    found = json.loads(demo("search", "lunar landing mission", "--json").stdout)
    assert found["hits"][0]["kind"] == "class"


def test_show_finds_a_node_by_its_label_and_says_what_is_near_where_it_finds_none() -> None:
    assert "sf:commander" in demo("show", "Apollo 11").stdout
    missing = demo("show", "Armstrong the younger")
    assert missing.exit_code == 3
    assert "no node" in missing.stdout


def test_show_why_leads_a_triple_back_to_what_was_asserted() -> None:
    shown = demo("show", "--why", "Apollo 11", "crew member", "Neil Armstrong")
    assert shown.exit_code == 0
    assert "(by prp-spo1, from)" in shown.stdout
    assert demo("show", "--why", "Apollo 12", "crew member", "Neil Armstrong").exit_code == 3
    assert demo("show", "Apollo 11", "--why", "a", "b", "c").exit_code == 2
    assert demo("show").exit_code == 2


def test_select_as_table_csv_tsv_and_json() -> None:
    sparql = "SELECT ?who { space:Apollo_11 sf:commander ?who }"
    assert "space:Neil_Armstrong" in demo("query", sparql).stdout
    assert demo("query", sparql, "-f", "csv").stdout.split() == ["who", ARMSTRONG]
    assert demo("query", sparql, "-f", "tsv").stdout.split() == ["?who", f"<{ARMSTRONG}>"]
    (binding,) = json.loads(demo("query", sparql, "--json").stdout)["results"]["bindings"]
    assert binding == {"who": {"type": "uri", "value": ARMSTRONG}}


def test_ask_prints_true_or_false_and_construct_turtle() -> None:
    assert demo("query", "ASK { space:Apollo_11 sf:commander space:Neil_Armstrong }").stdout == "true\n"
    assert demo("query", "ASK { space:Apollo_11 sf:commander space:Apollo_11 }").stdout == "false\n"
    constructed = demo("query", "CONSTRUCT WHERE { space:Apollo_11 sf:commander ?who }").stdout
    assert "space:Apollo_11 sf:commander space:Neil_Armstrong" in constructed


@pytest.mark.parametrize(
    "sparql", ["DELETE WHERE { ?s ?p ?o }", "SELECT * { SERVICE <http://127.0.0.1/> { ?s ?p ?o } }", "SELECT * {", ""]
)
def test_a_query_that_does_more_than_read_is_refused(sparql: str) -> None:
    result = demo("query", sparql)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")


def test_info_counts_what_is_in_the_graph() -> None:
    assert "sf:Astronaut" in demo("info").stdout
    assert json.loads(demo("info", "--json").stdout)["classes"]
    assert "void:Dataset" in demo("info", "-f", "ttl").stdout


def test_check_exits_with_4_for_triples_that_contradict_the_ontology(tmp_path: Path) -> None:
    wrong = file(tmp_path / "new.ttl", f"<{APOLLO}> a <https://example.org/spaceflight/ontology#Astronaut> .")
    right = file(tmp_path / "fine.ttl", f"<{ARMSTRONG}> a <https://example.org/spaceflight/ontology#Astronaut> .")
    assert demo("check", wrong).exit_code == 4
    assert demo("check", right).exit_code == 0


def test_index_says_where_it_is_and_that_it_is_up_to_date(shared_cache: Path) -> None:
    demo("search", "Moon")
    result = demo("index")
    assert result.exit_code == 0
    assert str(shared_cache) in result.stdout
    assert "up to date" in result.stdout


def test_eval_prints_scores(tmp_path: Path) -> None:
    gold = {"id": 1, "question": QUESTION, "answer_nt": [f"<{ARMSTRONG}>"]}
    questions = file(tmp_path / "gold.jsonl", json.dumps(gold) + "\n")
    report = json.loads(demo("eval", questions, "--json", "--out", str(tmp_path / "out.jsonl")).stdout)
    assert report["overall"]["hits@1"] == 1.0
    assert json.loads((tmp_path / "out.jsonl").read_text())["id"] == 1
    assert "overall" in demo("eval", questions).stdout


def test_eval_compares_two_runs(tmp_path: Path) -> None:
    gold = {"id": 1, "question": QUESTION, "answer_nt": [f"<{ARMSTRONG}>"]}
    questions = file(tmp_path / "gold.jsonl", json.dumps(gold) + "\n")
    runs = [str(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    for made in runs:
        demo("eval", questions, "--out", made)
    report = json.loads(demo("eval", "--compare", *runs, "--json").stdout)
    assert (report["n"], report["hits@1"]["difference"], report["hits@1"]["p"]) == (1, 0, 1)
    assert "1 question in both" in demo("eval", "--compare", *runs).stdout
    for wrong in ([questions, "--compare", *runs], ["--compare", *runs, "--candidates"], []):
        assert demo("eval", *wrong).exit_code == 2


def test_eval_tells_what_is_among_the_candidates(tmp_path: Path) -> None:
    gold = {"id": 1, "question": QUESTION, "answers": [], "sparql": f"SELECT ?x {{ <{ARMSTRONG}> <urn:no:such> ?x }}"}
    questions = file(tmp_path / "gold.jsonl", json.dumps(gold) + "\n")
    report = json.loads(demo("eval", questions, "--candidates", "--misses", "1", "--json").stdout)
    assert [handles["overall"]["all"] for handles in report["handles"].values()] == [0] * 4
    shown = demo("eval", questions, "--candidates", "--misses", "1").stdout
    assert "properties" in shown
    assert "<urn:no:such>" in shown


def test_eval_puts_the_assistant_to_a_probe(tmp_path: Path) -> None:
    gold = {"id": 1, "question": QUESTION, "answer_nt": [f"<{ARMSTRONG}>"]}
    questions = file(tmp_path / "gold.jsonl", json.dumps(gold) + "\n")
    out = tmp_path / "out.jsonl"
    report = json.loads(demo("eval", questions, "--probe", "delete", "--json", "--out", str(out)).stdout)
    assert report["delete"]["held"] == 1.0
    assert json.loads(out.read_text())["probe"] == "delete"
    assert "100.0% of 1 held" in demo("eval", questions, "--probe", "delete").stdout
    assert demo("eval", questions, "--probe", "guess").exit_code == 2


def test_doctor_names_the_origin_of_a_setting_and_finds_the_machine_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KGLLM_TIMEOUT", "12")
    demo("search", "Moon")
    result = demo("doctor", "--json")
    report = json.loads(result.stdout)
    assert report["settings"]["timeout_s"] == {"value": "12.0", "origin": "KGLLM_TIMEOUT"}
    assert report["settings"]["graph"]["origin"] == "--graph"
    assert {f["name"]: f["state"] for f in report["findings"]}["index"] == "ok"
    assert result.exit_code == 0


def test_doctor_never_prints_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    result = run("doctor")
    assert "sk-canary" not in result.stdout + result.stderr
    assert "OPENAI_API_KEY" in result.stdout


def test_version_and_no_verb() -> None:
    assert run("--version").stdout.startswith("kgllm ")
    assert run("ask", "--version").exit_code == 0
    assert run("frobnicate").exit_code == 2


# The process itself


def test_a_reader_who_leaves_ends_it_in_silence() -> None:
    process = spawn("query", "SELECT * { ?s ?p ?o }", "-f", "csv", "-g", GRAPH)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0
    assert "error" not in stderr
    assert "Broken" not in stderr


def test_control_c_exits_with_130() -> None:
    process = spawn("ask", "-", "-g", GRAPH, "--ontology", ONTOLOGY, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(QUESTION + "\n")
    process.stdin.flush()
    process.stdout.readline()  # it has begun to answer, and waits for the next question
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in stderr


def test_control_c_does_not_wait_for_a_server_that_says_nothing(tmp_path: Path) -> None:
    questions = file(tmp_path / "q.jsonl", f'{{"question": "{QUESTION}"}}\n' * 5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        model = ["--base-url", url, "-m", "tiny"]
        process = spawn("ask", "--file", questions, "-g", GRAPH, "--ontology", ONTOLOGY, *model)
        silent.settimeout(60)
        connection, _ = silent.accept()  # it asks
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
        connection.close()
    assert process.returncode == 130
    assert "Traceback" not in stderr
