"""HTML of answers, memories, nodes, checks and overviews: readable, alone, and harmless whatever the graph holds."""

from __future__ import annotations

import json
import re
import stat
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgllm import Assistant, InputError
from kgllm.answer import Answer
from kgllm.checking import CheckReport
from kgllm.display import answer_markdown
from kgllm.lookup import Facts, NodeView, Ring
from kgllm.overview import ClassCount, DateRange, Overview, PropertyCount
from kgllm.pages import answer_html, answer_page, memory_html, node_html, overview_html, report_html
from kgllm.terms import Literal, Triple, URIRef
from kgllm.violation import NOT_CHECKED, Violation
from tests.shown import (
    APOLLO,
    ARMSTRONG,
    ASTRONAUT,
    COMMANDER,
    EX,
    FACT,
    HOSTILE,
    MISSION,
    NAMESPACES,
    Page,
    answer,
    is_harmless,
    memory_of,
    pictures,
)

WRONG = Violation(APOLLO, COMMANDER, ARMSTRONG, "domain", "Violation", "a mission is no person", "data")
UNCHECKED = replace(WRONG, constraint=NOT_CHECKED, severity="Info")
VIEW = NodeView(
    APOLLO,
    "Apollo 11",
    "The first landing.",
    (MISSION,),
    (Facts(COMMANDER, (ARMSTRONG,), 1),),
    (Facts(URIRef(EX + "part"), (URIRef(EX + "Eagle"),), 40),),
    labels={ARMSTRONG: "Neil Armstrong", COMMANDER: "commander"},
    namespaces=NAMESPACES,
)
REPORT = CheckReport("space", False, (WRONG,), 3, ("the ontology",), 0.1, {APOLLO: "Apollo 11"}, NAMESPACES)
OVERVIEW = Overview(
    "space",
    None,
    10,
    5,
    4,
    1,
    (ClassCount(MISSION, "mission", 3, ("Apollo 11",)), ClassCount(ASTRONAUT, "astronaut", 2)),
    (PropertyCount(COMMANDER, "commander", 3, (MISSION,), (ASTRONAUT,)),),
    {"en": 4},
    {"ex": EX},
    "stated",
    (DateRange(COMMANDER, "launched", "1961", "1972"),),
    ("Who commanded Apollo 11?",),
    NAMESPACES,
)


def everything(one: Answer) -> list[str]:
    """All that is drawn in a notebook, made of an answer, and its page."""
    label, node = one.text, URIRef("javascript:alert(1)")
    view = replace(VIEW, label=label, description=label, labels={ARMSTRONG: label}, others=(node,), types=(node,))
    wrong = replace(WRONG, message=label, value=Literal(label), focus=node)
    report = replace(REPORT, what=label, violations=(wrong,))
    counts, dates = ClassCount(node, label, 3, (label,)), DateRange(node, label, label, label)
    overview = replace(
        OVERVIEW, source=label, classes=(counts,), prefixes={label: label}, dates=(dates,), questions=(label,)
    )
    shown: list[Any] = [one, one.memory, view, report, overview]
    return [answer_page(one), *(item._repr_html_() for item in shown)]


def test_an_answer_has_citations_checks_picture_facts_and_query() -> None:
    page = Page(answer_html(answer(FACT)))
    assert {"img", "details", "summary", "sup", "table"} <= set(page.tags)
    assert ("href", str(APOLLO)) in page.attributes
    assert "Neil Armstrong[1]." in page.text
    assert "ontology ✓ shapes ✓" in page.text


def test_a_citation_leads_to_the_row_of_its_fact_and_one_of_no_fact_nowhere() -> None:
    page = Page(answer_html(answer(FACT, text="Neil Armstrong [1], or [2].")))
    links = [value for name, value in page.attributes if name == "href" and value.startswith("#")]
    assert [link[1:] for link in links] == [id for id in page.ids if id.endswith("-f1")]
    assert "[2]" in page.text


def test_ids_are_unique_in_a_notebook_even_of_an_answer_shown_twice() -> None:
    one, other = answer(FACT), answer(FACT, text="Somebody [1].")
    ids = Page("".join(item._repr_html_() for item in (one, one, other, one.memory, VIEW, REPORT, OVERVIEW))).ids
    assert len(ids) == len(set(ids)) > 10


def test_the_same_answer_is_drawn_the_same() -> None:
    assert answer_html(answer(FACT)) == answer_html(answer(FACT))


@pytest.mark.parametrize(
    ("checked", "violations", "badges"),
    [
        (("ontology",), (), "ontology ✓"),
        (("ontology", "shapes"), (WRONG,), "ontology: 1 violationshapes ✓"),
        (("ontology", "shapes"), (UNCHECKED,), "ontology ✓shapes not checked"),
        ((), (), "not checked"),
    ],
)
def test_the_badges_say_what_was_checked(checked: tuple[str, ...], violations: Any, badges: str) -> None:
    shown = replace(answer(FACT), violations=violations)
    shown.memory.checked_against = checked
    html = answer_html(shown)
    assert "".join(re.findall(r'<span class="badge \w*">([^<]*)', html)) == badges


