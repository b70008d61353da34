"""Saved answers in a real browser: what a person sees, points at, and reaches by keyboard alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, Page

from kgllm.answer import Answer, Claim
from kgllm.memory import WorkingMemoryGraph
from kgllm.pages import answer_page
from kgllm.protocols import Hit
from kgllm.terms import Literal, Triple, URIRef
from kgllm.violation import Violation
from tests.conftest import ROOT
from tests.shown import APOLLO, ARMSTRONG, ASTRONAUT, COMMANDER, EX, FACT, HOSTILE, answer, memory_of

Visit: TypeAlias = Callable[..., Page]
WIDTHS = (400, 800, 1400)
MOON, WALKED, MASS = URIRef(EX + "Moon"), URIRef(EX + "walkedOn"), URIRef(EX + "mass")
HEBREW = "\u05de\u05d9 \u05e4\u05d9\u05e7\u05d3 \u05e2\u05dc \u05d0\u05e4\u05d5\u05dc\u05d5 11"
WRONG = Violation(APOLLO, COMMANDER, ARMSTRONG, "domain", "Violation", "a mission is no person", "data")


def of_memory(memory: WorkingMemoryGraph, *, claimed: int | None = None) -> Answer:
    """An answer over a memory, whose claims rest on its first facts."""
    facts = memory.triples()[:claimed]
    text = "".join(f"[{number}]" for number in range(1, 4))
    return replace(answer(text=text), memory=memory, claims=tuple(Claim("", "asserted", (fact,)) for fact in facts))


def folded() -> Answer:
    """Twelve astronauts who differ in nothing, as one box, and a value."""
    memory = WorkingMemoryGraph("Who walked on the Moon?", prefixes={"ex": EX})
    for number in range(12):
        node = URIRef(f"{EX}walker{number}")
        memory.assert_triple((node, WALKED, MOON))
        memory.labels[node], memory.classes[node] = f"Walker {number}", ASTRONAUT
    memory.assert_triple((MOON, MASS, Literal("7.3")))
    memory.labels |= {ASTRONAUT: "astronaut", MOON: "Moon", WALKED: "walked on", MASS: "mass"}
    memory.set_roles({MOON: "topic"})
    return of_memory(memory)


def hostile(label: str) -> Answer:
    facts: list[Triple] = [FACT, (APOLLO, URIRef("javascript:alert(1)"), Literal(label))]
    return replace(answer(*facts, label=label, text=f"{label} [1]"), question=label, violations=(WRONG,))


ANSWERS = {
    "of one": answer(FACT),
    "folded": folded(),
    "of sixty nodes": of_memory(memory_of(60), claimed=40),
    "abstention": replace(
        answer(text="The graph does not say."),
        abstained=True,
        nearest=(Hit(APOLLO, 0.5, "node", "Apollo", "Apollo 11"),),
    ),
    "yes": answer(FACT, text="Yes [1]."),
    "with violations": replace(answer(FACT), violations=(WRONG,)),
    "right-to-left": replace(answer(FACT, label=HEBREW, text=f"{HEBREW} [1]."), question=HEBREW),
    **{f"hostile {number}": hostile(label) for number, label in enumerate(HOSTILE)},
}
CALM = [kind for kind in ANSWERS if not kind.startswith("hostile")] + ["hostile 0", "hostile 9"]


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Opens an answer's page; in the end, none has loaded anything but itself, nor said a word on the console."""
    told: list[str] = []
    contexts: list[BrowserContext] = []

    def open_page(shown: Answer | str, *, width: int = 1400, dark: bool = False) -> Page:
        text = shown if isinstance(shown, str) else answer_page(shown)
        file = tmp_path / f"{len(contexts)}.html"
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(dialog.message))
        page.on("request", lambda request: told.append(request.url) if request.url != file.as_uri() else None)
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [line for line in told if not line.startswith("data:image/svg+xml;base64,")] == []


