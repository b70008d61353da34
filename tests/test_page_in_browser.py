"""Saved answers in a real browser: what a person sees, points at and reaches by keyboard."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from kgllm.pages import answer_page
from tests.shown import FACT, answer


def test_a_page_opens_alone_and_says_nothing_on_the_console(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "answer.html"
    file.write_text(answer_page(answer(FACT)), encoding="utf-8")
    told: list[str] = []
    asked: list[str] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        assert page.title() == "Who?"
    assert told == []
    assert asked == [file.as_uri()]
