"""The drawing of a memory: nothing overlaps or is cut, each sign is in the legend, long lists are folded."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgllm.drawing import draw, fitted, text_width
from kgllm.layout import lay_out
from kgllm.memory import WorkingMemoryGraph
from kgllm.picture import MOST_BOXES, picture
from kgllm.terms import Literal, Triple, URIRef
from tests.shown import APOLLO, ARMSTRONG, ASTRONAUT, COMMANDER, EX, FACT, HOSTILE, MISSION, answer, memory_of

SVG = "{http://www.w3.org/2000/svg}"
MOON, WALKED = URIRef(EX + "Moon"), URIRef(EX + "walkedOn")


@dataclass(frozen=True)
class Label:
    text: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Label) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def drawn(memory: WorkingMemoryGraph) -> ElementTree.Element:
    return ElementTree.fromstring(draw(picture(memory), "kgllm-test"))


def labels(svg: ElementTree.Element) -> list[Label]:
    """The boxes of all texts, a letter 0.58 of its size wide, wide ones as wide as high."""
    found = []
    for group, dx, dy in [(svg, 0.0, 0.0), *_moved(svg)]:
        for text in group.findall(f"{SVG}text") + group.findall(f"{SVG}g/{SVG}text") * (dx == 0):
            words = text.text or ""
            size = float(text.get("font-size", "12"))
            width = size * sum(1.0 if ord(letter) > 0x2E80 or letter in "WM" else 0.58 for letter in words)
            left = dx + float(text.get("x", "0")) - (width / 2 if text.get("text-anchor") == "middle" else 0)
            base = dy + float(text.get("y", "0"))
            found.append(Label(words, left, base - 0.75 * size, left + width, base + 0.2 * size))
    return found


def _moved(svg: ElementTree.Element) -> list[tuple[ElementTree.Element, float, float]]:
    groups = svg.findall(f"{SVG}g[@class='kgllm-legend']/{SVG}g")
    places = [re.findall(r"[\d.]+", group.get("transform", "")) for group in groups]
    return [(group, float(x), float(y)) for group, (x, y) in zip(groups, places, strict=True)]


def legend(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for group, *_ in _moved(svg) for text in group.iter(f"{SVG}text")]


def collisions(svg: ElementTree.Element) -> list[tuple[str, str]]:
    return [(one.text, other.text) for one, other in combinations(labels(svg), 2) if one.overlaps(other)]


def outside(svg: ElementTree.Element) -> list[str]:
    _, _, width, height = map(float, svg.get("viewBox", "").split())
    return [
        label.text
        for label in labels(svg)
        if not (label.left >= 0 and label.right <= width and label.top >= 0 and label.bottom <= height)
    ]


@pytest.mark.parametrize("count", [5, 30, 60])
def test_no_two_labels_overlap_and_none_leaves_the_canvas(count: int) -> None:
    svg = drawn(memory_of(count))
    assert len(labels(svg)) > count
    assert collisions(svg) == []
    assert outside(svg) == []


def test_the_test_of_labels_sees_an_overlap_and_a_cut_one() -> None:
    text = '<text x="5" y="20">Neil Armstrong</text>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 30">{text}{text}</svg>'
    assert collisions(ElementTree.fromstring(svg)) == [("Neil Armstrong", "Neil Armstrong")]
    assert outside(ElementTree.fromstring(svg)) == ["Neil Armstrong"] * 2


def test_the_canvas_grows_with_the_memory() -> None:
    areas = []
    for count in (5, 30, 60):
        _, _, width, height = map(float, drawn(memory_of(count)).get("viewBox", "").split())
        areas.append(width * height)
    assert areas == sorted(areas)
    assert areas[2] > 5 * areas[0]


def test_the_legend_has_every_class_role_and_kind_of_line_that_is_drawn() -> None:
    shown = legend(drawn(memory_of(30)))
    assert len([entry for entry in shown if entry.startswith("Class ")]) == 7
    assert shown[7:] == ["other", "named in the question", "answer", "follows by the ontology"]
    plain = WorkingMemoryGraph("")
    plain.assert_triple((APOLLO, URIRef(EX + "mass"), Literal("3")))
    plain.set_roles({})
    assert legend(drawn(plain)) == ["value"]


def test_topic_and_answer_differ_from_others_in_more_than_colour() -> None:
    svg = ElementTree.tostring(drawn(answer(FACT).memory), encoding="unicode")
    assert len(re.findall(r"polygon points", svg)) == 4  # a diamond and a star, each once in the legend
    assert len(re.findall(r'stroke-width="2(?:\.6)?"', svg)) == 2


def test_what_follows_is_dashed_and_what_is_stated_is_not() -> None:
    memory = answer(FACT).memory
    assert "stroke-dasharray" not in draw(picture(memory), "k")
    memory.entail((APOLLO, URIRef(EX + "crew"), ARMSTRONG), rule="prp-spo1", premises=(FACT,))
    paths = [path for path in drawn(memory).iter(f"{SVG}path") if path.get("stroke-dasharray")]
    assert len(paths) == 2  # the line, and the one of the legend


def test_the_picture_follows_the_system_and_the_notebook_in_light_and_dark() -> None:
    svg = drawn(answer(FACT).memory)
    style = "".join(element.text or "" for element in svg.iter(f"{SVG}style"))
    assert "@media (prefers-color-scheme:dark){#kgllm-test{" in style
    assert '[data-jp-theme-light="false"] #kgllm-test,.vscode-dark #kgllm-test{' in style
    assert all(
        rule.startswith(("#kgllm-test", "@media", "[data-jp", "}")) for rule in re.findall(r"[^{}]+(?={)", style)
    )
    assert "url(" not in style
    assert {text.get("class") for text in svg.iter(f"{SVG}text")} == {"i", "d"}  # the colours that change


def moonwalkers(count: int) -> WorkingMemoryGraph:
    memory = WorkingMemoryGraph("Who walked on the Moon?")
    for number in range(count):
        node = URIRef(f"{EX}walker{number}")
        memory.assert_triple((node, WALKED, MOON))
        memory.labels[node], memory.classes[node] = f"Walker {number}", ASTRONAUT
    memory.labels[ASTRONAUT] = "astronaut"
    memory.set_roles({MOON: "topic"})
    return memory


def test_a_long_list_is_one_box_with_all_its_names() -> None:
    shown = picture(moonwalkers(12))
    assert [box.label for box in shown.boxes.values()] == ["12 × astronaut", "Moon"]
    assert shown.left_out == 0
    titles = [title.text or "" for title in drawn(moonwalkers(12)).iter(f"{SVG}title")]
    assert any("Walker 0, Walker 1, Walker 2" in title and "Walker 11" in title for title in titles)
    assert "several nodes in one" in legend(drawn(moonwalkers(12)))


def test_a_short_list_is_drawn_node_by_node() -> None:
    assert len(picture(moonwalkers(6)).boxes) == 7


def test_a_list_of_several_classes_is_named_by_its_property() -> None:
    memory = moonwalkers(8)
    memory.classes[URIRef(EX + "walker3")] = MISSION
    assert "8 × walked on" in [box.label for box in picture(memory).boxes.values()]


def test_nodes_that_hang_on_different_things_are_not_folded() -> None:
    memory = moonwalkers(8)
    for number in range(8):
        memory.assert_triple((URIRef(f"{EX}walker{number}"), COMMANDER, URIRef(f"{EX}mission{number}")))
    assert len(picture(memory).boxes) == 17


def test_what_a_count_counts_is_one_box_and_the_answer() -> None:
    box, moon = picture(moonwalkers(3), counted=3).boxes.values()
    assert (box.label, box.role, moon.role) == ("3 × astronaut", "answer", "topic")
    assert len(picture(moonwalkers(3), counted=4).boxes) == 4


def test_a_value_that_is_the_answer_is_marked() -> None:
    date = Literal("1969-07-16")
    memory = answer((APOLLO, URIRef(EX + "launched"), date)).memory
    assert picture(memory, answers=[date]).boxes[date].role == "answer"
    assert picture(memory).boxes[date].role == "literal"


def test_names_classes_and_axioms_take_no_line_unless_there_is_nothing_else() -> None:
    rdf, rdfs = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://www.w3.org/2000/01/rdf-schema#"
    typed: Triple = (APOLLO, URIRef(rdf + "type"), MISSION)
    named: Triple = (APOLLO, URIRef(rdfs + "label"), Literal("Apollo 11"))
    axiom: Triple = (COMMANDER, URIRef(rdfs + "subPropertyOf"), URIRef(EX + "crew"))
    shown = picture(answer(FACT, typed, named, axiom).memory)
    assert (len(shown.lines), shown.left_out) == (1, 3)
    assert len(picture(answer(typed).memory).lines) == 1
    assert len(picture(answer(axiom).memory).lines) == 1


def test_at_most_sixty_nodes_are_drawn_those_of_the_claims_first_and_the_rest_is_counted() -> None:
    memory = WorkingMemoryGraph("")
    chain: list[Triple] = [(URIRef(f"{EX}n{i}"), COMMANDER, URIRef(f"{EX}n{i + 1}")) for i in range(99)]
    for triple in chain:
        memory.assert_triple(triple)
    shown = picture(memory, first=chain[-1:])
    assert len(shown.boxes) == MOST_BOXES
    assert chain[-1][2] in shown.boxes
    assert shown.left_out + len(shown.lines) == 99


def test_loops_and_edges_within_a_column_are_drawn() -> None:
    memory = WorkingMemoryGraph("")
    ring = [APOLLO, ARMSTRONG, MOON]
    for start, end in [*zip(ring, ring[1:] + ring[:1], strict=True), (MOON, MOON)]:
        memory.assert_triple((start, COMMANDER, end))
    svg = drawn(memory)
    assert not collisions(svg)
    assert not outside(svg)
    assert len([label for label in labels(svg) if label.text == "commander"]) == 4


@pytest.mark.parametrize("label", HOSTILE)
def test_a_hostile_label_is_a_short_text_in_valid_xml(label: str) -> None:
    hostile: Triple = (APOLLO, URIRef("javascript:alert(1)"), Literal(label))
    memory = answer(FACT, hostile, label=label).memory
    memory.labels |= {MISSION: label, COMMANDER: label}
    svg = drawn(memory)
    assert {element.tag.removeprefix(SVG) for element in svg.iter()} <= {
        "svg", "style", "rect", "g", "title", "path", "polygon", "circle", "text",
    }  # fmt: skip
    assert not any(name.startswith(("on", "href")) for element in svg.iter() for name in element.attrib)
    assert max(len(found.text) for found in labels(svg)) < 60
    assert not collisions(svg)
    assert not outside(svg)


@given(st.text(max_size=40))
def test_any_label_makes_valid_xml(label: str) -> None:
    drawn(answer((APOLLO, COMMANDER, Literal(label)), label=label).memory)


@given(st.text(max_size=60), st.floats(20, 200))
def test_a_text_is_cut_to_the_width_that_it_is_given(text: str, most: float) -> None:
    assert text_width(fitted(text, 12, most), 12) <= most + 0.001
    assert fitted(text, 12, 10_000) == text


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=40))
def test_no_two_boxes_of_a_layout_meet(edges: list[tuple[int, int]]) -> None:
    sizes = {node: (40.0 + 9 * node, 28.0 + node) for node in range(15)}
    layout = lay_out(sizes, edges)
    assert layout.places.keys() == sizes.keys()
    for one, other in combinations(sizes, 2):
        (x1, y1), (x2, y2) = layout.places[one], layout.places[other]
        apart_x = abs(x1 - x2) >= (layout.widths[one] + layout.widths[other]) / 2
        assert apart_x or abs(y1 - y2) >= (sizes[one][1] + sizes[other][1]) / 2
    assert all(layout.widths[node] >= sizes[node][0] for node in sizes)


def test_an_edge_over_several_columns_passes_between_their_boxes() -> None:
    sizes = dict.fromkeys("abcd", (60.0, 28.0))
    layout = lay_out(sizes, [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("a", "c")], roots=["a"])
    for points in layout.bends.values():
        for x, y in points:
            assert not any(abs(x - bx) < 30 and abs(y - by) < 14 for bx, by in layout.places.values())


@pytest.mark.parametrize("count", [5, 60])
def test_a_memory_is_drawn_in_less_than_fifty_milliseconds(count: int) -> None:
    memory = memory_of(count)
    seconds = []
    for _ in range(5):
        begun = time.process_time()
        draw(picture(memory), "k")
        seconds.append(time.process_time() - begun)
    assert statistics.median(seconds) < 0.05
