"""Made questions: each has the answer that its query gives, in the words of a person, the same at every time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgllm import Assistant, InputError
from kgllm.protocols import Completion
from kgllm.query import Group, Query, TriplePattern
from kgllm.questions import read_questions
from kgllm.terms import URIRef
from kgllm.testing import ScriptedModel
from kgllm.tuning.made_questions import MadeQuestion, make_questions, write_questions
from kgllm.tuning.paraphrase import paraphrases
from kgllm.tuning.property_words import PropertyWords, property_words
from kgllm.tuning.walks import Walks
from tests.command_line import demo, failed
from tests.turtle import EX, PREFIXES

Open = Callable[..., Assistant]
_FIRST = "Ada Bea Cleo Dora Emma Fay Gina Hope Iris Jane Kate Lily Mary Nora Olga Pia".split()  # noqa: SIM905
_SHIPS = [f"{name}{colour}" for colour in ("", " Blue", " Gold") for name in _FIRST]
_PEOPLE = [
    f"{name}{last}" for last in ("", " Fox", " Wolf") for name in ("Ann", "Bob", "Cid", "Dan", "Eve", "Fred", "Gus")
]
SHIPS = """
@prefix e: <http://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
e:Person rdfs:label "person" . e:Ship rdfs:label "ship" . e:Harbour rdfs:label "harbour" .
e:captain rdfs:label "captain" ; skos:altLabel "skipper"@en, "Kapitän"@de . e:built rdfs:label "built by" .
e:moored rdfs:label "is moored at" . e:launched rdfs:label "launch date" . e:mass rdfs:label "mass" .
e:odd rdfs:label "how long it was" .
""" + "\n".join(
    f'e:s{n} a e:Ship ; rdfs:label "Ship {name}" ; e:captain e:p{n % 21} ; e:built e:p{min(n, 20)} ; '
    f'e:moored e:h{n * n % 3} ; e:launched "19{n + 10}-0{n % 9 + 1}-11"^^xsd:date ; '
    f'e:mass {n * 10 + 7} ; e:odd "{n} days" .'
    for n, name in enumerate(_SHIPS)
) + "\n".join(
    [f'e:p{n} a e:Person ; rdfs:label "{name}" .' for n, name in enumerate(_PEOPLE)]
    + [f'e:h{n} a e:Harbour ; rdfs:label "{name}" .' for n, name in enumerate(["Port Lee", "Port May", "Port Nix"])]
)  # fmt: skip


@pytest.fixture
def kg(open_cached: Open) -> Assistant:
    return open_cached(SHIPS)


def made(kg: Assistant, count: int = 400, seed: int = 0) -> list[MadeQuestion]:
    return make_questions(kg.index, count=count, seed=seed)


def test_every_question_has_the_answer_that_its_query_gives(kg: Assistant, tmp_path: Path) -> None:
    questions = made(kg)
    write_questions(questions, tmp_path / "made.jsonl")
    read = read_questions(tmp_path / "made.jsonl", kg.index.store)
    assert len(read) == len(questions) > 200
    assert all(question.gold.terms and question.sparql and question.kind for question in read)
    for question in questions:
        if question.query.form != "ask":
            rows = kg.index.store.select(question.query.to_sparql()).rows
            assert {row[0] for row in question.rows} == {row[0] for row in rows}


def test_there_are_all_kinds_and_about_as_many_of_each(kg: Assistant) -> None:
    counts = Counter(question.kind for question in made(kg))
    assert set(counts) >= {"chain-1", "chain-2", "chain-3", "conjunction", "filter", "count", "total", "superlative",
                           "most", "group", "yes/no", "negation"}  # fmt: skip
    several = [counts[kind] for kind in ("chain-1", "chain-2", "conjunction", "filter", "yes/no")]
    assert max(several) <= 3 * min(several)


def test_yes_and_no_are_asked_for(kg: Assistant) -> None:
    answers = Counter(str(q.rows[0][0]) for q in made(kg) if q.kind == "yes/no")
    assert min(answers["true"], answers["false"]) > 1


def test_the_same_seed_makes_the_same_questions_and_another_others(kg: Assistant) -> None:
    assert made(kg, 100) == made(kg, 100)
    assert made(kg, 100) != made(kg, 100, seed=1)


def test_no_node_is_asked_about_more_than_a_few_times(open_cached: Open) -> None:
    crowd = "\n".join(f'e:q{n} a e:Person ; rdfs:label "Mate {n}" ; e:captain e:p0 .' for n in range(300))
    questions = made(open_cached(SHIPS + crowd), 600)
    assert Counter(name for question in questions for name in question.names)["Ann"] <= 6


def test_words_are_those_of_the_ontology_in_the_preferred_language(kg: Assistant) -> None:
    text = " ".join(question.question.lower() for question in made(kg))
    assert [word for word in ("skipper", "captain", "built", "moored at") if word not in text] == []
    assert "kapitän" not in text  # of another language
    assert "how long it was" not in text  # no name of a relation, but a piece of a sentence


def test_some_are_written_as_people_type_and_the_others_with_a_question_mark(kg: Assistant) -> None:
    texts = [question.question for question in made(kg)]
    assert 0.2 < sum(text.islower() for text in texts) / len(texts) < 0.5
    assert all(text.endswith("?") for text in texts if text.startswith(("Who ", "Which ", "How ")))


def test_a_name_of_two_nodes_is_asked_about_by_nobody(open_cached: Open) -> None:
    twins = 'e:s99 a e:Ship ; rdfs:label "Ship Twin" ; e:captain e:p1 . e:s98 a e:Ship ; rdfs:label "Ship Twin" .'
    assert not any("Twin" in question.question for question in made(open_cached(SHIPS + twins), 600))


def test_what_follows_by_the_ontology_is_a_yes(open_cached: Open) -> None:
    graph = """
