"""``kgllm chat`` and what is seen of a question while it is answered, piped and on a real pseudo-terminal."""

from __future__ import annotations

import codecs
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType

import pytest
from typer.testing import CliRunner, Result

from kgllm.answer import Answer, Claim
from kgllm.cli import app
from kgllm.cli.following import follow
from kgllm.cli.terminal import Terminal
from kgllm.protocols import Step
from tests.conftest import DEMO_GRAPH, DEMO_ONTOLOGY, ROOT

pytestmark = pytest.mark.usefixtures("clean_surroundings")

DEMO = ["-g", str(DEMO_GRAPH), "--ontology", str(DEMO_ONTOLOGY)]


def piped(lines: str, *options: str) -> Result:
    return CliRunner().invoke(app, ["chat", *DEMO, *options], input=lines)


# Piped


def test_piped_questions_refer_to_those_before() -> None:
    result = piped("Who commanded Apollo 11?\nWhere was he born?\n")
    assert result.exit_code == 0
    assert "» Where was he born?\nThe birth place of Neil Armstrong is Wapakoneta [1]." in result.stdout
    assert "\x1b" not in result.stdout + result.stderr


def test_a_new_conversation_knows_nothing_of_the_one_before() -> None:
    result = piped("Who commanded Apollo 11?\n/new\nWhere was he born?\n")
    assert "“he” refers to nothing" in result.stdout


def test_commands_show_a_node_the_query_and_help() -> None:
    result = piped("/sparql\nWho commanded Apollo 11?\n/sparql\n/show\n/show Saturn V\n/help\n/quit\nWho?\n")
    assert "No question was asked yet." in result.stdout
    assert "space:Apollo_11 sf:commander ?x ." in result.stdout
    assert "sf:birthPlace" in result.stdout
    assert "space:Saturn_V" in result.stdout
    assert "/show [NODE]" in result.stdout
    assert "» Who?" not in result.stdout


def test_a_faulty_question_ends_neither_the_chat_nor_unnoticed() -> None:
    result = piped(f"{'why ' * 2_000}\nWho commanded Apollo 11?\n")
    assert result.exit_code == 2
    assert "8,0" in result.stderr or "7,9" in result.stderr
    assert "Neil Armstrong [1]" in result.stdout


def test_a_chat_that_finds_nothing_exits_with_3_and_an_empty_one_with_0() -> None:
    assert piped("What is the recipe for goulash?\n").exit_code == 3
    assert piped("").exit_code == 0


def test_json_is_an_object_a_line() -> None:
    result = piped("Who commanded Apollo 11?\nWhere was he born?\n", "--json")
    assert [json.loads(line)["question"] for line in result.stdout.splitlines()][1] == "Where was he born?"


def test_a_chat_is_logged_and_taken_up_again() -> None:
    piped("Who commanded Apollo 11?\n")
    result = piped("Where was he born?\n", "-c")
    assert "Who commanded Apollo 11?" in result.stderr
    assert "Wapakoneta" in result.stdout
    runs = json.loads(CliRunner().invoke(app, ["logs", "--json"]).stdout)["runs"]
    assert [run["turn"] for run in runs] == [1, 2]
    assert len({run["conversation"] for run in runs}) == 1


def test_a_chat_that_is_not_to_be_logged_is_not() -> None:
    piped("Who commanded Apollo 11?\n", "--no-log")
    assert CliRunner().invoke(app, ["logs"]).exit_code == 3


# On a terminal


class Screen:
    """A command on a pseudo-terminal of 80 columns."""

    def __init__(self, *arguments: str) -> None:
        self.seen = ""
        master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}
        command = [sys.executable, str(ROOT / "cli.py"), *arguments]
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True, close_fds=True,
            preexec_fn=lambda: _control(slave),
        )  # fmt: skip
        os.close(slave)
        self._terminal = master
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a read may end within a character

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def until(self, pattern: str, *, timeout_s: float = 60) -> str:
        """What was shown up to a pattern and since the last; the pattern has to come."""
        end = time.monotonic() + timeout_s
        while (match := re.search(pattern, self.seen, re.DOTALL)) is None:
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{pattern} did not come: {self.seen!r}"
            self._read()
        shown, self.seen = self.seen[: match.end()], self.seen[match.end() :]
        return shown

    def _read(self) -> None:
        self.seen += self._decoder.decode(os.read(self._terminal, 65_536))

    def ends(self, *, timeout_s: float = 30) -> int:
        end = time.monotonic() + timeout_s
        while self._process.poll() is None and time.monotonic() < end:
            ready, _, _ = select.select([self._terminal], [], [], 0.1)
            if ready:
                try:
                    self._read()
                except OSError:  # Linux's way to say that nobody writes any more
                    break
        return self._process.wait(timeout=timeout_s)


