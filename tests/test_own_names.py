"""An embedder tuned on names and descriptions: kept only if names held out find their own description more often."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from kgllm import Assistant, InputError
from kgllm.descriptions import Description
from kgllm.engines.embedder_training import Schedule
from kgllm.engines.sentence_transformers import SentenceTransformersEmbedder
from kgllm.protocols import Vectors
from kgllm.terms import URIRef
from kgllm.tuning import own_names
from kgllm.tuning.own_names import tune_on_names
from tests.command_line import run

WORDS = "anchor boat cabin deck engine flag galley hatch island jetty keel ladder mast net oar".split()  # noqa: SIM905


def glossary() -> str:
    """45 things of a ship with two names and a description each."""
    lines = [
        "@prefix ex: <http://example.org/> . @prefix skos: <http://www.w3.org/2004/02/skos/core#> .",
        "@prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .",
    ]
    for number, word in enumerate(WORDS * 3):
        lines.append(
            f'ex:t{number} a ex:Term ; skos:prefLabel "{word} {number}"@en ; skos:altLabel "{word}-bit {number}"@en ; '
            f'skos:altLabel "Teil {number}"@de ; skos:definition "what a sailor of rank {number} calls the {word}"@en .'
        )
    lines.append(
        'ex:part a owl:ObjectProperty ; rdfs:label "part" ; rdfs:comment "what is in it" . ex:t1 ex:part ex:t2 .'
    )
    return "\n".join(lines)


@pytest.fixture
def terms(open_cached: Callable[..., Assistant], monkeypatch: pytest.MonkeyPatch) -> Assistant:
    monkeypatch.setattr(own_names, "ENOUGH_PAIRS", 40)
    monkeypatch.setattr(own_names, "_SCHEDULE", Schedule(batch=8, epochs=1, most_steps=2, rate=2e-5))
    return open_cached(glossary())


def shares(*found: float) -> Callable[..., float]:
    """In place of what is found with the model before, and with the one after."""
    left: Iterator[float] = iter(found)
    return lambda embedder, held, among: next(left)


def test_a_model_that_finds_more_is_kept(terms: Assistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_names, "_found", shares(0.5, 0.7))
    tuned = tune_on_names(terms.index, tmp_path / "model")
    assert (tuned.nodes, tuned.pairs, tuned.held_out, tuned.among) == (43, 86, 2, 45)
    assert (tuned.before, tuned.after) == (0.5, 0.7)
    assert tuned.folder == tmp_path / "model"
    assert SentenceTransformersEmbedder(str(tuned.folder)).dimension == terms.index.embedder.dimension


def test_names_of_other_languages_are_not_learned(terms: Assistant) -> None:
    (anchor,) = terms.index.described([URIRef("http://example.org/t0")]).values()
    assert own_names._names(anchor, ("en", "")) == ["anchor 0", "anchor-bit 0"]
    assert own_names._names(anchor, ("de",)) == ["Teil 0"]
    assert own_names._names(anchor, ("fr",)) == ["anchor 0"], "a thing without any has its label"


@pytest.mark.parametrize("after", [0.5, 0.3])
def test_a_model_that_finds_no_more_is_not(
    terms: Assistant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: float
) -> None:
    monkeypatch.setattr(own_names, "_found", shares(0.5, after))
    assert tune_on_names(terms.index, tmp_path / "model").folder is None
    assert not (tmp_path / "model").exists()


def test_too_few_descriptions_and_a_folder_that_is_taken_are_errors(demo: Assistant, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2,000 are the least"):
        tune_on_names(demo.index, tmp_path / "model")
    (tmp_path / "model.txt").write_text("something")
    with pytest.raises(InputError, match="is there already"):
        tune_on_names(demo.index, tmp_path)
    with pytest.raises(InputError, match="cannot be made"):
        tune_on_names(demo.index, tmp_path / "model.txt" / "in a file")


def test_an_empty_folder_of_the_user_is_left_as_it_is(demo: Assistant, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2,000 are the least"):
        tune_on_names(demo.index, tmp_path)
    assert tmp_path.is_dir()


class Counted:
    """Embeds a text as what its last word says, on one of a few axes."""

    name, identity, dimension = "counted", "counted", 20

    def embed(self, texts: Sequence[str], **_: object) -> Vectors:
        return np.eye(20, dtype=np.float32)[[int(text.rsplit(" ", 1)[-1]) for text in texts]]


def test_found_is_who_has_their_own_among_the_first_ten() -> None:
    def described(label: str) -> Description:
        return Description(URIRef("http://example.org/x"), "node", label, (), "", (), 0, "")

    held = [described("anchor 1"), described("boat 2")]
    mine = ["its own 1", "another's 3"]
    assert own_names._found(Counted(), held, [*mine, *["like a boat 2"] * 9, *["like an anchor 1"] * 12]) == 1.0
    assert own_names._found(Counted(), held, [*mine, *["like a boat 2"] * 10]) == 0.5


@pytest.mark.usefixtures("clean_surroundings", "terms")
def test_the_command_tells_what_was_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "terms.ttl").write_text(glossary(), encoding="utf-8")
    graph, folder = ("-g", str(tmp_path / "terms.ttl")), str(tmp_path / "model")
    monkeypatch.setattr(own_names, "_found", shares(0.5, 0.4, 0.5, 0.7))
    assert run("index", *graph, "--quiet").exit_code == 0
    lost = run("tune", "--embedder", folder, *graph, "--quiet")
    assert "it finds no more of them than before, so nothing is kept" in lost.stdout
    told = json.loads(run("tune", "--embedder", folder, *graph, "--json", "--quiet").stdout)
    assert (told["nodes"], told["after"], told["folder"]) == (43, 0.7, folder)
    assert run("tune", "--embedder", folder, "--forget", *graph).exit_code == 2
