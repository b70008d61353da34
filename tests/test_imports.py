"""The direction of imports, held over the syntax trees of all modules, and what a start of the CLI may import."""

from __future__ import annotations

import ast
import json
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import kgllm

PACKAGE = Path(kgllm.__file__).parent
LANGUAGE = {"errors", "terms", "protocols", "datatypes", "vocabularies", "frames"}
WIRING = {
    "workspace",
    "opening",
    "doctor",
    "checking",  # loads the file that it is given
    "tuning.language_model",  # trains the model that it is given
    "tuning.embedder",
    "tuning.own_names",
}
GUARD = "engines.guard"  # looks at a text, and is no engine
WORKSPACE = {"workspace"}
ASSISTANT = {"assistant"}
OVER_THE_GRAPH = {
    "evaluate",
    "explain",
    "exploration",
    "lookup",
    "overview",
    "checking",
    "ceiling",
    "probes",
    "stages",
    "verify",
    "tuning",
}  # verbs of the SDK over a workspace
FACES = {
    "__main__",
    "cli",
    "settings",
    "opening",
    "display",
    "markup",
    "page_picture",
    "pages",
    "view",
    "doctor",
    "magics",
    "notebook",
}
HEAVY = {
    "numpy", "rdflib", "pyoxigraph", "faiss", "onnxruntime", "torch", "httpx2", "networkx", "rich", "pydantic", "scipy",
    "pyshacl", "sentence_transformers", "pandas", "IPython", "anywidget",
}  # fmt: skip


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


TREES = dict(modules())


def imported(tree: ast.Module) -> set[str]:
    """The modules of kgllm that a module imports, those for the type checker alone left out."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.ImportFrom) and child.module and child.level == 0:
                found.update([child.module, *(f"{child.module}.{alias.name}" for alias in child.names)])
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            assert not (isinstance(child, ast.ImportFrom) and child.level), "relative imports hide the direction"
            walk(child)

    walk(tree)
    return {name.removeprefix("kgllm.") for name in found if name.startswith("kgllm.")} & TREES.keys()


def layer(module: str) -> str:
    top = module.split(".")[0]
    for name, members in (
        ("language", LANGUAGE),
        ("engines", {"engines"}),
        ("faces", FACES),
        ("over the graph", OVER_THE_GRAPH),
        ("workspace", WORKSPACE),
        ("assistant", ASSISTANT),
    ):
        if top in members:
            return name
    return "root" if module == "__init__" else "verbs and graphs"


MAY_IMPORT = {
    "language": {"language"},
    "verbs and graphs": {"language", "verbs and graphs"},
    "workspace": {"language", "verbs and graphs", "workspace"},
    "over the graph": {"language", "verbs and graphs", "workspace", "over the graph"},
    "assistant": {"language", "verbs and graphs", "workspace", "over the graph", "assistant"},
    "faces": {"language", "verbs and graphs", "workspace", "over the graph", "assistant", "faces"},
    "engines": {"language", "engines"},
    "root": set(),
}
LAZY_FACE = {  # _repr_html_ and explore, imported when a notebook asks for them
    *((module, "pages") for module in ("answer", "memory", "lookup", "checking", "overview")),
    ("memory", "view"),
    ("assistant", "view"),
}
ENGINES_MAY = {"sources"}


@pytest.mark.parametrize("module", TREES)
def test_imports_run_one_way(module: str) -> None:
    for target in imported(TREES[module]):
        if layer(module) == "engines" and target in ENGINES_MAY:
            continue
        if layer(target) == "engines" and layer(module) != "engines":
            assert module in WIRING or target == GUARD, f"{module} knows the engine {target}"
            continue
        if (module, target) in LAZY_FACE:
            continue
        assert layer(target) in MAY_IMPORT[layer(module)], f"{module} must not import {target}"


def test_the_walk_sees_an_import_that_runs_the_wrong_way() -> None:
    wrong = ast.parse("def late():\n    from kgllm.assistant import Assistant")
    hidden = ast.parse("if TYPE_CHECKING:\n    from kgllm.assistant import Assistant")
    assert imported(wrong) == {"assistant"}
    assert imported(hidden) == set()
    assert layer("assistant") not in MAY_IMPORT[layer("link")]


def loaded_by(code: str) -> set[str]:
    report = f"import json, sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_importing_kgllm_imports_nothing_heavy() -> None:
    assert not loaded_by("import kgllm") & (HEAVY | {"typer"})


def test_help_imports_nothing_heavy() -> None:
    assert not loaded_by("from kgllm.cli import app; app(['--help'])") & HEAVY


def test_help_takes_a_fifth_of_a_second_or_hardly_more_than_typer_itself() -> None:
    def spent(*arguments: str) -> float:  # of the processor, which a busy machine changes little
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    helps = ((str(PACKAGE.parent / "cli.py"), "--help"), ("-c", "import typer"))
    ours, typers = zip(*[[spent(*arguments) for arguments in helps] for _ in range(7)], strict=True)
    assert min(ours) < max(0.2, 2.5 * min(typers)), "a slow machine takes longer for both"


def test_a_question_is_answered_without_what_only_pictures_builds_and_servers_need() -> None:
    heavy = loaded_by("import kgllm.assistant, kgllm.opening, kgllm.cli, kgllm.display")
    assert not heavy & {"networkx", "scipy", "torch", "sentence_transformers", "pyshacl", "rich", "pandas", "IPython"}


def test_every_name_that_the_package_offers_is_there() -> None:
    assert sorted(kgllm.__all__) == list(kgllm.__all__)
    for name in kgllm.__all__:
        assert getattr(kgllm, name) is not None
    assert set(kgllm.__all__) <= set(dir(kgllm))
    with pytest.raises(AttributeError, match="no attribute 'ask'"):
        kgllm.ask  # noqa: B018


def test_every_package_is_installed() -> None:
    settings = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    found = {".".join(init.parent.relative_to(PACKAGE.parent).parts) for init in PACKAGE.rglob("__init__.py")}
    assert set(settings["tool"]["setuptools"]["packages"]) == found
