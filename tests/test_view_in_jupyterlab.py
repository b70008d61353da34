"""The view in a real JupyterLab, driven by mouse and by keyboard alone, with a live kernel behind it."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Locator, Page, expect

from kgllm import Assistant
from kgllm.memory import WorkingMemoryGraph
from kgllm.terms import URIRef
from tests.conftest import DEMO_GRAPH, DEMO_ONTOLOGY, DEMO_SHAPES, ROOT
from tests.shown import HOSTILE

pytestmark = pytest.mark.slow
Open: TypeAlias = Callable[[str], Page]

DEMO = f"""
import kgllm
kg = kgllm.open({str(DEMO_GRAPH)!r}, ontology={str(DEMO_ONTOLOGY)!r}, shapes={str(DEMO_SHAPES)!r})
"""
MEMORY = """
from kgllm.memory import WorkingMemoryGraph
from kgllm.terms import URIRef
memory = WorkingMemoryGraph("made by hand")
"""
BOXES = """(view) => view.cytoscape.nodes(':visible').map((node) => {
    const box = node.renderedBoundingBox({ includeLabels: false, includeOverlays: false, includeUnderlays: false });
    const label = node.data(node.data('kind') === 'group' ? 'label' : 'name');
    return { label, x: node.renderedPosition('x'), y: node.renderedPosition('y'), ...box };
})"""
FRAMES = """() => new Promise((done) => {
    const frames = [];
    let last = performance.now();
    const next = (now) => {
        frames.push(now - last);
        last = now;
        frames.length < 90 ? requestAnimationFrame(next) : done(frames);
    };
    requestAnimationFrame(next);
})"""


RENDERED_TWICE = """async ({ module, state }) => {
    const { default: widget } = await import(URL.createObjectURL(new Blob([module], { type: 'text/javascript' })));
    const heard = [];
    window.sent = [];
    window.reply = (message) => heard.forEach((listener) => listener(message));
    const on = (event, listener) => event === 'msg:custom' && heard.push(listener);
    const send = (message) => sent.push(message);
    const model = { get: (name) => state[name], set() {}, save_changes() {}, on, off() {}, send };
    for (const id of ['first', 'second']) widget.render({ model, el: document.getElementById(id) });
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, demo: Assistant, shared_cache: Path) -> Iterator[tuple[str, Path]]:
    """A JupyterLab of its own: its address and the folder of its notebooks."""
    folder = tmp_path_factory.mktemp("lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KGLLM_", "JUPYTER"))}
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    surroundings = {"KGLLM_CACHE_DIR": str(shared_cache), "XDG_CONFIG_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    options = {
        "ServerApp.port": port,
        "ServerApp.root_dir": folder,
        "IdentityProvider.token": "",
        "LabApp.news_url": "None",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env={**kept, **own, **surroundings}, cwd=folder, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with suppress(OSError):
                urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
                break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield address, folder
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.fixture
def show(browser: Browser, lab: tuple[str, Path]) -> Iterator[Open]:
    """Runs a cell in a notebook of its own and waits for the view; in the end, nothing was wrong on the console."""
    address, folder = lab
    context = browser.new_context(viewport={"width": 1400, "height": 950}, reduced_motion="reduce")
    told: list[str] = []

    def run(source: str) -> Page:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        name = f"{time.monotonic_ns()}.ipynb"
        nbformat.write(notebook, folder / name)
        page = context.new_page()
        page.on("console", lambda m: told.append(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(dialog.message))
        page.goto(f"{address}/lab/tree/{name}?reset")
        page.get_by_role("button", name="| Idle").wait_for(timeout=60_000)  # the kernel is there to run it
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        view = page.locator(".kgllm-view")
        view.wait_for(timeout=90_000)
        page.wait_for_function("document.querySelector('.kgllm-view .stage').dataset.nodes > 0")
        view.scroll_into_view_if_needed()
        return page

    yield run
    context.close()
    assert told == []


def view_of(page: Page) -> Locator:
    return page.locator(".kgllm-view")


def boxes(page: Page) -> dict[str, dict[str, float]]:
    """The visible boxes by their label, in pixels of the stage."""
    found: list[dict[str, Any]] = view_of(page).evaluate(BOXES)
    return {box["label"]: box for box in found}


def point(page: Page, label: str) -> tuple[float, float]:
    """Where a box is on the screen."""
    stage, box = view_of(page).locator(".canvas").bounding_box(), boxes(page)[label]
    assert stage is not None
    return stage["x"] + box["x"], stage["y"] + box["y"]


def status(page: Page, text: str) -> None:
    expect(view_of(page).locator(".status")).to_contain_text(text, timeout=20_000)


def overlapping(page: Page) -> list[tuple[str, str]]:
    found = list(boxes(page).items())
    return [
        (a, b)
        for place, (a, one) in enumerate(found)
        for b, other in found[place + 1 :]
        if one["x1"] < other["x2"] and other["x1"] < one["x2"] and one["y1"] < other["y2"] and other["y1"] < one["y2"]
    ]


def serious(page: Page) -> list[str]:
    found = Axe().run(page, context=".kgllm-view").response["violations"]
    return [f"{f['id']}: {f['nodes'][0]['html'][:200]}" for f in found if f["impact"] in {"serious", "critical"}]


def test_a_person_walks_with_the_mouse(show: Open, tmp_path: Path) -> None:
    page = show(DEMO + "view = kg.explore('Apollo 11')\nview")
    view = view_of(page)
    expect(view.locator(".panel h3")).to_have_text("Apollo 11")  # the facts of what one began at
    expect(view.locator(".panel")).to_contain_text("launch site")

    page.mouse.dblclick(*point(page, "Neil Armstrong"))  # one hop
    status(page, "Neil Armstrong expanded: 4 more")
    expect(view.locator(".panel h3")).to_have_text("Neil Armstrong")
    page.mouse.dblclick(*point(page, "United States"))  # two, into groups
    status(page, "United States expanded")
    (group,) = [label for label in boxes(page) if label.endswith("× astronaut")]
    before = set(boxes(page))
    page.mouse.dblclick(*point(page, group))
    status(page, "12 more")
    assert len(set(boxes(page)) - before) >= 12
    assert overlapping(page) == []
    view.get_by_role("button", name="Undo").click()
    status(page, "undone")
    assert set(boxes(page)) == before

    astronauts = view.locator(".chip", has_text="astronaut").first  # filter
    astronauts.click()
    expect(astronauts).to_have_attribute("aria-pressed", "false")
    assert {"Neil Armstrong", "Buzz Aldrin"}.isdisjoint(boxes(page))
    astronauts.click()
    expect(astronauts).to_have_attribute("aria-pressed", "true")
    assert "Buzz Aldrin" in boxes(page)

    view.get_by_label("Search the graph").fill("gagarin")
    page.keyboard.press("Enter")
    view.get_by_role("button", name="Yuri Gagarin", exact=True).click()
    status(page, "")
    expect(view.locator(".panel h3")).to_have_text("Yuri Gagarin")
    page.mouse.click(*point(page, "Apollo 11"))
    page.keyboard.down("Shift")
    page.mouse.click(*point(page, "Yuri Gagarin"))
    page.keyboard.up("Shift")
    view.get_by_role("button", name="Path").click()
    status(page, "facts between them")

    view.get_by_label("Ask within what is shown").fill("Who commanded Apollo 11?")
    page.keyboard.press("Enter")
    expect(view.locator(".told")).to_contain_text("The commander of Apollo 11 is Neil Armstrong")
    view.get_by_label("Ask within what is shown").fill("Who commanded Apollo 13?")
    page.keyboard.press("Enter")
    expect(view.locator(".told")).to_contain_text("The graph does not say")

    for name, is_right in (
        ("PNG", lambda file: file.read_bytes().startswith(b"\x89PNG")),
        ("SVG", lambda file: "Neil Armstrong" in "".join(ElementTree.parse(file).getroot().itertext())),
        ("Turtle", lambda file: "sf:commander space:Neil_Armstrong" in file.read_text()),
    ):
        with page.expect_download() as download:
            view.get_by_role("button", name=name).click()
        download.value.save_as(tmp_path / name)
        assert is_right(tmp_path / name)


def test_what_scrolls_or_shrinks_around_the_view_moves_no_box_from_under_the_pointer(show: Open) -> None:
    page = show(DEMO + "kg.explore('Apollo 11')")
    view = view_of(page)
    page.mouse.click(*point(page, "Columbia"))
    expect(view.locator(".panel h3")).to_have_text("Columbia")
    page.set_viewport_size({"width": 1400, "height": 600})
    scrolled = view.evaluate("""(view) => {
        for (let around = view; around; around = around.parentElement) {
            const before = around.scrollTop;
            around.scrollTop += before > 60 ? -60 : 60;
            if (around.scrollTop !== before) return around.scrollTop - before;
        }
        return 0;
    }""")
    assert scrolled
    page.mouse.click(*point(page, "Neil Armstrong"))
    expect(view.locator(".panel h3")).to_have_text("Neil Armstrong")
    page.set_viewport_size({"width": 900, "height": 900})
    expect(view).to_have_class("kgllm-view narrow")
    page.wait_for_timeout(300)
    stage = view.locator(".canvas").bounding_box()
    assert stage is not None
    assert stage["width"] > 300
    for box in boxes(page).values():
        assert box["x1"] >= 0 and box["x2"] <= stage["width"] and box["y2"] <= stage["height"]  # noqa: PT018


def test_a_person_walks_by_keyboard_alone_and_the_notebook_hears_none_of_it(show: Open) -> None:
    page = show(DEMO + "kg.explore('Apollo 11')")
    view = view_of(page)
    view.get_by_label("Search the graph").focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "stage":
            break
    page.keyboard.press("ArrowRight")
    reached = view.locator(".status").inner_text()
    assert reached in boxes(page)
    page.keyboard.press("Enter")
    expect(view.locator(".panel h3")).to_have_text(reached)
    page.keyboard.press("e")
    status(page, f"{reached} expanded")
    page.keyboard.press("p")
    status(page, "1 pinned")
    page.keyboard.press("Delete")
    status(page, "1 node hidden")
    assert reached not in boxes(page)
    page.keyboard.press("Control+z")
    status(page, "undone")
    assert reached in boxes(page)
    for key in ("d", "d", "x", "a", "b"):  # which delete, cut and add cells
        page.keyboard.press(key)
    assert page.locator(".jp-CodeCell").count() == 2

    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")  # two nodes, for a path
    status(page, "stays selected")
    page.keyboard.press("ArrowLeft")
    expect(view.get_by_role("button", name="Path")).to_be_enabled()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowLeft")
    other = view.locator(".status").inner_text()
    page.keyboard.press("Enter")
    expect(view.locator(".panel h3")).to_have_text(other)
    wanted, focused = view.locator(".panel li button").count(), 0
    assert wanted > 3
    for _ in range(wanted + 6):  # every fact that leads somewhere
        page.keyboard.press("Tab")
        focused += page.evaluate("document.activeElement.matches('.panel li button')")
    assert focused == wanted


def test_of_two_views_of_one_widget_each_hears_the_replies_to_its_own_questions(
    browser: Browser, demo: Assistant
) -> None:
    view = demo.explore("Apollo 11")
    page = browser.new_page()
    page.set_content(f"<style>{view._css}</style><div id=first></div><div id=second></div>")
    state = {name: getattr(view, name) for name in ("shown", "hidden", "places", "height")}
    page.evaluate(RENDERED_TWICE, {"module": str(view._esm), "state": state})
    for name in ("first", "second"):
        page.locator(f"#{name}").get_by_label("Search the graph").fill(name)
        page.keyboard.press("Enter")
    first, second = page.evaluate("sent.filter((message) => message.do === 'search')")
    page.evaluate("(message) => reply({ ...message, hits: [] })", second)
    expect(page.locator("#second .told")).to_contain_text("Nothing found")
    expect(page.locator("#first .told")).not_to_contain_text("Nothing found")
    page.evaluate("(message) => reply({ ...message, hits: [] })", first)
    expect(page.locator("#first .told")).to_contain_text("Nothing found")
    page.close()


def test_a_picture_wider_than_a_browser_can_draw_is_saved_smaller(browser: Browser, tmp_path: Path) -> None:
    memory = WorkingMemoryGraph("?")
    memory.assert_triple((URIRef("urn:a"), URIRef("urn:p"), URIRef("urn:b")))
    view = memory.explore()
    first, second = view.places
    view.places = {first: [0, 0, False], second: [40_000, 0, False]}
    page = browser.new_page()
    page.set_content(f"<style>{view._css}</style><div id=first></div><div id=second></div>")
    state = {name: getattr(view, name) for name in ("shown", "hidden", "places", "height")}
    page.evaluate(RENDERED_TWICE, {"module": str(view._esm), "state": state})
    with page.expect_download() as download:
        page.locator("#first").get_by_role("button", name="PNG").click()
    download.value.save_as(tmp_path / "graph.png")
    header = (tmp_path / "graph.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert 10_000 < int.from_bytes(header[16:20]) <= 16_384
    page.close()


def test_it_looks_as_it_should_by_day_and_by_night(show: Open) -> None:
    source = DEMO + "view = kg.explore('Apollo 11')\nfor node in list(view._explored.nodes):\n"
    source += "    if str(node).endswith(('Armstrong', 'Eagle', 'Apollo_12', 'Saturn_V')):\n"
    source += "        view._explored.expand(node)\n"
    page = show(source + "view._draw()\nview")
    view = view_of(page)
    assert len(boxes(page)) >= 30
    assert overlapping(page) == []
    too_wide = """(view) => {
        const pen = document.createElement('canvas').getContext('2d');
        pen.font = '600 12px system-ui, sans-serif';
        const labels = view.cytoscape.nodes().map((node) => [node.data('label'), node.width()]);
        return labels.filter(([label, width]) => pen.measureText(label).width > width);
    }"""
    assert view.evaluate(too_wide) == []
    stage = view.locator(".canvas").bounding_box()
    assert stage is not None
    for box in boxes(page).values():  # nothing cut
        assert box["x1"] >= 0 and box["y1"] >= 0 and box["x2"] <= stage["width"] and box["y2"] <= stage["height"]  # noqa: PT018
    classes = view.evaluate(
        "(view) => [...new Set(view.cytoscape.nodes().map((node) => node.data('cls')))].filter(Boolean)"
    )
    chips = view.locator(".chip").evaluate_all("(chips) => chips.map((chip) => chip.dataset.id)")
    assert set(classes) < set(chips)
    assert serious(page) == []
    ink = "(view) => view.cytoscape.nodes()[0].style('color')"
    day = view.evaluate(ink)
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_timeout(100)
    assert view.evaluate(ink) != day
    assert serious(page) == []


def test_hostile_labels_are_text_and_nothing_else(show: Open) -> None:
    lines = [MEMORY, f"hostile = {HOSTILE!r}", "hub = URIRef('https://example.org/hub')"]
    lines += ["for number, text in enumerate(hostile):"]
    lines += ["    node, cls = URIRef(f'https://example.org/n{number}'), URIRef(f'https://example.org/C{number}')"]
    lines += ["    prop = URIRef(f'https://example.org/p{number}')"]
    lines += ["    memory.assert_triple((hub, prop, node))", "    memory.classes[node] = cls"]
    lines += ["    memory.labels |= {node: text, prop: text, cls: text}"]
    page = show("\n".join([*lines, "memory.explore()"]))
    view = view_of(page)
    assert len(view.evaluate(BOXES)) == len(HOSTILE) + 1
    assert view.locator("script, iframe, img").count() == 0
    view.locator("summary").click()
    assert "<script>alert(1)</script>" in view.locator(".legend").inner_text()
    view.locator(".stage").focus()
    for key in ("ArrowRight", "Enter", "ArrowDown", "Enter", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    expect(view.locator(".panel h3")).to_be_visible()
    assert view.locator(".panel script, .panel iframe, .panel img").count() == 0
    width = view.evaluate("(view) => view.scrollWidth - view.clientWidth")
    assert width <= 1
    assert serious(page) == []


def test_five_hundred_nodes_move_at_sixty_frames_a_second(show: Open) -> None:
    source = MEMORY + (
        "for number in range(1, 500):\n"
        "    start, end = URIRef(f'urn:n{number}'), URIRef(f'urn:n{number * 7 // 11 % number}')\n"
        "    memory.assert_triple((start, URIRef(f'urn:p{number % 5}'), end))\n"
        "memory.explore()"
    )
    page = show(source)
    stage = view_of(page).locator(".canvas").bounding_box()
    assert stage is not None
    assert view_of(page).evaluate("(view) => view.cytoscape.nodes().length") == 500
    x, y = stage["x"] + 6, stage["y"] + 6
    medians = []
    for _ in range(3):  # the best of three: the machine has other work
        page.mouse.move(x, y)
        page.mouse.down()
        page.evaluate("window.frames_ = (" + FRAMES + ")()")
        for step in range(60):
            page.mouse.move(x + 3 * step, y + 2 * step)
        page.mouse.up()
        medians.append(statistics.median(page.evaluate("window.frames_")))
    assert min(medians) < 1000 / 55, json.dumps(medians)
