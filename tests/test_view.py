"""The half of the view that is in Python: what it tells the browser, and what it does when the browser asks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from kgllm import Assistant, InputError
from kgllm.errors import BackendError
from kgllm.exploration import COUNTED, Group
from kgllm.memory import WorkingMemoryGraph
from kgllm.terms import URIRef, ntriples
from kgllm.testing import ScriptedModel
from kgllm.view import GraphView
from tests.shown import HOSTILE, Page, answer, is_harmless
from tests.test_exploration import APOLLO, ARMSTRONG, COMMANDER, SMALL
from tests.test_spreading import meeting
from tests.test_workspace import serve
from tests.turtle import EX, PREFIXES, parse

Asked = Callable[..., dict[str, Any]]


def asked_of(view: GraphView) -> Asked:
    """Ask as the browser does, and give what is sent back."""
    sent: list[dict[str, Any]] = []
    view.send = sent.append

    def ask(wanted: str, **more: Any) -> dict[str, Any]:
        view._asked(view, {"do": wanted, "number": len(sent), **more}, [])
        return sent[-1]

    return ask


@pytest.fixture
def view(demo: Assistant) -> GraphView:
    return demo.explore("Apollo 11")


@pytest.fixture
def ask(view: GraphView) -> Asked:
    return asked_of(view)


def ids(view: GraphView) -> dict[str, str]:
    """The id of each box by its label."""
    return {node["label"]: node["id"] for node in view.shown["nodes"]}


def test_what_is_shown_is_plain_data_with_a_place_for_each_box(view: GraphView) -> None:
    shown = json.loads(json.dumps(view.shown))
    nodes = {node["id"]: node for node in shown["nodes"]}
    assert nodes[ids(view)["Apollo 11"]]["role"] == "topic"
    assert {edge["source"] for edge in shown["edges"]} | {edge["target"] for edge in shown["edges"]} <= nodes.keys()
    assert nodes.keys() <= view.places.keys()
    assert all(node["colour"].startswith("#") for node in shown["nodes"])


def test_the_legend_is_complete(view: GraphView) -> None:
    classes = {entry["id"]: entry for entry in view.shown["classes"]}
    assert {node["cls"] for node in view.shown["nodes"]} - {""} == classes.keys()
    assert sum(entry["count"] for entry in classes.values()) == len(view.shown["nodes"])
    properties = {entry["id"]: entry["count"] for entry in view.shown["properties"]}
    assert sum(properties.values()) == len(view.shown["edges"])


def test_a_class_keeps_its_colour_when_others_come(view: GraphView, ask: Asked) -> None:
    before = {entry["label"]: entry["colour"] for entry in view.shown["classes"]}
    ask("expand", node=ids(view)["Neil Armstrong"])
    after = {entry["label"]: entry["colour"] for entry in view.shown["classes"]}
    assert after.items() >= before.items()
    assert len(after) > len(before)


def test_expand_tells_how_many_came(view: GraphView, ask: Asked) -> None:
    assert ask("expand", node=ids(view)["Neil Armstrong"])["note"] == "Neil Armstrong expanded: 4 more"
    assert ask("expand", node=ids(view)["Neil Armstrong"])["note"] == "Neil Armstrong expanded: nothing new"


def test_a_group_says_what_it_holds_and_keeps_its_place_when_it_is_opened(
    open_cached: Callable[..., Assistant],
) -> None:
    view = open_cached(SMALL).explore("Hub")
    ask = asked_of(view)
    box = ids(view)["30 × person"]
    place = view.places[box]
    assert "20 nodes" in ids(view)
    ask("expand", node=box)
    assert ids(view)["18 × person"] == box
    assert abs(view.places[box][0] - place[0]) < 700
    ask("expand", node=box)
    ask("expand", node=box)
    assert box not in ids(view).values()


def test_facts_come_from_the_live_graph_with_their_values(view: GraphView, ask: Asked) -> None:
    told = ask("facts", node=ids(view)["Apollo 11"])
    assert told["of"]["label"] == "Apollo 11"
    assert told["of"]["iri"] == "space:Apollo_11"
    assert told["description"].startswith("The first crewed landing")
    groups = {(group["outgoing"], group["property"]): group for group in told["groups"]}
    assert [end["label"] for end in groups[True, "commander"]["ends"]] == ["Neil Armstrong"]
    assert [end["label"] for end in groups[True, "call sign"]["ends"]] == ["Columbia", "Eagle"]
    assert (True, "label") not in groups  # the heading says it
    assert groups[False, "next mission"]["ends"][0]["id"] == ids(view)["Apollo 10"]


@pytest.mark.parametrize("iri", ["mailto:ann@example.org", "tag:ann", "https://example.org/%7B0%7D", "urn:ex:ann"])
def test_facts_of_a_node_are_found_whatever_its_iri_looks_like(iri: str, open_cached: Callable[..., Assistant]) -> None:
    graph = f"<{iri}> rdfs:label 'Ann' ; :age 7 ; :near :a .\n:a rdfs:label 'Alpha' ."
    view = open_cached(PREFIXES + graph).explore("Ann")
    told = asked_of(view)("facts", node=ids(view)["Ann"])
    assert {group["property"]: group["ends"][0]["label"] for group in told["groups"]} == {"age": "7", "near": "Alpha"}


def test_classes_and_properties_are_called_by_their_labels_wherever_they_stand(
    open_cached: Callable[..., Assistant],
) -> None:
    graph = PREFIXES + ':P1 rdfs:label "lives in" . :C1 rdfs:label "inhabitant" . :q rdfs:label "Town" .\n'
    view = open_cached(graph + "\n".join(f':n{n} rdfs:label "Ann {n}" ; a :C1 ; :P1 :q .' for n in range(20))).explore(
        "Town"
    )
    assert "20 × inhabitant" in ids(view)
    assert [edge["label"] for edge in view.shown["edges"]] == ["lives in"]
    view._explored.labels.clear()  # as where no class is shown yet
    assert {hit["kind"] for hit in asked_of(view)("search", text="Ann 7")["hits"] if hit["label"] == "Ann 7"} == {
        "inhabitant"
    }


def test_a_group_of_more_than_are_counted_says_so(view: GraphView) -> None:
    group = Group(APOLLO, COMMANDER, True, COUNTED)
    view._explored._grow([], [], [group])
    view._draw()
    assert "over 10,000 nodes" in ids(view)


def test_what_a_search_finds_can_be_shown(view: GraphView, ask: Asked) -> None:
    hits = ask("search", text="gagarin")["hits"]
    (found,) = [hit for hit in hits if hit["label"] == "Yuri Gagarin"]
    assert (found["kind"], found["iri"]) == ("astronaut", "space:Yuri_Gagarin")
    assert ask("add", node=found["id"])["node"] == found["id"]
    assert ids(view)["Yuri Gagarin"] == found["id"]
    assert ask("search", text="  ")["hits"] == []


def test_a_path_is_shown_and_a_missing_one_told(view: GraphView, ask: Asked) -> None:
    start = ids(view)["Apollo 11"]
    (found,) = [hit for hit in ask("search", text="Gemini 8")["hits"] if hit["label"] == "Gemini 8"]
    ask("add", node=found["id"])
    assert "facts between them" in ask("connect", **{"from": start, "to": found["id"]})["note"]
    assert ask("connect", **{"from": start, "to": start})["note"].startswith("no path")


def test_hide_and_undo(view: GraphView, ask: Asked) -> None:
    before, places = ids(view), dict(view.places)
    assert ask("hide", nodes=[before["Moon"], before["Eagle"], "t999"])["note"].startswith("2 nodes hidden")
    assert {"Moon", "Eagle"}.isdisjoint(ids(view))
    assert view.shown["canUndo"]
    ask("undo")
    assert ids(view) == before
    assert view.places == places
    assert not view.shown["canUndo"]


def test_a_box_moved_while_others_come_does_not_lose_them_their_places(view: GraphView, ask: Asked) -> None:
    moon, before = ids(view)["Moon"], dict(view.places)
    ask("expand", node=ids(view)["Neil Armstrong"])
    came = {key: place for key, place in view.places.items() if key not in before}
    assert came
    view.set_state({"places": before | {moon: [1, 2, True]}})  # as the browser had them
    assert view.places[moon] == [1, 2, True]
    assert {key: view.places[key] for key in came} == came


def test_what_comes_back_lies_on_nothing(view: GraphView, ask: Asked) -> None:
    for name in ("Neil Armstrong", "Moon", "Eagle"):
        ask("expand", node=ids(view)[name])
        ask("undo")
    for name in ("Moon", "Neil Armstrong", "Eagle"):
        ask("expand", node=ids(view)[name])
    sizes = {node["id"]: (float(node["width"]), 30.0) for node in view.shown["nodes"]}
    assert len(sizes) > 30
    assert meeting({key: view.places[key][:2] for key in sizes}, sizes) == []


def test_the_view_answers_from_what_is_shown_alone(view: GraphView, ask: Asked) -> None:
    told = ask("ask", question="Who commanded Apollo 11?")
    assert told["note"] == "The commander of Apollo 11 is Neil Armstrong [1]."
    assert told["results"] == [ids(view)["Neil Armstrong"]]
    assert is_harmless(Page(told["html"]))
    assert view.ask("Who commanded Apollo 13?").abstained  # which is in the graph, but not in the view
    hidden = next(entry["id"] for entry in view.shown["classes"] if entry["label"] == "astronaut")
    view.hidden = [hidden]
    assert view.ask("Who commanded Apollo 11?").abstained
    assert ARMSTRONG not in view.memory.nodes()


def test_the_view_does_not_answer_by_a_hidden_property(demo: Assistant) -> None:
    question = "When was Apollo 11 launched?"
    view = demo.ask(question).memory.explore()
    assert view.ask(question).results
    view.hidden = [entry["id"] for entry in view.shown["properties"]]
    assert view.ask(question).abstained


def test_asking_a_view_of_an_endpoint_leaves_the_index_of_the_endpoint_alone(
    open_cached: Callable[..., Assistant],
) -> None:
    with serve(ntriples(parse(SMALL)), [], []) as server:
        kg = open_cached(f"http://127.0.0.1:{server.server_port}/sparql")
        generations = {path.name for path in kg.workspace.folder.iterdir()}
        assert kg.explore("Hub").ask("What is near Hub?").text == "The near of Hub: Alpha [1] and Beta [2]."
        assert {path.name for path in kg.workspace.folder.iterdir()} == generations
        assert kg.search("Alpha")  # the index is still open
        server.shutdown()


def test_asking_a_view_does_not_close_the_model(demo: Assistant) -> None:
    closed = []

    class Model(ScriptedModel):
        def close(self) -> None:
            closed.append(self)

    model = Model([None] * 9)
    Assistant(demo.workspace, model=model).explore("Apollo 11").ask("Who commanded Apollo 11?")
    assert model.conversations
    assert not closed


def test_what_is_asked_in_the_view_can_be_walked_on_in_the_whole_graph(demo: Assistant, view: GraphView) -> None:
    again = view.ask("Who commanded Apollo 11?").memory.explore()
    assert "expanded: " in asked_of(again)("expand", node=ids(again)["Neil Armstrong"])["note"]
    assert "Gemini 8" in ids(again)


def test_turtle_is_what_the_view_shows(view: GraphView, ask: Asked) -> None:
    text = ask("turtle")["text"]
    assert "sf:commander space:Neil_Armstrong" in text
    assert text == view.memory.serialize("turtle")


@pytest.mark.parametrize(
    ("wanted", "more"),
    [("expand", {"node": "t999"}), ("expand", {}), ("facts", {"node": ["t0"]}), ("drop table", {}), ("ask", {})],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(
    view: GraphView, ask: Asked, wanted: str, more: dict[str, Any]
) -> None:
    before = view.shown
    assert ask(wanted, **more)["error"]
    assert view.shown == before


def test_a_fault_of_the_graph_is_told(view: GraphView, ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("\x1b[31mlost\x1b[0m")

    monkeypatch.setattr(view._explored, "expand", broken)
    told = ask("expand", node=ids(view)["Moon"])
    assert told["error"] == "RuntimeError: ␛[31mlost␛[0m"


def test_a_value_has_no_facts_of_its_own(demo: Assistant) -> None:
    view = demo.ask("When was Apollo 11 launched?").memory.explore()
    (value,) = [node["id"] for node in view.shown["nodes"] if node["kind"] == "literal"]
    assert "value" in asked_of(view)("facts", node=value)["error"]


def test_a_memory_without_a_graph_shows_its_own_facts() -> None:
    memory = answer((APOLLO, COMMANDER, ARMSTRONG)).memory
    memory.kg = None
    view = memory.explore()
    ask = asked_of(view)
    assert not view.shown["isLive"]
    (node,) = [node["id"] for node in view.shown["nodes"] if node["label"].startswith("Neil")]
    (group,) = ask("facts", node=node)["groups"]
    assert (group["outgoing"], group["property"]) == (False, "commander")
    assert "no graph behind" in ask("expand", node=node)["error"]
    assert "no graph" in ask("search", text="x")["error"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_labels_are_short_and_clean_wherever_the_browser_gets_them(text: str) -> None:
    memory = WorkingMemoryGraph(text)
    memory.assert_triple((APOLLO, URIRef("https://example.org/p"), ARMSTRONG))
    memory.labels |= {APOLLO: text, URIRef("https://example.org/p"): text, URIRef("https://example.org/C"): text}
    memory.classes[APOLLO] = URIRef("https://example.org/C")
    view = memory.explore()
    for entry in (*view.shown["nodes"], *view.shown["edges"], *view.shown["classes"], *view.shown["properties"]):
        assert len(entry["label"]) <= 300
        assert entry["label"].isprintable()
        assert set(entry["id"]) <= set("0123456789t-e")
    assert all(node["width"] <= 220 for node in view.shown["nodes"])
    told = asked_of(view)("facts", node=view.shown["nodes"][0]["id"])
    assert told["of"]["label"].isprintable()


def test_a_notebook_that_is_not_running_shows_a_picture(view: GraphView) -> None:
    bundle = view._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
    assert is_harmless(Page(data["text/html"]))
    assert "Neil Armstrong" in data["text/html"]
    assert data["text/plain"] == "<GraphView 17 nodes, 34 facts>"


def test_without_anywidget_it_says_what_to_install(demo: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "kgllm.view")
    with pytest.raises(BackendError) as raised:
        demo.explore("Apollo 11")
    assert raised.value.try_next == "pip install 'kgllm[notebook]'"


def test_a_name_that_several_have_or_that_is_misspelt_is_not_settled_in_silence(
    demo: Assistant, open_cached: Callable[..., Assistant]
) -> None:
    assert demo.explore("Apollo 11").shown["note"] == ""
    assert demo.explore("Apolo 11").shown["note"] == "Apollo 11 is what comes nearest to “Apolo 11”"
    kg = open_cached(
        PREFIXES
        + """
        :chase a :Verb ; rdfs:label "chase" ; skos:altLabel "dog" ; :of :x, :y, :z . :x :of :chase . :y :of :chase .
        :dog a :Noun ; rdfs:label "dog" ; :of :x . :dog2 a :Noun ; rdfs:label "dog" ; :of :x, :y .
        """.replace("skos:altLabel", "<http://www.w3.org/2004/02/skos/core#altLabel>")
    )
    view = kg.explore("dog")
    assert view._explored.nodes[0] == URIRef(EX + "dog2")  # labelled so, and with more facts than the other
    assert view.shown["note"].startswith("also called dog: ")


def test_a_closed_graph_is_said_to_be_closed(open_cached: Callable[..., Assistant]) -> None:
    kg = open_cached(SMALL)
    view = kg.explore("Hub")
    kg.close()
    for wanted, more in (("expand", {"node": ids(view)["Alpha"]}), ("search", {"text": "alpha"}), ("ask", {})):
        assert asked_of(view)(wanted, **more)["error"] == "the graph of this view is closed"
    with pytest.raises(InputError, match="closed"):
        kg.explore("Hub")
    with pytest.raises(InputError, match="closed"):
        kg.info()


def test_only_a_name_or_a_memory_is_a_beginning(demo: Assistant) -> None:
    with pytest.raises(InputError, match="list"):
        demo.explore(["Apollo 11", "Apollo 12"])  # type: ignore[arg-type]


def test_names_that_do_not_fit_are_told_in_full(open_cached: Callable[..., Assistant]) -> None:
    view = open_cached(SMALL).explore("Hub")
    (group,) = [node for node in view.shown["nodes"] if node["label"] == "30 × person"]
    assert group["name"] == "30 × person: … → lives → Hub"
    assert {node["name"] for node in view.shown["nodes"]} >= {"Hub", "Alpha"}
