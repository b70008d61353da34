"""The magics in a shell of IPython's own: what a cell shows, keeps and closes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from kgllm import Answer, Assistant, InputError, Rows
from kgllm.errors import QuestionError
from kgllm.magics import Answers, ShownRows, ShownTriples
from kgllm.terms import Literal, Namespaces, URIRef
from tests.cells import drawn, fails, succeeds
from tests.conftest import DEMO_GRAPH, DEMO_ONTOLOGY, DEMO_SHAPES
from tests.shown import HOSTILE, Page

WALKED = "How many people walked on the Moon?"
HOSTILE_GRAPH = """
@prefix ex: <https://example.org/> .
ex:b ex:name "</td><script>alert(1)</script>\\u202Etxet" ; ex:at <javascript:alert(1)> ; ex:on ex:Moon .
"""


def test_a_question_is_answered_and_kept(demo_shell: InteractiveShell, demo: Assistant) -> None:
    answer = succeeds(demo_shell, "%ask Who commanded Apollo 11")
    assert isinstance(answer, Answer)
    assert answer.results == demo.ask("Who commanded Apollo 11").results
    assert succeeds(demo_shell, "_") is answer
    assert "text/html" in drawn(demo_shell, answer)


@pytest.mark.parametrize(
    "cell",
    [
        f"%ask {WALKED}",
        f"if True:\n    found = %ask {WALKED}\nfound",
        f"found = %ask  {WALKED}  \nfound",
        f"%%ask\n{WALKED}\n",
        "%%ask How many people\nwalked on the Moon?",
        "%%ask\nHow many people\n  walked on\n\nthe Moon?",
    ],
)
def test_the_mark_of_a_question_asks_for_no_help(demo_shell: InteractiveShell, cell: str) -> None:
    assert [str(result) for result in succeeds(demo_shell, cell).results] == ["12"]


@pytest.mark.parametrize("question", ["Who's {Neil} \"$HOME\" 'x' \\n?", "What is 1 = 1?"])
def test_a_question_is_asked_as_it_is_written(demo_shell: InteractiveShell, question: str) -> None:
    assert succeeds(demo_shell, f"%ask {question}").question == question
    assert succeeds(demo_shell, f"%%ask\n{question}").question == question


def test_help_is_still_given_where_it_is_asked_for(
    demo_shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    for cell in ("%ask?", "%kg?", "%%sparql?", "demo?"):
        assert succeeds(demo_shell, cell) is None
    assert "Ask a question" in capsys.readouterr().out
    (line,) = demo_shell.transform_cell("%%writefile f\n%ask Who is it?\n").splitlines()
    assert r"%ask Who is it?\n" in line  # what another magic takes is left as it is


def test_with_each_every_line_is_a_question(demo_shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["Who commanded Apollo 11?", "", "Who " + "very " * 2_000 + "much?", "  Who commanded Apollo 17?"]
    answers = succeeds(demo_shell, "%%ask --each\n" + "\n".join(lines))
    assert isinstance(answers, Answers)
    assert [answer.question for answer in answers] == ["Who commanded Apollo 11?", "Who commanded Apollo 17?"]
    assert "error: " in capsys.readouterr().err  # of the endless one, which takes nothing from the others
    shown = drawn(demo_shell, answers)
    assert shown["text/plain"].startswith("» Who commanded Apollo 11?\nThe commander of Apollo 11 is Neil Armstrong")
    assert all(name in Page(shown["text/html"]).text for name in ("Neil Armstrong", "Eugene Cernan"))


def test_an_error_is_told_without_the_way_to_it(
    demo_shell: InteractiveShell, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    for cell, said in (
        ("%ask", "question"),
        ("%kg nothing.ttl", "there is no file, folder or glob nothing.ttl"),
        ("%%sparql\nSELECT * { ?s ", "does not parse"),
        ("%%sparql\nDELETE WHERE { ?s ?p ?o }", "DELETE is not allowed"),
        ("%kg no\x1b[31m\u202ething.ttl", "no␛[31m<U+202E>thing.ttl"),
    ):
        capsys.readouterr()
        assert isinstance(fails(demo_shell, cell), InputError)
        told = capsys.readouterr().out
        assert told.startswith("error: ")
        assert said in told
        assert "    try: " in told
        assert "Traceback" not in told
        assert "kgllm/" not in told
    assert isinstance(fails(demo_shell, "%ask"), QuestionError)
    assert isinstance(fails(demo_shell, "demo.ask('')"), QuestionError)
    assert "assistant.py" in capsys.readouterr().out  # outside the magics an error keeps the way to it


@pytest.mark.parametrize("cell", ["%kg", "%ask Who?", "%%sparql\nASK {}"])
def test_without_a_graph_the_error_says_how_to_choose_one(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    assert isinstance(fails(shell, cell), InputError)
    assert "no graph is chosen\n    try: %kg SOURCE" in capsys.readouterr().out


@pytest.mark.parametrize(
    "cell", ["%kg --shapes s.ttl", "%kg --wrong x", "%%sparql 1x\nASK {}", "%%sparql --limit 0\nASK {}"]
)
def test_a_wrong_use_is_told_in_a_line(
    demo_shell: InteractiveShell, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    assert type(fails(demo_shell, cell)).__name__ == "UsageError"
    said = capsys.readouterr().err
    assert said.startswith("UsageError: ")
    assert len(said.splitlines()) == 1


@pytest.mark.usefixtures("clean_surroundings")
def test_a_graph_that_the_magic_opened_is_closed_by_it_and_no_other(
    shell: InteractiveShell, demo: Assistant, tmp_path: Path
) -> None:
    named = tmp_path / "with space.ttl"
    named.write_bytes(DEMO_GRAPH.read_bytes())
    opened = succeeds(shell, f'%kg {DEMO_GRAPH} --ontology "{DEMO_ONTOLOGY}" --shapes {DEMO_SHAPES}')
    assert repr(opened) == "<Assistant over spaceflight>"
    assert succeeds(shell, "%kg") is opened
    assert len(succeeds(shell, "%ask Who commanded Apollo 11?").results) == 1
    assert isinstance(fails(shell, "%kg nothing.ttl"), InputError)
    assert succeeds(shell, "%kg") is opened  # what cannot be opened replaces nothing
    shell.user_ns.update(mine=opened, demo=demo)
    assert succeeds(shell, "%kg mine") is opened
    assert opened.ask("Who commanded Apollo 11?").results
    assert succeeds(shell, "%kg demo") is demo
    with pytest.raises(InputError, match="closed"):
        opened.ask("Who commanded Apollo 11?")
    quoted = succeeds(shell, f"%kg '{named}'")
    assert quoted.workspace.name == "with space"
    assert demo.ask("Who commanded Apollo 11?").results
    succeeds(shell, "%reload_ext kgllm")
    with pytest.raises(InputError, match="closed"):
        quoted.ask("Who?")
    assert isinstance(fails(shell, "%kg"), InputError)


@pytest.mark.usefixtures("clean_surroundings")
def test_a_variable_that_is_no_assistant_is_no_graph(shell: InteractiveShell) -> None:
    shell.user_ns["space"] = 12
    error = fails(shell, "%kg space")
    assert isinstance(error, InputError)
    assert "space" in error.what
    shell.user_ns["path"] = str(DEMO_GRAPH)
    assert succeeds(shell, "%kg $path").workspace.name == "spaceflight"


COMMANDERS = """
PREFIX sf: <https://example.org/spaceflight/ontology#>
SELECT ?mission ?who WHERE { ?mission sf:commander ?who } ORDER BY ?mission"""


def test_a_query_gives_rows_that_draw_themselves(demo_shell: InteractiveShell, demo: Assistant) -> None:
    rows = succeeds(demo_shell, f"%%sparql found --limit 5\n{COMMANDERS}")
    assert isinstance(rows, Rows)
    assert rows is succeeds(demo_shell, "found") is succeeds(demo_shell, "_")
    assert rows.rows == demo.query(COMMANDERS, limit=5).rows
    assert len(succeeds(demo_shell, "found.to_frame()")) == 5
    shown = drawn(demo_shell, rows)
    lines = shown["text/plain"].splitlines()
    assert lines[0].split() == ["?mission", "?who"]
    assert lines[2].split() == ["space:Apollo_10", "space:Thomas_Stafford"]
    assert lines[-1] == "5 rows, cut: there are more"
    page = Page(shown["text/html"])
    assert page.tags.count("tr") == 6
    assert ("href", "https://example.org/spaceflight/Apollo_10") in page.attributes
    assert "space:Apollo_10" in page.text


def test_the_prefixes_of_the_graph_need_no_declaration(demo_shell: InteractiveShell) -> None:
    rows = succeeds(demo_shell, "%%sparql\nSELECT ?who { space:Apollo_11 sf:commander ?who }")
    assert [str(row[0]) for row in rows] == ["https://example.org/spaceflight/Neil_Armstrong"]
    assert succeeds(demo_shell, "%%sparql is_so\nASK { space:Apollo_11 sf:commander space:Neil_Armstrong }") is True
    assert demo_shell.user_ns["is_so"] is True


def test_triples_are_shown_as_turtle(demo_shell: InteractiveShell) -> None:
    triples = succeeds(demo_shell, "%%sparql\nCONSTRUCT WHERE { space:Apollo_11 sf:commander ?who }")
    assert isinstance(triples, ShownTriples)
    assert len(triples) == 1
    shown = drawn(demo_shell, triples)
    assert "space:Apollo_11 sf:commander space:Neil_Armstrong ." in shown["text/plain"]
    assert "<https://example.org/spaceflight/>" in Page(shown["text/html"]).text
    assert Page(shown["text/html"]).tags == ["pre"]


def test_long_results_are_folded(demo_shell: InteractiveShell) -> None:
    many = drawn(demo_shell, succeeds(demo_shell, "%%sparql\nSELECT * { ?s ?p ?o } LIMIT 1234"))
    assert many["text/plain"].endswith("1,234 rows; the first 100 are shown")
    assert Page(many["text/html"]).tags.count("tr") == 101
    triples = drawn(demo_shell, succeeds(demo_shell, "%%sparql\nCONSTRUCT WHERE { ?s ?p ?o } LIMIT 150"))
    assert triples["text/plain"].endswith("\n# and 50 more triples")


def test_nothing_of_a_graph_breaks_out_of_a_table(
    shell: InteractiveShell, open_cached: Callable[..., Assistant]
) -> None:
    shell.user_ns["kg"] = open_cached(HOSTILE_GRAPH)
    succeeds(shell, "%kg kg")
    for cell in ("%%sparql\nSELECT * { ?s ?p ?o }", "%%sparql\nDESCRIBE ex:b"):
        shown = drawn(shell, succeeds(shell, cell))
        page = Page(shown["text/html"])
        assert not {"script", "img", "iframe"} & set(page.tags)
        assert all(value.startswith("https://") for name, value in page.attributes if name == "href")
        assert not re.search("[\u202e\x1b]", shown["text/html"] + shown["text/plain"])
        assert "alert(1)" in page.text  # it is there to be read


@pytest.mark.parametrize("text", [*HOSTILE, "n" * 10_000])
def test_hostile_text_in_a_table_is_harmless_and_readable(shell: InteractiveShell, text: str) -> None:
    row = (Literal(text), URIRef("https://example.org/" + text), URIRef("javascript:" + text), None)
    shown = drawn(shell, ShownRows(("a", text, "c", "d"), [row], True, Namespaces()))
    page = Page(shown["text/html"])
    assert set(page.tags) <= {"table", "thead", "tbody", "tr", "th", "td", "a", "bdi", "p"}
    assert {name for name, _ in page.attributes} <= {"style", "href", "rel"}
    assert page.tags.count("a") == 1
    for form in shown.values():
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u200b]", form)
    assert len(page.text) < 1_500


def test_the_package_is_an_extension_that_costs_nothing_to_import() -> None:
    code = "import kgllm, sys; assert 'IPython' not in sys.modules; kgllm.load_ipython_extension; assert 'IPython' in "
    subprocess.run([sys.executable, "-c", code + "sys.modules"], check=True, cwd=Path(__file__).parents[1])