def test_a_count_is_drawn_as_its_members_in_one(demo: Assistant) -> None:
    (html,) = pictures(answer_html(demo.ask("How many people walked on the Moon?")))
    assert "12 × astronaut" in html
    assert "12 × astronaut (answer)" in html


def test_colours_come_from_the_classes_of_the_graph(demo: Assistant) -> None:
    memory = demo.ask("Who commanded Apollo 11?").memory
    assert {memory.labels[cls] for cls in memory.classes.values()} == {"lunar landing mission", "astronaut"}
    assert memory.checked_against == ("ontology", "shapes")


def test_remarks_of_the_checks_are_counted_and_listed() -> None:
    page = Page(answer_html(replace(answer(FACT), violations=(WRONG, WRONG))))
    assert "2 remarks of the checks" in page.text
    assert page.text.count("a mission is no person") == 2


def test_an_abstention_says_so() -> None:
    html = answer_html(replace(answer(text="The graph does not say."), abstained=True))
    assert "no answer" in html
    assert not pictures(html)


def test_a_memory_draws_itself_with_all_its_facts() -> None:
    memory = memory_of(30)
    page = Page(memory_html(memory))
    assert page.tags.count("tr") == len(memory) + 1
    assert "follows by prp-spo1" in page.text


def test_a_node_is_shown_with_facts_in_both_directions_and_what_is_left_out() -> None:
    page = Page(node_html(VIEW))
    assert "Apollo 11" in page.text
    assert "and 39 more" in page.text
    assert "39 more facts not drawn" in page.text
    assert "41 facts" in page.text


def test_a_node_shows_what_is_further_away() -> None:
    ring = Ring(2, ((ARMSTRONG, URIRef(EX + "born"), URIRef(EX + "Wapakoneta")),), True)
    html = node_html(replace(VIEW, rings=(ring,)))
    assert "1 fact of its neighbours" in html
    assert f'href="{EX}Wapakoneta"' in html
    assert "Wapakoneta" in pictures(html)[0]


def test_a_node_of_the_graph_has_the_colours_of_its_neighbours(demo: Assistant) -> None:
    view = demo.show("Apollo 11")
    assert view is not None
    assert "astronaut" in re.findall(r'y="4">([^<]*)', pictures(node_html(view))[0])


def test_a_check_shows_its_verdict_and_each_finding() -> None:
    text = Page(report_html(REPORT)).text
    assert "does not conform" in text
    assert "1 × domain (violation, the graph's own)" in text
    assert "a mission is no person" in text
    assert "conforms ✓" in report_html(replace(REPORT, conforms=True, violations=()))
    assert "not checked to the end" in report_html(replace(REPORT, conforms=None, violations=()))


def test_an_overview_is_two_tables_with_questions_examples_and_dates() -> None:
    page = Page(overview_html(OVERVIEW))
    assert page.tags.count("table") == 2
    assert "2 classes with instances" in page.text
    assert "1 property" in page.text
    drawn = re.findall(r'<text class="[id]"[^>]*>([^<]+)', pictures(overview_html(OVERVIEW))[0])
    assert drawn == ["commander", "mission (3)", "astronaut (2)"]
    for told in ("Who commanded Apollo 11?", "Apollo 11", "launched 1961 to 1972"):
        assert told in page.text


class Printer:
    def __init__(self) -> None:
        self.said = ""

    def text(self, text: str) -> None:
        self.said += text


@pytest.mark.parametrize("shown", [VIEW, REPORT, OVERVIEW], ids=lambda item: type(item).__name__)
def test_without_html_a_notebook_shows_the_text(shown: Any) -> None:
    printer = Printer()
    shown._repr_pretty_(printer, False)
    assert printer.said == str(shown)


def test_a_page_may_load_and_run_nothing() -> None:
    assert "default-src 'none'; style-src 'unsafe-inline'" in answer_page(answer(FACT))


def test_a_page_has_a_language_a_title_a_main_part_and_headings() -> None:
    text = answer_page(answer(FACT))
    page = Page(text)
    assert ("lang", "en") in page.attributes
    assert "<title>Who?</title>" in text
    assert (page.tags.count("main"), page.tags.count("h1")) == (1, 1)
    assert re.findall(r"<h([1-6])[^>]*>(?:<a[^>]*>)?(?:<bdi>)?([^<]*)", text) == [
        ("1", "Who?"), ("2", "Apollo 11"), ("2", "Neil Armstrong"), ("2", "1 fact")
    ]  # fmt: skip


def test_a_page_shows_its_facts_and_prints_its_folds() -> None:
    text = answer_page(answer(FACT))
    assert "<details open><summary><h2>1 fact</h2>" in text
    assert "@media print{body{background:#fff}details::details-content{content-visibility:visible" in text


def test_in_a_page_the_boxes_are_links_and_in_a_notebook_they_are_an_image() -> None:
    assert '<a id="kgllm-' in pictures(answer_page(answer(FACT)))[0]
    assert "<a " not in pictures(answer_html(answer(FACT)))[0]
    assert "section" not in Page(answer_html(answer(FACT))).tags


