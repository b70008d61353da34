"""Phrases: a reading in words and as a shape, and the question it reads with its names masked by what they are."""

from __future__ import annotations

from collections.abc import Iterator

from kgllm.link import Links
from kgllm.ontology import Ontology
from kgllm.paths import Place, RelationPath
from kgllm.sketch import Sketch
from kgllm.tables.table import Table

__all__ = ["masked", "phrase", "shape"]


def phrase(sketch: Sketch | Table, ontology: Ontology) -> str:
    """A sketch in words: "the director of the movie", "the movie whose written by is the person"."""
    if isinstance(sketch, Table):
        return sketch.phrase(ontology)
    parts = [_path_phrase(branch.path, _kind(branch.anchor.place, ontology), ontology) for branch in sketch.branches]
    if sketch.cls is not None and not parts:
        parts = ["the " + ontology.label(sketch.cls).lower()]
    said = " and ".join(part for part in parts if part)
    for path in (sketch.projection, sketch.extreme.path if sketch.extreme else None):
        if path is not None:
            said = _path_phrase(path, said, ontology)
    if sketch.form == "count":
        said = "how many " + said
    if sketch.target is not None:
        said = f"is {_kind(sketch.target.place, ontology)} {said}"
    return said


def masked(links: Links, sketch: Sketch | Table, ontology: Ontology) -> str:
    """The question with the names that a sketch uses replaced by their kinds: "who directed the movie"."""
    text = links.question
    for anchor in sorted(sketch.anchors(), key=lambda a: -a.mention.first):
        tokens = links.tokens[anchor.mention.first : anchor.mention.last]
        text = text[: tokens[0].start] + _kind(anchor.place, ontology) + text[tokens[-1].end :]
    return text.lower()


def shape(sketch: Sketch | Table) -> str:
    """A reading without its names: its form and its relations, each with its direction."""
    if isinstance(sketch, Table):
        return "table"
    return "|".join(_parts(sketch))


def _parts(sketch: Sketch) -> Iterator[str]:
    yield sketch.form
    yield " & ".join(sorted(_walk(branch.path) for branch in sketch.branches))
    yield _walk(sketch.projection) if sketch.projection is not None else ""
    if sketch.extreme is not None:
        yield f"{_walk(sketch.extreme.path)} {sketch.extreme.descending} {sketch.extreme.by_count}"
    for condition in sketch.conditions:
        yield f"{_walk(condition.path)} {condition.operator}"
    if sketch.target is not None:
        yield "to a name"


def _walk(path: RelationPath) -> str:
    return " ".join(f"{'<' if step.inverse else '>'}{step.property}" for step in path.steps)


def _path_phrase(path: RelationPath, start: str, ontology: Ontology) -> str:
    said = start if start.startswith("the ") else "the " + start
    for step, place in zip(path.steps, path.places, strict=True):
        label = ontology.label(step.property).lower()
        said = f"the {_kind(place, ontology)} whose {label} is {said}" if step.inverse else f"the {label} of {said}"
    return said


def _kind(place: Place, ontology: Ontology) -> str:
    classes = sorted(c for c in place if c is not None)
    return ontology.label(classes[0]).lower() if classes else "it"