def _control(terminal: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


@pytest.fixture
def screen() -> Iterator[Callable[..., Screen]]:
    opened: list[Screen] = []

    def start(*arguments: str) -> Screen:
        opened.append(Screen(*arguments))
        return opened[-1]

    yield start
    for each in opened:
        each.__exit__(None, None, None)


def test_a_chat_on_a_terminal_shows_its_steps_in_a_line_that_goes_again(screen: Callable[..., Screen]) -> None:
    chat = screen("chat", *DEMO)
    chat.until("» ")
    chat.type("Who commanded Apollo 11?\n")
    shown = chat.until(r"\[1\]\.")
    assert "\r\x1b[Klooked up Apollo 11 …" in shown
    assert re.search(r"\r\x1b\[KThe commander of Apollo 11 is Neil Armstrong \[1\]\.", shown)
    chat.until("» ")
    chat.type("\x1b[A\n")  # the arrow up brings the question back
    chat.until(r"Neil Armstrong \[1\]\.")
    chat.until("» ")
    chat.type("\x04")
    assert chat.ends() == 0


def test_control_c_drops_the_line_and_control_d_ends_the_chat(screen: Callable[..., Screen]) -> None:
    chat = screen("chat", *DEMO)
    chat.until("» ")
    chat.type("What is the re")
    time.sleep(0.2)
    chat.type("\x03")
    chat.until("» ")
    chat.type("Who commanded Apollo 13?\n")
    chat.until("James Lovell")
    chat.until("» ")
    chat.type("\x04")
    assert chat.ends() == 0
    assert "Traceback" not in chat.seen


def test_control_c_gives_up_the_question_and_not_the_chat(screen: Callable[..., Screen]) -> None:
    silent = subprocess.Popen(
        [sys.executable, "-c", _SILENT_SERVER], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert silent.stdout is not None
    url = f"http://127.0.0.1:{silent.stdout.readline().strip()}/v1"
    try:
        chat = screen("chat", *DEMO, "--base-url", url, "-m", "tiny")
        chat.until("» ")
        chat.type("Who commanded Apollo 11?\n")
        chat.until("tell tiny of the graph")
        time.sleep(0.3)
        chat.type("\x03")
        chat.until("given up", timeout_s=15)
        chat.until("» ")
        chat.type("/quit\n")
        assert chat.ends() == 0
        assert "Traceback" not in chat.seen
    finally:
        silent.send_signal(signal.SIGKILL)
        silent.wait()
        silent.stdout.close()


_SILENT_SERVER = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
held = []
while True:
    held.append(listening.accept())
"""


def test_ask_shows_steps_on_a_terminal_and_none_with_q(screen: Callable[..., Screen]) -> None:
    asked = screen("ask", *DEMO, "Who commanded Apollo 11?")
    assert asked.ends() == 0
    assert "looked up Apollo 11 …" in asked.seen
    assert "\x1b[K" in asked.seen
    quiet = screen("ask", *DEMO, "-q", "Who commanded Apollo 11?")
    assert quiet.ends() == 0
    assert "looked up" not in quiet.seen
    assert "Neil Armstrong [1]." in quiet.seen


# Claims as they come


def streamed(text: str, *claims: str) -> Iterator[Step | Claim | Answer]:
    yield Step("link", "looked up Ann")
    yield from (Claim(claim, "asserted", ()) for claim in claims)
    yield Answer("Who?", text)


def test_claims_that_are_the_whole_answer_are_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    answer, said = follow(
        streamed("Ann is here. [1] So is Eve. [2]", "Ann is here.", "So is Eve."), Terminal(), is_text=True
    )
    assert said == answer.text
    assert capsys.readouterr().out == "Ann is here.\nSo is Eve.\n"


def test_an_answer_that_says_more_than_its_claims_is_printed_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, said = follow(streamed("Ann, Eve and Zoe. Ann is here. [1]", "Ann is here."), Terminal(), is_text=True)
    assert said == ""


def test_where_nobody_watches_nothing_is_said_before_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    _, said = follow(streamed("Ann is here. [1]", "Ann is here."), Terminal(), is_text=True)
    assert (said, capsys.readouterr().out, capsys.readouterr().err) == ("", "", "")