:within a owl:TransitiveProperty ; rdfs:label "within" . :Place rdfs:label "place" .
:paris a :Place ; rdfs:label "Paris" ; :within :france . :france a :Place ; rdfs:label "France" ; :within :europe .
:europe a :Place ; rdfs:label "Europe" .
"""
    walks = Walks(open_cached(PREFIXES + graph).index, Random(0), languages=("en",), timeout_s=5.0)

    def holds(one: str, other: str) -> bool | None:
        pattern = TriplePattern(URIRef(EX + one), URIRef(EX + "within"), URIRef(EX + other))
        return walks.holds(Query("ask", Group((pattern,))))

    assert (holds("paris", "france"), holds("paris", "europe"), holds("europe", "paris")) == (True, True, False)


def test_a_graph_that_relates_nothing_says_so(open_cached: Open) -> None:
    kg = open_cached('@prefix e: <http://e.org/> .\n<e:a> a <e:B> ; <http://www.w3.org/2000/01/rdf-schema#label> "A" .')
    with pytest.raises(InputError, match="no question can be made"):
        made(kg)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("captain", ["captain"]),
        ("has captain", ["captain"]),
        ("children", ["child"]),
        ("place of birth", ["place of birth"]),
        ("in language", ["language"]),
        ("how long it lasted", []),
        ("narrower than", []),
        ("is aged", ["age"]),
    ],
)
def test_a_label_is_read_by_its_form(label: str, words: list[str]) -> None:
    assert [noun for noun in property_words(label).nouns if noun in {*words, label}] == words


@given(st.text(max_size=30))
def test_any_label_is_read(label: str) -> None:
    property_words(label, [label.upper()]).turned()


def test_verbs_have_the_subject_that_the_label_gives_them() -> None:
    assert property_words("directed by").done[0].finite == "directed"  # it is the object that does it
    assert property_words("visited").does[0].rest == "visit"
    assert property_words("located in").does[0].plural == "are located in"
    assert property_words("plays for country") == PropertyWords(("country",), does=property_words("plays for").does)


def test_a_paraphrase_is_kept_if_it_holds_every_name_and_number() -> None:
    reply = {"paraphrases": ["who steers ship ada since 1911", "who steers it since 1911", "Captain of Ship Ada"]}
    model = ScriptedModel([reply, None, {"paraphrases": [7, ""]}])
    asked = [("Who is captain of Ship Ada since 1911?", ["Ship Ada"]), ("Who?", []), ("Whose?", [])]
    kept = list(paraphrases(asked, model, progress=lambda stage, done, total: None))
    assert kept == [["who steers ship ada since 1911"], [], []]


def test_a_models_words_stand_beside_those_of_the_templates(kg: Assistant) -> None:
    worded: list[str] = []

    class Echo(ScriptedModel):
        def complete(self, conversations, *, schema, max_tokens):  # type: ignore[no-untyped-def]
            asked = [
                json.loads(turns[1].content.split("\n")[0].rstrip(",") + "}")["question"] for turns in conversations
            ]
            worded.extend(asked)
            return [Completion({"paraphrases": [f"please: {text}"]}) for text in asked]

    plain, reworded = made(kg, 60), make_questions(kg.index, count=60, model=Echo([]))
    assert [one.query for one in plain] == [one.query for one in reworded]
    anew = [one.question for one in reworded if one.question.startswith("please: ")]
    assert len(anew) == len(worded)  # a query with one wording is not worded anew
    assert 0 < len(anew) < 40
    alike = ScriptedModel([{"paraphrases": ["Is it so?"]}] * len(worded))
    same = make_questions(kg.index, count=60, model=alike)
    assert sum(one.question == "Is it so?" for one in same) == 1  # no two questions are alike


@pytest.mark.usefixtures("clean_surroundings")
def test_the_command_writes_a_file_that_eval_reads(tmp_path: Path) -> None:
    file = str(tmp_path / "made.jsonl")
    told = demo("tune", "--make-questions", file, "--count", "40", "--quiet")
    assert told.exit_code == 0
    assert "40 questions in " in told.stdout
    report = json.loads(demo("eval", file, "--planner", "embedded", "--json", "--quiet").stdout)
    assert report["overall"]["n"] == 40
    assert report["overall"]["hits@1"] > 0.3
    taken = demo("tune", "--make-questions", file, "--count", "9", "--json", "--quiet")
    failed(taken, 2, "is there already")
    assert report["overall"]["n"] == len(Path(file).read_text().splitlines())
    few = ("tune", "--make-questions", str(tmp_path / "few.jsonl"), "--count", "9", "--json", "--quiet")
    counted = json.loads(demo(*few).stdout)
    assert counted["questions"] == sum(counted["by_kind"].values()) == 9


@pytest.mark.usefixtures("clean_surroundings")
def test_the_command_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    failed(
        demo("tune", "--make-questions", str(tmp_path / "no" / "m.jsonl"), "--count", "3", "--quiet"),
        2,
        "cannot be written",
    )
    for wrong in (["--forget"], ["--dry-run"], ["-f", "ttl"]):
        assert demo("tune", "--make-questions", str(tmp_path / "made.jsonl"), *wrong).exit_code == 2
    assert not (tmp_path / "made.jsonl").exists()
