"""Lessons: what people call the relations of a graph, learned from questions with known answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kgllm import Assistant, InputError
from kgllm.errors import DamagedIndexError
from kgllm.lessons import FILE, Lesson, Lessons
from kgllm.terms import URIRef
from tests.command_line import run
from tests.turtle import EX, PREFIXES

SPOUSE, PARENT = URIRef(EX + "spouse"), URIRef(EX + "parent")
NAMES = [f"{first} {last}" for last in ("Ash", "Birch", "Cedar", "Elm") for first in
         ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gil", "Hope", "Ida", "Jon", "Kim", "Leo")]  # fmt: skip


def family() -> str:
    """Forty-eight people, in pairs, each with a parent."""
    lines = [":spouse rdfs:label 'spouse' . :parent rdfs:label 'parent' . :Person rdfs:label 'person' ."]
    for number, name in enumerate(NAMES):
        lines.append(
            f":p{number} a :Person ; rdfs:label '{name}' ; :spouse :p{number ^ 1} ; :parent :p{(number + 7) % 48} ."
        )
    return PREFIXES + "\n".join(lines)


def asked(number: int, relation: int, wording: str) -> dict[str, Any]:
    """A question about a person; the answer is that of a relation, the query is not told."""
    return {"id": f"{wording}{number}", "question": wording.format(NAMES[number]), "answer_nt": [f"<{EX}p{relation}>"]}


def questions(*wordings: str, people: range = range(40)) -> list[dict[str, Any]]:
    return [
        asked(number, number ^ 1 if "sweetie" in wording or "spouse" in wording else (number + 7) % 48, wording)
        for number in people
        for wording in wordings
    ]


def written(folder: Path, lines: list[dict[str, Any]]) -> Path:
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


@pytest.fixture
def kg(open_cached: Callable[..., Assistant]) -> Assistant:
    return open_cached(family())


def person(number: int) -> list[URIRef]:
    return [URIRef(f"{EX}p{number}")]


def test_a_word_that_the_graph_does_not_have_is_learned_from_answers_alone(kg: Assistant, tmp_path: Path) -> None:
    question = f"Who is the sweetie of {NAMES[44]}?"
    before = kg.ask(question)
    assert before.results != person(45)
    file = written(tmp_path, questions("Who is the sweetie of {}?", "{}'s sweetie, please?", "Who is {}'s parent?"))
    tuned = kg.tune(file)
    (lesson,) = tuned.lessons.words
    assert (lesson.word, lesson.property) == ("sweetie", SPOUSE)
    assert lesson.sure > 0.9
    assert tuned.before is not None
    assert tuned.after is not None
    assert tuned.before < 0.6 < 0.95 < tuned.after
    assert kg.ask(question).results == person(45)
    assert kg.ask(f"Who is the parent of the sweetie of {NAMES[44]}?").results == person(4)  # in another place, too
    assert kg.ask(f"Who is the parent of {NAMES[44]}?").results == person(3)


def test_words_that_say_nothing_are_not_taken_for_relations(kg: Assistant, tmp_path: Path) -> None:
    wordings = "Kindly, who is the sweetie of {}?", "Kindly, who is the parent of {}?", "Kindly, the spouse of {}?"
    tuned = kg.tune(written(tmp_path, questions(*wordings)), keep=False)
    assert {lesson.word for lesson in tuned.lessons.words} <= {"sweetie"}


def test_what_does_not_help_is_not_kept(kg: Assistant, tmp_path: Path) -> None:
    tuned = kg.tune(
        written(tmp_path, questions("Who is the spouse of {}?", "Who is the parent of {}?", "{}'s parent?"))
    )
    assert (tuned.before, tuned.after) == (1.0, 1.0)
    assert not tuned.lessons
    assert not (kg.workspace.folder / FILE).exists() or not Lessons.read(kg.workspace.folder)


def test_a_whole_wording_is_learned_where_no_single_word_tells(kg: Assistant, tmp_path: Path) -> None:
    wordings = "To whom did {} say yes?", "From whom has {} the nose?", "Who is the parent of {}?"
    lines = [
        asked(number, number ^ 1 if place == 0 else (number + 7) % 48, wording)
        for number in range(40)
        for place, wording in enumerate(wordings)
    ]
    tuned = kg.tune(written(tmp_path, lines))
    assert tuned.before is not None
    assert tuned.after is not None
    assert tuned.before < tuned.after
    assert kg.ask(f"To whom did {NAMES[44]} say yes?").results == person(45)
    assert kg.ask(f"From whom has {NAMES[44]} the nose?").results == person(3)


def test_a_few_questions_teach_but_are_too_few_to_measure(kg: Assistant, tmp_path: Path) -> None:
    tuned = kg.tune(written(tmp_path, questions("Who is the sweetie of {}?", people=range(6))), keep=False)
    assert (tuned.held_out, tuned.before, tuned.after) == (0, None, None)
    assert [lesson.word for lesson in tuned.lessons.words] == ["sweetie"]
    assert kg.ask(f"Who is the sweetie of {NAMES[44]}?").results != person(45)  # nothing was kept


def test_lessons_lie_beside_the_index_and_come_back_whole(tmp_path: Path) -> None:
    lessons = Lessons((Lesson("sweetie", SPOUSE, 0.9, 7),), {"who is person s pal": {"select|>x|": 3, "select|<x|": 1}})
    lessons.write(tmp_path)
    assert Lessons.read(tmp_path) == lessons
    assert lessons.share("Who is person's pal?", "select|>x|") == 1.0
    assert lessons.share("Who is person's pal?", "select|<x|") == pytest.approx(1 / 3)
    assert lessons.share("Who is person's friend?", "select|>x|") == 0.0
    assert not Lessons.read(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "[]", '{"format": 9}', '{"format": 1, "words": [["a"]], "wordings": {}}', "\xff"])
def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="latin-1")
    with pytest.raises(DamagedIndexError, match=FILE) as raised:
        Lessons.read(tmp_path)
    assert "--forget" in str(raised.value.try_next)


def test_the_words_can_go_into_the_ontology_instead(open_cached: Callable[..., Assistant], tmp_path: Path) -> None:
    words = Lessons((Lesson("sweetie", SPOUSE, 0.9, 7),)).to_turtle()
    assert '<http://example.org/spouse> skos:altLabel "sweetie"@en .' in words
    plain, named = open_cached(family()), open_cached(family(), ontology=words)
    question = f"Who is the sweetie of {NAMES[44]}?"
    assert named.ask(question).results == person(45)
    assert plain.ask(question).results != person(45)


def test_the_command_line_learns_tells_and_forgets(tmp_path: Path, clean_surroundings: None) -> None:
    graph = tmp_path / "family.ttl"
    graph.write_text(family(), encoding="utf-8")
    file = written(tmp_path, questions("Who is the sweetie of {}?", "{}'s sweetie?", "Who is {}'s parent?"))
    ask = ["ask", f"Who is the sweetie of {NAMES[44]}?", "-g", str(graph), "--planner", "embedded", "--json"]
    tried = run("tune", "--questions", str(file), "-g", str(graph), "--dry-run", "--quiet")
    assert "sweetie          says :spouse" in tried.stdout
    assert "kept in" not in tried.stdout
    assert json.loads(run(*ask).stdout)["results"] != [f"<{EX}p45>"]
    told = json.loads(run("tune", "--questions", str(file), "-g", str(graph), "--json", "--quiet").stdout)
    assert told["words"][0]["word"] == "sweetie"
    assert told["before"] < told["after"]
    assert json.loads(run(*ask).stdout)["results"] == [f"<{EX}p45>"]  # in a process that has only the index
    assert "altLabel" in run("tune", "--questions", str(file), "-g", str(graph), "-f", "ttl", "--quiet").stdout
    assert run("tune", "--forget", "-g", str(graph)).stdout.startswith("forgotten: ")
    assert json.loads(run(*ask).stdout)["results"] != [f"<{EX}p45>"]
    assert run("tune", "--forget", "-g", str(graph)).stdout == "nothing had been learned\n"
    assert run("tune", "-g", str(graph)).exit_code == 2
    assert run("tune", "--forget", "--questions", str(file), "-g", str(graph)).exit_code == 2


def test_a_reading_that_is_right_by_chance_is_told_by_the_other_questions(
    open_cached: Callable[..., Assistant], tmp_path: Path
) -> None:
    friends = "\n".join(f":p{n} :friend :p{n ^ 1 if n < 24 else (n + 5) % 48} ." for n in range(48))
    kg = open_cached(family() + "\n:friend rdfs:label 'friend' .\n" + friends)
    wording = "Who is the companion of {}?"
    lines = [asked(n, n ^ 1, wording) for n in [*range(14), *range(24, 40)]]  # of the first 14 both are right
    tuned = kg.tune(written(tmp_path, lines), keep=False)
    (seen,) = tuned.lessons.wordings.values()
    counts = {shape.rpartition("/")[2].strip("|"): count for shape, count in seen.items()}
    assert counts["spouse"] == 30
    assert counts.get("friend", 0) <= 14
    assert tuned.lessons.share(next(iter(tuned.lessons.wordings)), max(seen, key=lambda shape: seen[shape])) == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--forget", "--dry-run"),
        ("--accept", "last", "--dry-run"),
        ("--accept", "last", "-f", "ttl"),
        ("--forget", "--embedder", "out"),
        ("--accept", "last", "--language-model", "out"),
        ("--make-questions", "out", "--language-model", "out", "--from-scratch", "3m"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    graph = tmp_path / "family.ttl"
    graph.write_text(family(), encoding="utf-8")
    file = written(tmp_path, questions("Who is the sweetie of {}?"))
    kept = json.loads(run("tune", "--questions", str(file), "-g", str(graph), "--json", "--quiet").stdout)
    assert kept["words"]
    assert run("tune", *options, "-g", str(graph)).exit_code == 2
    forgotten = json.loads(run("tune", "--forget", "-g", str(graph), "--json").stdout)
    assert [Path(name).name for name in forgotten["forgotten"]] == ["lessons.json", "solved.jsonl"]


def test_a_file_that_is_none_is_an_error(kg: Assistant, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        kg.tune(tmp_path / "missing.jsonl")
