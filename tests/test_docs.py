"""README and docs say what is so: their commands and snippets run and print what stands under them, their links lead
somewhere, and the reference has every option.

A fence's first word says what it is. ``console``: after ``$`` a command that is run, below it what it prints.
``python``: is run, page by page in one namespace; a ``text`` fence right below is what it prints. ``bash``: is not run
(it installs or starts something), but its options, make targets and extras have to exist. A second word is a file: the
fence is written to it. In what is printed, times may differ, and … stands for anything, alone on a line for any lines.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyoxigraph
import pytest
import typer
from typer.testing import CliRunner

from kgllm.cli import app
from kgllm.settings import _GRAPH_KEYS, _SHARED_VARIABLES, _TABLES, _VARIABLES, read_settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Fence:
    """A fenced block of a page: its language, perhaps the file it is, its text, and the line it starts at."""

    language: str
    file: str
    text: str
    line: int
    follows: bool  # with nothing but blank lines between it and the fence before


def fences(page: Path) -> list[Fence]:
    found = []
    text = page.read_text(encoding="utf-8")
    end = 0
    for match in re.finditer(r"^```(\w*) ?(\S*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        follows = not text[end : match.start()].strip()
        found.append(Fence(match[1], match[2], match[3], text[: match.start()].count("\n") + 1, follows))
        end = match.end()
    return found


@pytest.fixture
def surroundings(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that looks like a checkout, with an index of the demo graph and no settings of the user's."""
    for name in [name for name in os.environ if name.startswith(("KGLLM_", "OPENAI_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KGLLM_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "index-of-the-demo"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for folder in ("examples", "ontologies"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    demo = ["-g", "examples/spaceflight.ttl", "--ontology", "ontologies/spaceflight-ontology.ttl"]
    assert CliRunner().invoke(app, ["index", *demo]).exit_code == 0


@pytest.mark.parametrize("page", [page for page in PAGES if fences(page)], ids=lambda page: page.name)
def test_what_a_page_shows_is_what_happens(page: Path, surroundings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for fence in fences(page):
        place = f"{page.name}:{fence.line}"
        if fence.file:
            Path(fence.file).write_text(fence.text, encoding="utf-8")
        if fence.language == "console":
            for command, expected in sessions(fence.text):
                check_output(run(command, monkeypatch), expected, f"{place}\n$ {command}")
        elif fence.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(fence.text, place, "exec"), namespace)
            printed = out.getvalue()
        elif fence.language == "text" and fence.follows and printed:
            check_output(printed, fence.text, place)
            printed = ""
        else:
            check_by_reading(fence, place)


def sessions(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console, its continued lines joined, with what it prints."""
    assert text.startswith("$ ")
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.replace("\\\n", " ").partition("\n")
        yield command, expected


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command prints on standard output and error; of ``kgllm`` alone in this process, as that is quick."""
    if command.startswith("unset "):
        for name in command.split()[1:]:
            monkeypatch.delenv(name)
        return ""
    if command.startswith("export "):
        for part in shlex.split(command)[1:]:
            monkeypatch.setenv(*part.split("=", 1))
        return ""
    if command.startswith("kgllm ") and not re.search(r"[|<>]|&&|; ", re.sub(r"\"[^\"]*\"|'[^']*'", "", command)):
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code in {0, 2, 3, 4}, result.output
        monkeypatch.setenv("EXIT_CODE", str(result.exit_code))
        return result.output
    if command == "echo $?":
        return os.environ["EXIT_CODE"]
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def check_output(actual: str, expected: str, place: str) -> None:
    pattern = ""
    for line in timeless(expected).splitlines():
        anything = re.escape(line).replace("…", ".*")
        pattern += "(?:.*\n)*?" if line == "…" else anything + "\n"
    assert re.fullmatch(pattern, timeless(actual)), f"{place} prints\n{actual}"


def timeless(text: str) -> str:
    text = re.sub(r"\b\d[\d,]*(\.\d+)? (ms|s)\b", "0 s", text)
    return "".join(line.rstrip() + "\n" for line in text.strip("\n").splitlines())


def check_by_reading(fence: Fence, place: str) -> None:
    """What is not run is at least well-formed, and names nothing that is not there."""
    if fence.language == "bash":
        for line in fence.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["make"]:
                targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
                assert words[1] in targets, place
            elif words[:1] == ["kgllm"]:
                unknown = {word for word in words if word.startswith("-")} - options_of(COMMANDS[words[1]])
                assert not unknown, place
            for extra in re.findall(r"kgllm\[(\w+)\]", line):
                assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    elif fence.language == "toml":
        Path("read").mkdir(exist_ok=True)
        Path("read/kgllm.toml").write_text(fence.text, encoding="utf-8")
        nothing = Path("nothing")
        tables = tomllib.loads(fence.text).get("graph", {})
        given = {"graph": (next(iter(tables), None), "the page")}
        read_settings(given, environment={}, folder=Path("read"), user_folder=nothing, cache_dir=nothing)
    elif fence.language == "json":
        json.loads(fence.text)
    elif fence.language == "jsonl":
        assert [json.loads(line) for line in fence.text.splitlines()]
    elif fence.language == "turtle":
        assert list(pyoxigraph.parse(fence.text, format=pyoxigraph.RdfFormat.TURTLE))
    else:
        assert fence.language in {"text", "sparql"}, f"{place}: what is {fence.language}?"


def options_of(command: Any) -> set[str]:
    flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    return flags | {"-h", "--help"}


def option_row(parameter: Any) -> str:
    """The row of the reference for an option, in the words of ``--help``."""
    flags = [flag for flag in (*parameter.opts, *parameter.secondary_opts) if flag.startswith("-")]
    name = ", ".join(flags) if flags else parameter.name
    value = f" {parameter.metavar}" if parameter.metavar and flags else ""
    return f"| `{name}{value}` | {parameter.help} |".replace("auto|", "auto\\|").replace("embedded|", "embedded\\|")


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_reference_has_every_option_of_a_verb_in_the_words_of_its_help(verb: str) -> None:
    reference = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    common, _, rest = reference.partition("### `kgllm ")
    own = next((part for part in ("### `kgllm " + rest).split("### `kgllm ") if part.startswith(verb + "`")), "")
    assert own, f"docs/reference.md has no section ### `kgllm {verb}`"
    rows = [option_row(parameter) for parameter in COMMANDS[verb].params if parameter.name != "help"]
    missing = [row for row in rows if row not in own and row not in common]
    assert not missing, "\n".join(missing)


def test_the_reference_has_every_setting_and_every_variable() -> None:
    reference = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    keys = {f"{table}.{key}".lstrip(".") for table, known in _TABLES.items() for key in known}
    keys |= {f"graph.NAME.{key}" for key in _GRAPH_KEYS}
    missing = [name for name in [*_VARIABLES, *_SHARED_VARIABLES, *keys] if f"`{name}`" not in reference]
    assert not missing


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=[*IDS, "CHANGELOG.md"])
def test_links_and_files_named_in_a_page_are_there(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#]+)", text) + re.findall(r'src="([^"]+)"', text):
        assert target.startswith("https://") or (page.parent / target).exists(), target
    for named in re.findall(r"`((?:kgllm|docs|examples|ontologies|tests|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / named).exists(), named


def test_what_a_page_says_wrongly_is_noticed() -> None:
    check_output("3 facts · 1.2 s\nmore\nend\n", "3 facts · 0.4 s\n…\nend\n", "")
    with pytest.raises(AssertionError, match="prints"):
        check_output("3 facts · 1.2 s\n", "4 facts · 1.2 s\n", "")
    with pytest.raises(AssertionError):
        check_by_reading(Fence("bash", "", "kgllm ask --loudly", 1, False), "")