def serious(page: Page) -> list[str]:
    """What axe finds that keeps some people out."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found
        if fault["impact"] in {"serious", "critical"}
    ]


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")


def lit(page: Page) -> set[str]:
    """The texts of the boxes that are not dimmed, and ``t0`` for a line that is not."""
    return set(
        page.evaluate(
            """[...document.querySelectorAll('svg .g')].filter(one => getComputedStyle(one).opacity === '1')
            .map(one => one.tagName === 'a' ? one.querySelector('text').textContent : one.classList[2])"""
        )
    )


def box(page: Page, text: str) -> Any:
    return page.locator("svg a", has_text=text).first


def shown_sections(page: Page) -> list[str]:
    return [heading.inner_text() for heading in page.locator("section.about h2").all() if heading.is_visible()]


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_page_opens_alone_is_silent_and_no_wider_than_its_window(kind: str, visit: Visit) -> None:
    page = visit(ANSWERS[kind])
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        unfold(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", CALM)
def test_axe_finds_no_serious_fault(kind: str, dark: bool, visit: Visit) -> None:
    page = visit(ANSWERS[kind], dark=dark)
    unfold(page)
    if len(ANSWERS[kind].memory):
        page.locator("svg a").first.click()
        assert len(shown_sections(page)) == 1
    assert serious(page) == []


def test_axe_sees_a_fault(visit: Visit) -> None:
    assert serious(visit("<!DOCTYPE html><html lang=en><title>x</title><p style='color:#ccc'>hardly to be read"))


def test_pointing_at_a_box_dims_what_is_not_joined_to_it(visit: Visit) -> None:
    page = visit(of_memory(memory_of(30)))
    everything = lit(page)
    box(page, "Moon 9").hover()
    assert lit(page) == {"Moon 9", "Moon 3", next(name for name in lit(page) if re.fullmatch(r"t\d+", name))}
    page.mouse.move(0, 0)
    assert lit(page) == everything
    assert len(everything) > 60


def test_a_focused_box_is_lit_as_one_pointed_at(visit: Visit) -> None:
    page = visit(of_memory(memory_of(30)))
    page.keyboard.press("Tab")
    box(page, "Moon 9").focus()
    assert {name for name in lit(page) if " " in name} == {"Moon 9", "Moon 3"}


def test_pointing_at_a_fact_or_its_citation_lights_its_line_and_ends(visit: Visit) -> None:
    page = visit(of_memory(memory_of(30)))
    for place in ("tbody tr >> nth=-1", "sup a >> nth=1"):
        page.locator(place).hover()
        names = lit(page)
        assert len([name for name in names if " " in name]) == 2
        assert len(names) == 3


def test_a_box_opens_the_facts_of_its_node_and_a_neighbour_opens_its_own(visit: Visit) -> None:
    page = visit(folded())
    assert shown_sections(page) == []
    box(page, "Moon").click()
    assert shown_sections(page) == ["Moon ex:Moon"]
    section = page.locator("section:target")
    assert section.locator("tbody tr").count() == 13
    assert "7.3" in section.inner_text()
    section.get_by_role("link", name="Walker 3", exact=True).click()
    assert shown_sections(page) == ["12 × astronaut"]
    members = page.locator("section:target li").all_inner_texts()
    assert members == [f"Walker {number} ex:walker{number}" for number in range(12)]
    assert page.locator("section:target li a").first.get_attribute("href") == f"{EX}walker0"
    page.get_by_role("link", name="back to the picture").locator("visible=true").click()
    assert shown_sections(page) == []


def test_the_chosen_box_is_marked(visit: Visit) -> None:
    page = visit(answer(FACT))
    frame = box(page, "Apollo 11").locator("rect").last
    before = frame.evaluate("one => getComputedStyle(one).stroke")
    box(page, "Apollo 11").click()
    assert frame.evaluate("one => getComputedStyle(one).stroke") != before


def test_a_question_stands_on_the_side_where_its_script_begins(visit: Visit) -> None:
    places = []
    for kind in ("right-to-left", "of one"):
        title = visit(ANSWERS[kind]).locator("h1")
        places.append(title.evaluate("one => getComputedStyle(one).direction"))
    assert places == ["rtl", "ltr"]


def test_a_box_is_a_link_that_says_its_label_class_and_role(visit: Visit) -> None:
    page = visit(folded())
    names = [link.get_attribute("aria-label") for link in page.locator("svg a").all()]
    assert names == ["12 × astronaut, astronaut", "Moon, named in the question", "7.3, value"]
    assert page.get_by_role("link", name="Moon, named in the question").count() == 1


def drawn(page: Page) -> str:
    """The texts of the boxes and lines that are not hidden."""
    texts: list[str] = page.evaluate(
        """[...document.querySelectorAll('svg .g')].filter(one => getComputedStyle(one).display !== 'none')
        .map(one => one.textContent)"""
    )
    return "|".join(texts)


def test_a_class_and_a_property_can_be_hidden_and_shown(visit: Visit) -> None:
    page = visit(folded())
    page.get_by_text("Show and hide").click()
    everything = drawn(page)
    assert all(text in everything for text in ("12 × astronaut", "walked on", "mass"))
    page.get_by_role("checkbox", name="astronaut").uncheck()
    assert not any(text in drawn(page) for text in ("12 × astronaut", "walked on"))
    assert "mass" in drawn(page)
    page.get_by_role("checkbox", name="astronaut").check()
    page.get_by_role("checkbox", name="mass").uncheck()
    assert "mass" not in drawn(page)
    assert "7.3" in drawn(page)
    page.get_by_role("checkbox", name="mass").check()
    assert drawn(page) == everything


def test_a_line_of_two_properties_stays_until_both_are_hidden(visit: Visit) -> None:
    page = visit(answer(FACT, (APOLLO, WALKED, ARMSTRONG)))
    page.get_by_text("Show and hide").click()
    line = page.locator("svg g.t0").first
    page.get_by_role("checkbox", name="commander").uncheck()
    assert line.is_visible()
    page.get_by_role("checkbox", name="walked On").uncheck()
    assert not line.is_visible()


def test_a_picture_is_shown_whole_and_in_its_own_size_and_twice(visit: Visit) -> None:
    page = visit(of_memory(memory_of(60)), width=800)
    picture = page.locator("svg.kgllm-memory")
    own = float(picture.get_attribute("width") or 0)
    widths = []
    for zoom in ("auto", "fit", "100 %", "200 %"):
        page.get_by_label(zoom).check()
        widths.append(picture.evaluate("one => one.getBoundingClientRect().width"))
    assert widths[1] < 800 < widths[0] < widths[2]
    assert widths[2:] == [own, 2 * own]
    assert page.evaluate("document.documentElement.scrollWidth") <= 800


OVERLAPS = """() => {
  const area = one => one.getBoundingClientRect();
  const links = [...document.querySelectorAll('svg a')];
  const boxes = links.map(one => [one.textContent, area(one.querySelector('rect.p'))]);
  const meets = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  const found = [];
  boxes.forEach(([name, a], i) => boxes.slice(i + 1).forEach(([other, b]) => meets(a, b) && found.push([name, other])));
  for (const link of links) {
    const frame = area(link.querySelector('rect.p'));
    for (const text of link.querySelectorAll('text')) {
      const a = area(text);
      if (a.left < frame.left || a.right > frame.right || a.top < frame.top || a.bottom > frame.bottom)
        found.push([text.textContent, 'leaves its box']);
    }
  }
  const texts = [...document.querySelectorAll('svg text')].map(one => [one.textContent, area(one)]);
  texts.forEach(([name, a], i) => texts.slice(i + 1).forEach(([other, b]) => meets(a, b) && found.push([name, other])));
  const canvas = area(document.querySelector('svg'));
  texts.forEach(([name, a]) => a.right > canvas.right && found.push([name, 'leaves the canvas']));
  return found;
}"""


@pytest.mark.parametrize("count", [5, 30, 60])
def test_no_two_boxes_or_texts_overlap_and_no_text_leaves_its_box(count: int, visit: Visit) -> None:
    page = visit(of_memory(memory_of(count)))
    for zoom in ("auto", "100 %"):
        page.get_by_label(zoom).check()
        assert page.evaluate(OVERLAPS) == []


def test_the_test_of_overlaps_sees_one(visit: Visit) -> None:
    page = visit(of_memory(memory_of(5)))
    page.evaluate("document.querySelectorAll('svg a')[1].innerHTML = document.querySelectorAll('svg a')[0].innerHTML")
    page.evaluate(
        "document.querySelectorAll('svg a text')[2].textContent += ' and much more than there is room for it'"
    )
    assert len(page.evaluate(OVERLAPS)) > 1


@pytest.mark.parametrize("count", [5, 60])
def test_the_legend_has_each_colour_and_mark_that_is_drawn(count: int, visit: Visit) -> None:
    page = visit(of_memory(memory_of(count)))
    colours, shapes = (
        [set(page.eval_on_selector_all(f"{place} {mark}", read)) for place in ("svg a", ".kgllm-legend")]
        for mark, read in (
            ("rect[fill-opacity]", "all => all.map(one => one.getAttribute('fill'))"),
            ("polygon", "all => all.map(one => one.getAttribute('points'))"),
        )
    )
    assert colours[0] == colours[1]
    assert shapes[0] == shapes[1]


def walk(page: Page, *, most: int) -> list[str]:
    """Press Tab to the end of the page, opening each fold with Enter; where one got to, by row, box or tag."""
    reached: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        place = page.evaluate(
            """() => { const one = document.activeElement, row = one.closest('tr');
            return row ? row.innerText : one.closest('svg') ? one.id : one.tagName + ' ' + one.innerText; }"""
        )
        if place.startswith("BODY"):
            return reached
        if place.startswith("SUMMARY") and not page.evaluate("document.activeElement.parentElement.open"):
            page.keyboard.press("Enter")
        reached.append(place)
    raise AssertionError(f"no end after {most} steps")


@pytest.mark.parametrize("shown", [folded(), of_memory(memory_of(5), claimed=2)], ids=["folded", "with further facts"])
def test_a_keyboard_alone_reaches_every_fact(shown: Answer, visit: Visit) -> None:
    page = visit(shown)
    reached = walk(page, most=150)
    rows = [row.inner_text() for row in page.locator("details tbody tr").all()]
    assert len(rows) == len(shown.memory)
    assert set(rows) <= set(reached)
    boxes = [link.get_attribute("id") for link in page.locator("svg a").all()]
    assert [place for place in reached if place in boxes] == boxes
    for link in boxes:
        page.locator(f"[id={link}]").focus()
        page.keyboard.press("Enter")
        section = page.locator("section:target")
        assert section.is_visible()
        rows = [row.inner_text() for row in section.locator("tbody tr").all()]
        assert rows
        assert set(rows) <= set(walk(page, most=150))  # what Tab comes to from there


def test_a_keyboard_zooms_and_hides(visit: Visit) -> None:
    page = visit(folded())
    page.get_by_label("auto").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.get_by_label("200 %").is_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert not page.get_by_role("checkbox", name="astronaut").is_checked()


def test_on_paper_are_all_facts_once_and_no_controls(visit: Visit) -> None:
    shown = of_memory(memory_of(60), claimed=40)
    page = visit(shown)
    box(page, "Moon 9").click()
    page.emulate_media(media="print")
    seen = "[...document.querySelectorAll('tbody tr')].filter(row => row.getBoundingClientRect().height > 0).length"
    assert page.evaluate(seen) == len(shown.memory)
    assert not page.get_by_text("Zoom").is_visible()
    assert shown_sections(page) == []


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="there is no pdftotext: poppler-utils has it")
def test_a_printed_page_holds_every_fact(visit: Visit, tmp_path: Path) -> None:
    shown = of_memory(memory_of(60), claimed=40)
    (tmp_path / "answer.pdf").write_bytes(visit(shown, dark=True).pdf())
    command = ["pdftotext", "-raw", str(tmp_path / "answer.pdf"), "-"]
    printed = " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    for s, p, o in shown.memory.triples():
        subject, property_, object_ = (f"ex:{term.removeprefix(EX)}" for term in (s, p, o))
        assert re.search(rf"{subject} {property_} [^:]* {object_}\b", printed)


@pytest.mark.parametrize("notebook", ["first_tour", "explore_your_graph"])
def test_what_a_notebook_shows_is_drawn_without_a_fault(notebook: str, visit: Visit) -> None:
    cells = nbformat.read(ROOT / f"examples/{notebook}.ipynb", as_version=4).cells  # type: ignore[no-untyped-call]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    shown = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert shown
    text = "".join(f"<section>{one}</section>" for one in shown)
    for dark in (False, True):
        page = visit(
            '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
            f'<title>{notebook}</title><body style="background:Canvas"><main><h1>Outputs</h1>{text}</main></html>',
            dark=dark,
        )
        unfold(page)
        assert serious(page) == []
        assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
