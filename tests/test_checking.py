"""Check: what contradicts the ontology or the shapes is found, and blamed on whom it is owed to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kgllm import checking
from kgllm.checking import CheckReport, check
from kgllm.errors import EmptyGraphError, InputError, RdfSyntaxError, SourceNotFoundError
from kgllm.sources import resolve
from kgllm.terms import URIRef
from kgllm.workspace import Workspace

ROOT = Path(__file__).parent.parent
EX = "http://example.org/"
HEAD = f"""
@prefix ex: <{EX}> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix sh: <http://www.w3.org/ns/shacl#> .
"""
GOOD = 'ex:rex a ex:Dog ; ex:owner ex:ann ; ex:chip "7" . ex:ann a ex:Person ; ex:born "1990-01-01"^^xsd:date .'
ONTOLOGY = """
ex:Dog a owl:Class ; owl:disjointWith ex:Person . ex:Person a owl:Class .
ex:owner rdfs:domain ex:Dog ; rdfs:range ex:Person .
ex:born a owl:FunctionalProperty ; rdfs:range xsd:date .
ex:chip a owl:InverseFunctionalProperty .
"""
SHAPES = "ex:DogShape a sh:NodeShape ; sh:targetClass ex:Dog ; sh:property [ sh:path ex:owner ; sh:minCount 1 ] ."

Open = Callable[..., Workspace]


@pytest.fixture
def open_graph(tmp_path: Path) -> Iterator[Open]:
    opened: list[Workspace] = []

    def open_graph(triples: str = GOOD, *, shapes: str = "", timeout_s: float = 30) -> Workspace:
        for name, text in {"graph": triples, "ontology": ONTOLOGY, "shapes": shapes}.items():
            (tmp_path / f"{name}.ttl").write_text(HEAD + text)
        opened.append(
            Workspace(
                resolve(tmp_path / "graph.ttl"),
                tmp_path / "index",
                ontology_files=(tmp_path / "ontology.ttl",),
                shapes_files=(tmp_path / "shapes.ttl",) if shapes else (),
                timeout_s=timeout_s,
            )
        )
        return opened[-1]

    yield open_graph
    for workspace in opened:
        workspace.close()


def found(report: CheckReport) -> set[tuple[str, str, str]]:
    return {(v.constraint, str(v.focus).removeprefix(EX), v.blame) for v in report.violations}


def test_a_good_graph_conforms(open_graph: Open) -> None:
    report = check(open_graph(shapes=SHAPES))
    assert (report.conforms, report.violations, report.triples) == (True, (), 5)
    assert "graph conforms (5 triples against the ontology and the shapes" in str(report)


@pytest.mark.parametrize(
    ("constraint", "focus", "wrong"),
    [
        ("disjoint", "rex", "ex:rex a ex:Person ."),
        ("range", "rex", "ex:rex ex:owner ex:fido . ex:fido a ex:Dog ; ex:owner ex:ann ."),
        ("domain", "ann", "ex:ann ex:owner ex:bob ."),
        ("functional", "ann", 'ex:ann ex:born "1991-01-01"^^xsd:date .'),
        ("inverseFunctional", "fido", 'ex:fido ex:chip "7" .'),
        ("datatype", "bob", 'ex:bob ex:born "yesterday"^^xsd:date .'),
        ("MinCountConstraintComponent", "stray", "ex:stray a ex:Dog ."),
    ],
)
def test_each_wrong_twin_is_found_and_blamed_on_the_graph_or_on_what_is_new(
    open_graph: Open, constraint: str, focus: str, wrong: str
) -> None:
    shapes = SHAPES if constraint.endswith("Component") else ""
    whole = check(open_graph(GOOD + wrong, shapes=shapes))
    assert whole.conforms is (constraint == "inverseFunctional")  # two nodes may be one, so that is a warning
    assert (constraint, "data") in {(kind, fault) for kind, _, fault in found(whole)}
    joining = check(open_graph(shapes=shapes), (HEAD + wrong).encode())
    assert joining.conforms is whole.conforms
    assert (constraint, focus, "memory") in found(joining)


def test_new_triples_that_fit_conform(open_graph: Open, tmp_path: Path) -> None:
    (tmp_path / "new.ttl").write_text(HEAD + 'ex:fido a ex:Dog ; ex:owner ex:ann ; ex:chip "8" .')
    report = check(open_graph(shapes=SHAPES), tmp_path / "new.ttl")
    assert (report.conforms, report.what, report.triples) == (True, "new.ttl", 3)


def test_old_faults_of_nodes_mentioned_stay_the_datas_and_others_are_not_told(open_graph: Open) -> None:
    graph = GOOD + "ex:bad a ex:Dog, ex:Person . ex:far a ex:Dog, ex:Person ."
    report = check(open_graph(graph), (HEAD + "ex:bad ex:likes ex:rex . ex:cat a ex:Dog, ex:Person .").encode())
    assert found(report) == {("disjoint", "bad", "data"), ("disjoint", "cat", "memory")}
    assert [v.blame for v in report.violations] == ["memory", "data"]


def test_a_new_type_that_makes_an_old_fact_wrong_is_found_at_that_fact(open_graph: Open) -> None:
    report = check(open_graph("ex:rex ex:owner ex:ann ."), (HEAD + "ex:ann a ex:Dog .").encode())
    assert found(report) == {("range", "rex", "memory")}


def test_a_value_the_graph_has_already_is_not_missed(open_graph: Open) -> None:
    """The new node has no owner in the file, but it has one in the graph."""
    report = check(open_graph("ex:rex ex:owner ex:ann .", shapes=SHAPES), (HEAD + "ex:rex a ex:Dog .").encode())
    assert report.conforms is True


def test_a_blank_node_is_held_to_the_shapes_like_any_other(open_graph: Open) -> None:
    nameless = "[] a ex:Dog ."
    whole = check(open_graph(GOOD + nameless, shapes=SHAPES))
    assert [(v.constraint, v.blame) for v in whole.violations] == [("MinCountConstraintComponent", "data")]
    joining = check(open_graph(shapes=SHAPES), (HEAD + nameless).encode())
    assert [(v.constraint, v.blame) for v in joining.violations] == [("MinCountConstraintComponent", "memory")]
    assert check(open_graph(GOOD + "[] a ex:Dog ; ex:owner ex:ann .", shapes=SHAPES)).conforms is True


def test_a_target_that_the_graph_never_mentions_is_checked_too(open_graph: Open) -> None:
    shapes = "ex:S a sh:NodeShape ; sh:targetNode ex:gone ; sh:property [ sh:path ex:owner ; sh:minCount 1 ] ."
    assert found(check(open_graph(shapes=shapes))) == {("MinCountConstraintComponent", "gone", "data")}
    assert check(open_graph(shapes=shapes), (HEAD + "ex:fido ex:likes ex:rex .").encode()).conforms is True


def test_blank_nodes_of_a_file_are_not_those_of_the_graph(open_graph: Open) -> None:
    report = check(open_graph("_:b a ex:Dog ; ex:owner ex:ann ."), (HEAD + "_:b a ex:Person .").encode())
    assert report.conforms is True
    wrong = check(open_graph(), (HEAD + "_:b a ex:Person, ex:Dog .").encode())
    assert [v.constraint for v in wrong.violations] == ["disjoint"]


def test_a_warning_of_the_shapes_keeps_from_conforming_as_shacl_has_it(open_graph: Open) -> None:
    warning = SHAPES.replace("sh:minCount 1", "sh:minCount 1 ; sh:severity sh:Warning")
    report = check(open_graph("ex:stray a ex:Dog .", shapes=warning))
    assert (report.conforms, [v.severity for v in report.violations]) == (False, ["Warning"])


def test_shapes_that_run_out_of_time_are_not_taken_for_conforming(open_graph: Open) -> None:
    endless = 'ex:S a sh:NodeShape ; sh:targetClass ex:Slow ; sh:property [ sh:path ex:text ; sh:pattern "^(a+)+$" ] .'
    slow = f'ex:slow a ex:Slow ; ex:text "{"a" * 40}!" .'
    assert check(open_graph(slow, shapes=endless, timeout_s=2)).conforms is None
    assert check(open_graph(slow + "ex:x a ex:Dog, ex:Person .", shapes=endless, timeout_s=2)).conforms is False


def test_bad_input_is_named(open_graph: Open, tmp_path: Path) -> None:
    graph = open_graph()
    with pytest.raises(RdfSyntaxError, match=r"^standard input:2:"):
        check(graph, b"<http://a> <http://b> <http://c> .\n<http://a> <b")
    with pytest.raises(EmptyGraphError):
        check(graph, b"")
    with pytest.raises(SourceNotFoundError):
        check(graph, tmp_path / "absent.ttl")


def test_what_is_too_large_is_refused(open_graph: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "LARGEST", 3)
    with pytest.raises(InputError, match="graph has 5 triples"):
        check(open_graph())
    with pytest.raises(InputError, match="the nodes mentioned"):
        check(open_graph(), (HEAD + "ex:ann ex:likes ex:rex .").encode())


def test_the_report_fits_a_screen_and_is_json(open_graph: Open) -> None:
    many = "".join(f"ex:n{n} a ex:Dog, ex:Person ; rdfs:label 'n {n}' ." for n in range(40))
    report = check(open_graph(GOOD + many))
    written = str(report)
    assert "graph does not conform" in written
    assert "40 × disjoint (violation, the graph's own)" in written
    assert 'ex:n0 ! "n 0"  rdf:type  ex:Person' in written
    assert "… and 37 more" in written
    assert len(written.splitlines()) < 12
    data = json.loads(json.dumps(report.to_json()))
    assert (data["conforms"], len(data["violations"]), data["checked"]["triples"]) == (False, 40, 125)
    assert data["violations"][0]["blame"] == "data"


def test_text_of_the_graph_cannot_steer_the_terminal(open_graph: Open) -> None:
    report = check(open_graph(r'ex:ann ex:born "\u001b[31m"^^xsd:date .'))
    assert report.conforms is False
    assert "\x1b" not in str(report)


def test_the_demo_conforms_and_what_contradicts_it_does_not(tmp_path: Path) -> None:
    demo = Workspace(
        resolve(ROOT / "examples" / "spaceflight.ttl"),
        tmp_path / "index",
        ontology_files=(ROOT / "ontologies" / "spaceflight-ontology.ttl",),
        shapes_files=(ROOT / "ontologies" / "spaceflight-shapes.ttl",),
    )
    try:
        report = check(demo)
        assert (report.conforms, str(report).count("\n")) == (True, 0)
        space = "https://example.org/spaceflight/"
        wrong = check(demo, f"<{space}Apollo_11> <{space}ontology#commander> <{space}Moon> .".encode())
        assert wrong.conforms is False
        (clash,) = [v for v in wrong.violations if v.constraint == "range"]
        assert (clash.focus, clash.value, clash.blame) == (
            URIRef(space + "Apollo_11"),
            URIRef(space + "Moon"),
            "memory",
        )
        assert check(demo, f'<{space}Apollo_11> <{space}note> "x" .'.encode()).conforms is True
    finally:
        demo.close()