def test_the_facts_that_no_claim_rests_on_are_listed_too() -> None:
    shown = answer(FACT, (APOLLO, URIRef(EX + "mass"), Literal("3")))
    text = answer_page(replace(shown, claims=shown.claims[:1]))
    assert "<h2>1 fact</h2>" in text
    assert "<h2>1 further fact of the memory</h2>" in text
    assert "further" not in answer_page(shown)


def test_the_style_of_a_page_has_nothing_of_the_graph_in_it() -> None:
    styles = []
    for label in ("Apollo 11", "}body{display:none}"):
        text = answer_page(answer(FACT, label=label))
        styles.append(re.sub(r"\d+px", "", "".join(re.findall("<style>.*?</style>", text, re.DOTALL))))
    assert styles[0] == styles[1]


@pytest.mark.parametrize("label", HOSTILE)
def test_no_label_makes_html_that_runs_or_loads(label: str) -> None:
    triples: list[Triple] = [FACT, (APOLLO, URIRef("javascript:alert(1)"), Literal(label))]
    shown = answer(*triples, label=label, text=label)
    for text in everything(replace(shown, question=label)):
        page = Page(text)
        assert is_harmless(page)
        assert not re.search(
            "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]", page.text
        )
        for svg in pictures(text):
            ElementTree.fromstring(svg)
            assert is_harmless(Page(svg))
        text.encode()


@given(st.text(max_size=60))
def test_no_text_makes_html_that_runs_or_loads(label: str) -> None:
    assert is_harmless(Page(answer_page(answer(FACT, label=label, text=label))))


def test_a_very_long_name_is_cut_but_an_answer_is_not() -> None:
    shown = answer(FACT, label="x" * 10_000, text="y" * 2_000)
    assert "y" * 2_000 in answer_page(shown)
    assert "x" * 301 not in answer_page(shown)


def test_where_style_and_svg_are_stripped_a_fragment_still_reads() -> None:
    bare = re.sub(r"<style>.*?</style>", "", answer_html(answer(FACT)))
    assert "<svg" not in bare
    assert not re.search(
        "<(?!/?(?:a|b|bdi|code|details|div|img|p|pre|span|summary|sup|t[dhr]|table|tbody|thead)[ >])", bare
    )
    (svg,) = pictures(bare)
    assert ElementTree.fromstring(svg).get("width") in re.findall(r'<img [^>]*width="(\d+)"', bare)
    assert pictures(answer_page(answer(FACT)))[0].startswith("<svg")
    assert "<img" not in answer_page(answer(FACT))


def test_the_check_of_harm_sees_harm() -> None:
    assert not is_harmless(Page("<img src=x>"))
    assert not is_harmless(Page("<p onclick=x>"))
    assert not is_harmless(Page('<a href="javascript:x">'))


def test_an_answer_is_saved_by_the_ending_of_its_file(tmp_path: Path) -> None:
    shown = answer(FACT)
    for name in ("a.html", "a.md", "A.JSON"):
        assert shown.save(tmp_path / name) == tmp_path / name
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == answer_page(shown)
    assert (tmp_path / "a.md").read_text(encoding="utf-8").rstrip() == answer_markdown(shown).rstrip()
    assert json.loads((tmp_path / "A.JSON").read_text(encoding="utf-8")) == shown.to_json()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.JSON", "a.html", "a.md"]


def test_a_saved_answer_takes_the_place_of_another_and_may_be_read_by_whom_the_system_lets(tmp_path: Path) -> None:
    file, plain = tmp_path / "a.md", tmp_path / "plain"
    file.write_text("before")
    plain.write_text("")
    answer(FACT).save(str(file))
    assert "before" not in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("name", ["a.pdf", "a", ".html"])
def test_another_ending_is_refused_with_those_there_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.html \.md \.json"):
        answer(FACT).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        answer(FACT).save(tmp_path / "nowhere" / "a.html")


def test_what_hinders_a_save_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.md"
    file.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kgllm.export.os.replace", full)
    with pytest.raises(InputError, match="No space left"):
        answer(FACT).save(file)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_a_lone_surrogate_is_saved_too(tmp_path: Path) -> None:
    shown = replace(answer(FACT), text="\ud800 [1]")
    for ending in ("html", "md", "json"):
        shown.save(tmp_path / f"a.{ending}").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["text"] == "\ud800 [1]"


@pytest.mark.parametrize("show", [answer_html, answer_page], ids=["notebook", "page"])
@pytest.mark.parametrize("count", [5, 60])
def test_to_show_an_answer_takes_less_than_fifty_milliseconds(count: int, show: Callable[[Answer], str]) -> None:
    memory = memory_of(count)
    shown = replace(answer(*memory.triples()), memory=memory)
    seconds = []
    for _ in range(5):
        begun = time.process_time()
        text = show(shown)
        seconds.append(time.process_time() - begun)
    assert statistics.median(seconds) < 0.05
    assert len(text.encode()) < 220_000
