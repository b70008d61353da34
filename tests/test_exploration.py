"""What a person lays out of a graph: it grows by facts of the graph alone, and every step can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kgllm import Assistant, InputError, QuestionError
from kgllm.exploration import MANY, Exploration, Group
from kgllm.memory import WorkingMemoryGraph
from kgllm.ontology import RDF_TYPE
from kgllm.terms import BNode, Literal, Triple, URIRef, n3, ntriples
from tests.test_workspace import serve
from tests.turtle import EX, PREFIXES, parse

SPACE, SF = "https://example.org/spaceflight/", "https://example.org/spaceflight/ontology#"
APOLLO, MOON, ARMSTRONG = URIRef(SPACE + "Apollo_11"), URIRef(SPACE + "Moon"), URIRef(SPACE + "Neil_Armstrong")
GAGARIN = URIRef(SPACE + "Yuri_Gagarin")
GEMINI, STATES, COMMANDER = URIRef(SPACE + "Gemini_8"), URIRef(SPACE + "United_States"), URIRef(SF + "commander")
SMALL = (
    PREFIXES
    + """
:hub rdfs:label "Hub" ; a :Place ; :size 3 ; :near :a, :b ; :part [ rdfs:label "a nameless part" ] .
:a rdfs:label "Alpha" ; a :Place ; :near :b . :b rdfs:label "Beta" ; a :Place . :c rdfs:label "Gamma" ; :near :hub .
"""
    + "\n".join(f':m{n:02} rdfs:label "Member {n}" ; a :Person ; :lives :hub .' for n in range(30))
    + "\n"
    + "\n".join(f":n{n:02} a {':Person' if n % 2 else ':Place'} ; :knows :hub ." for n in range(20))
)
HUB = URIRef(EX + "hub")


@pytest.fixture(scope="module")
def small(open_cached: Callable[..., Assistant]) -> Assistant:
    return open_cached(SMALL)


@pytest.fixture
def around(demo: Assistant) -> Exploration:
    return Exploration.at(demo, "Apollo 11")


def are_in_the_graph(kg: Assistant, triples: list[Triple]) -> bool:
    return all(kg.workspace.store.ask(f"ASK {{ {n3(s)} {n3(p)} {n3(o)} }}") for s, p, o in triples)


def laid(explored: Exploration) -> tuple[object, ...]:
    return explored.nodes, explored.facts, explored.groups


@pytest.mark.parametrize("name", ["Apollo 11", "apollo 11", "space:Apollo_11", str(APOLLO), f"<{APOLLO}>", "Apolo 11"])
def test_it_begins_at_what_a_person_names(demo: Assistant, name: str) -> None:
    begun = Exploration.at(demo, name)
    assert begun.nodes[0] == APOLLO
    assert begun.role(APOLLO) == "topic"
    assert ARMSTRONG in begun.nodes
    assert not begun.can_undo


@pytest.mark.parametrize(
    "name", ["Penicillin", "Apollo 18", "Apollo", "space:Apollo_99", "https://example.org/nothing", "  "]
)
def test_what_the_graph_does_not_have_is_no_beginning(demo: Assistant, name: str) -> None:
    with pytest.raises(InputError) as raised:
        Exploration.at(demo, name)
    assert raised.value.try_next


def test_a_name_that_is_only_near_is_suggested(demo: Assistant) -> None:
    with pytest.raises(InputError, match="Zeppelin") as raised:
        Exploration.at(demo, "Zeppelin on the Moon")
    assert "nearest" in str(raised.value.try_next)


def test_every_fact_shown_is_in_the_graph(demo: Assistant, around: Exploration) -> None:
    around.expand(ARMSTRONG)
    around.expand(STATES)
    assert len(around.facts) > 30
    assert are_in_the_graph(demo, [fact.triple for fact in around.facts])
    assert are_in_the_graph(demo, around.memory().triples())
    assert not are_in_the_graph(demo, [(MOON, COMMANDER, APOLLO)])


def test_facts_between_the_new_and_the_old_are_shown_too(around: Exploration) -> None:
    walked = (ARMSTRONG, URIRef(SF + "walkedOn"), MOON)
    assert walked in [fact.triple for fact in around.facts]
    around.add(STATES)
    assert (ARMSTRONG, URIRef(SF + "nationality"), STATES) in [fact.triple for fact in around.facts]


def test_values_and_nodes_without_a_name_of_their_own_are_not_lost(small: Assistant) -> None:
    begun = Exploration.at(small, "Hub")
    assert not any(isinstance(node, Literal) for node in begun.nodes)  # they are in the facts of the node
    assert any(isinstance(node, BNode) for node in begun.nodes)


def test_blank_nodes_of_an_endpoint_are_not_shown(open_cached: Callable[..., Assistant]) -> None:
    with serve(ntriples(parse(SMALL)), [], []) as server:
        begun = Exploration.at(open_cached(f"http://127.0.0.1:{server.server_port}/sparql"), "Hub")
        server.shutdown()
    assert len(begun.nodes) == 4
    assert not any(isinstance(node, BNode) for node in begun.nodes)


def test_many_neighbours_by_one_property_are_a_group_with_their_class(small: Assistant) -> None:
    begun = Exploration.at(small, "Hub")
    groups = {str(group.property).removeprefix(EX): group for group in begun.groups}
    assert groups["lives"] == Group(HUB, URIRef(EX + "lives"), False, 30, cls=URIRef(EX + "Person"))
    assert (groups["knows"].count, groups["knows"].cls) == (20, None)
    assert begun.labels[URIRef(EX + "Person")] == "person"
    assert not any(str(node).startswith(EX + "m") for node in begun.nodes)


def test_a_group_is_opened_in_parts_until_nothing_is_left(small: Assistant) -> None:
    begun = Exploration.at(small, "Hub")

    def group() -> Iterator[Group]:
        return (group for group in begun.groups if group.property == URIRef(EX + "lives"))

    shown = []
    while (left := next(group(), None)) is not None:
        shown.append(begun.open(left))
    assert len([node for node in begun.nodes if str(node).startswith(EX + "m")]) == 30
    assert len(shown) == -(-30 // MANY)
    assert begun.labels[URIRef(EX + "m29")] == "Member 29"


def test_expanding_twice_changes_nothing_and_is_no_step(small: Assistant) -> None:
    begun = Exploration.at(small, "Hub")
    begun.open(begun.groups[0])
    before = laid(begun)
    assert begun.expand(HUB) == 0
    assert laid(begun) == before
    begun.undo()
    assert laid(begun) != before


def test_what_is_opened_to_its_end_is_no_group_again(small: Assistant) -> None:
    begun = Exploration.at(small, "Hub")
    while begun.groups:
        begun.open(begun.groups[0])
    before = laid(begun)
    assert begun.expand(HUB) == 0
    assert laid(begun) == before
    begun.hide([URIRef(EX + "m29")])
    begun.expand(HUB)
    assert [group.property for group in begun.groups] == [URIRef(EX + "lives")]


def test_a_class_has_its_nodes_and_the_classes_above_and_below_it_for_neighbours(
    open_cached: Callable[..., Assistant],
) -> None:
    kg = open_cached(SMALL + "\n:Place rdfs:subClassOf :Thing . :Town rdfs:subClassOf :Place .")
    begun = Exploration.at(kg, "Place")
    place = URIRef(EX + "Place")
    assert {str(node).removeprefix(EX) for node in begun.nodes} == {"Place", "Thing", "Town"}
    assert [(group.node, group.property, group.count) for group in begun.groups] == [(place, RDF_TYPE, 13)]
    begun.open(begun.groups[0])
    assert (HUB, RDF_TYPE, place) in [fact.triple for fact in begun.facts]


def test_each_step_can_be_taken_back(around: Exploration) -> None:
    states = [laid(around)]
    for step in (
        lambda: around.expand(ARMSTRONG),
        lambda: around.add(GAGARIN),
        lambda: around.hide([MOON, APOLLO]),
        lambda: around.connect(ARMSTRONG, GAGARIN),
    ):
        step()
        states.append(laid(around))
    while around.can_undo:
        assert laid(around) == states.pop()
        around.undo()
    assert laid(around) == states.pop()
    assert not states
    around.undo()  # nothing more to take back
    assert ARMSTRONG in around.nodes


def test_what_is_hidden_takes_its_facts_and_groups_along(around: Exploration) -> None:
    around.expand(STATES)
    assert any(group.node == STATES for group in around.groups)
    around.hide([STATES])
    assert STATES not in around.nodes
    assert not any(STATES in fact.triple for fact in around.facts)
    assert not any(group.node == STATES for group in around.groups)
    assert ARMSTRONG in around.nodes


def test_two_nodes_are_connected_by_facts_of_the_graph(demo: Assistant) -> None:
    begun = Exploration.at(demo, "Gemini 8")
    begun.hide(begun.nodes[1:])
    begun.add(MOON)
    assert len(begun.connect(GEMINI, MOON)) >= 2
    assert ARMSTRONG in begun.nodes
    assert are_in_the_graph(demo, [fact.triple for fact in begun.facts])


def test_nothing_connects_what_nothing_joins(small: Assistant) -> None:
    begun = Exploration.at(small, "Hub")
    before = laid(begun)
    assert begun.connect(HUB, URIRef(EX + "nowhere")) == []
    assert laid(begun) == before


def test_what_is_laid_out_is_a_memory_again(demo: Assistant, around: Exploration) -> None:
    memory = around.memory()
    assert {fact.triple for fact in around.facts} <= set(memory.triples())
    assert (ARMSTRONG, RDF_TYPE, URIRef(SF + "Astronaut")) in memory
    assert memory.roles[APOLLO] == "topic"
    assert memory.labels[ARMSTRONG] == "Neil Armstrong"
    assert WorkingMemoryGraph.from_dataset(memory.to_dataset()) == memory
    again = Exploration(demo, memory)
    assert set(again.nodes) == set(around.nodes)


def test_hidden_classes_and_properties_are_not_in_the_memory(around: Exploration) -> None:
    astronaut = URIRef(SF + "Astronaut")
    memory = around.memory(hidden=[astronaut, URIRef(SF + "launchSite")])
    assert ARMSTRONG not in memory.nodes()
    assert not any(p == URIRef(SF + "launchSite") for _, p, _ in memory.triples())
    assert any(p == URIRef(SF + "launchVehicle") for _, p, _ in memory.triples())


def test_an_answers_memory_is_where_one_walks_on(demo: Assistant) -> None:
    answer = demo.ask("Who walked on the Moon?")
    walked = Exploration(answer.memory.kg, answer.memory)
    assert {fact.triple for fact in walked.facts} == {t for t in answer.memory.triples() if t[1] != RDF_TYPE}
    assert walked.role(MOON) == "topic"
    assert walked.expand(ARMSTRONG) > 0
    assert len(answer.memory) < len(walked.memory())


def test_what_follows_by_the_ontology_stays_entailed_with_its_premises(demo: Assistant) -> None:
    memory = WorkingMemoryGraph("?")
    crew, lunar = URIRef(SF + "crewMember"), (APOLLO, COMMANDER, ARMSTRONG)
    memory.assert_triple(lunar)
    memory.entail((APOLLO, crew, ARMSTRONG), rule="prp-spo1", premises=(lunar,))
    kept = Exploration(demo, memory).memory(hidden=[COMMANDER])
    fact = kept.fact((APOLLO, crew, ARMSTRONG))
    assert fact is not None
    assert fact.status == "entailed"
    assert lunar in kept  # hidden, and yet what the other rests on


def test_a_long_proof_is_taken_in_once() -> None:
    memory = WorkingMemoryGraph("?")
    nodes = [URIRef(f"{EX}n{number}") for number in range(60)]
    for node in nodes[:2]:
        memory.assert_triple((HUB, COMMANDER, node))
    for one, two, three in zip(nodes, nodes[1:], nodes[2:], strict=False):  # each of the two before it
        memory.entail((HUB, COMMANDER, three), rule="r", premises=((HUB, COMMANDER, one), (HUB, COMMANDER, two)))
    memory.set_roles({})
    assert Exploration(None, memory).memory() == memory


def test_a_group_of_a_node_that_is_hidden_brings_it_back(small: Assistant) -> None:
    begun = Exploration.at(small, "Hub")
    group = begun.groups[0]
    begun.hide([HUB])
    begun.open(group)  # as one who clicked twice does
    assert HUB in begun.nodes


def test_a_memory_without_a_graph_can_be_looked_at_but_not_left() -> None:
    memory = WorkingMemoryGraph("?")
    memory.assert_triple((APOLLO, COMMANDER, ARMSTRONG))
    alone = Exploration(None, memory)
    assert list(alone.nodes) == [APOLLO, ARMSTRONG]
    alone.hide([ARMSTRONG])
    assert list(alone.nodes) == [APOLLO]
    with pytest.raises(InputError, match="no graph behind"):
        alone.expand(APOLLO)


def test_a_memory_from_a_file_has_its_classes() -> None:
    memory = WorkingMemoryGraph("?")
    astronaut = URIRef(SF + "Astronaut")
    memory.assert_triple((APOLLO, COMMANDER, ARMSTRONG))
    memory.assert_triple((ARMSTRONG, RDF_TYPE, astronaut))
    alone = Exploration(None, WorkingMemoryGraph.from_dataset(memory.to_dataset()))
    assert alone.classes == {ARMSTRONG: astronaut}
    assert set(alone.memory().triples()) == set(memory.triples())


def test_a_part_holds_what_is_laid_out_and_its_values_and_nothing_else(demo: Assistant, around: Exploration) -> None:
    part = around.part()
    triples = part.store.select("SELECT ?s ?p ?o WHERE { ?s ?p ?o }").rows
    part.close()
    assert (APOLLO, COMMANDER, ARMSTRONG) in triples
    assert any(s == ARMSTRONG and isinstance(o, Literal) for s, _, o in triples)
    assert not any(GEMINI in (s, o) for s, _, o in triples)
    assert are_in_the_graph(demo, triples)  # type: ignore[arg-type]
    around.hide(around.nodes)
    with pytest.raises(QuestionError):
        around.part()
