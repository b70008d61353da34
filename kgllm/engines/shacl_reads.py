"""What shapes read of a graph beyond the facts of a focus node: found in the shapes, so that just that is fetched."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

import rdflib
from rdflib.collection import Collection
from rdflib.namespace import RDF, SH

from kgllm.terms import Node, URIRef, n3

__all__ = ["path_text", "reads_of"]

_REPEATED = {SH.zeroOrMorePath: "*", SH.oneOrMorePath: "+", SH.zeroOrOnePath: "?"}
_LISTS = (SH["and"], SH["or"], SH.xone)
_SHAPES = (SH.node, SH["not"], SH.property, SH.qualifiedValueShape)
_COMPARED = (SH.equals, SH.disjoint, SH.lessThan, SH.lessThanOrEquals)
_IRI = re.compile(r"<[^>]*>")
_INTO_FOCUS = "?s ?p ?n . BIND(?n AS ?o)"
_LONGEST = 12  # steps from a focus node: shapes that refer to themselves have no end


def path_text(shapes: rdflib.Graph, path: Node | None, *, is_inverse: bool = False) -> str:
    """A property path as SPARQL writes it."""
    if path is None or isinstance(path, URIRef):
        return "" if path is None else f"{'^' if is_inverse else ''}{n3(path)}"
    steps, choices, inverse = _parts(shapes, path)
    if steps:
        return "/".join(path_text(shapes, s, is_inverse=is_inverse) for s in (steps[::-1] if is_inverse else steps))
    if choices:
        return "(" + "|".join(path_text(shapes, choice, is_inverse=is_inverse) for choice in choices) + ")"
    if inverse is not None:
        return path_text(shapes, inverse, is_inverse=not is_inverse)
    for predicate, suffix in _REPEATED.items():
        if (repeated := shapes.value(path, predicate)) is not None:
            return f"({path_text(shapes, repeated, is_inverse=is_inverse)}){suffix}"
    return ""


def _parts(shapes: rdflib.Graph, path: Node) -> tuple[list[Node], list[Node], Node | None]:
    """The steps of a sequence, the choices of an alternative, or what is inverted."""
    steps = list(Collection(shapes, path)) if (path, RDF.first, None) in shapes else []
    alternative = shapes.value(path, SH.alternativePath)
    choices = list(Collection(shapes, alternative)) if alternative is not None else []
    return steps, choices, shapes.value(path, SH.inversePath)


def reads_of(shapes: rdflib.Graph, targeting: Iterable[Node]) -> list[str]:
    """Graph patterns over ``?n``, a focus node, whose ``?s ?p ?o`` are the facts that shapes read further off.

    Known without are the facts that the focus node is the subject of, the classes of its values, and by which
    properties something leads to it, which is all that ``sh:targetObjectsOf`` asks. ``sh:sparql`` is not looked into:
    where there is some, all facts that have the focus node as their object are read.
    """
    reading = _Reading(shapes)
    for shape in targeting:
        reading.shape(shape, ())
    has_sparql = any((None, query, None) in shapes for query in (SH.select, SH.ask))
    return sorted([*reading.patterns(), *([_INTO_FOCUS] if has_sparql else [])])


_Lead = tuple[str, ...]  # the paths, one after the other, from a focus node


class _Reading:
    """Walks through shapes and notes what each reads, at the end of which path from the focus node."""

    def __init__(self, shapes: rdflib.Graph) -> None:
        self._shapes = shapes
        self._seen: set[tuple[Node, _Lead]] = set()
        self._out: dict[_Lead, set[Node]] = defaultdict(set)
        self._into: dict[_Lead, set[Node]] = defaultdict(set)
        self._all: set[_Lead] = set()

    def patterns(self) -> Iterable[str]:
        if self._into[()]:
            yield f"{_values(self._into[()])} {_INTO_FOCUS}"
        for lead in filter(None, {*self._out, *self._into, *self._all}):
            path = "/".join(lead)
            is_known = len(lead) == 1 and set(_IRI.sub("", lead[0])) <= set("(|)")
            out = self._out[lead] - ({RDF.type} if is_known else set())
            if lead in self._all:
                yield f"?n {path} ?s . ?s ?p ?o"
            elif out:
                yield f"?n {path} ?s . {_values(out)} ?s ?p ?o"
            if self._into[lead]:
                yield f"?n {path} ?o . {_values(self._into[lead])} ?s ?p ?o"

    def shape(self, shape: Node, lead: _Lead) -> None:
        """Note what a shape reads of the node at the end of a path."""
        if (shape, lead) in self._seen or len(lead) > _LONGEST:
            return
        self._seen.add((shape, lead))
        shapes = self._shapes
        for compared in _COMPARED:
            self._out[lead].update(shapes.objects(shape, compared))
        path = shapes.value(shape, SH.path)
        end = lead if path is None else self._follow(path, lead, is_inverse=False)
        if (shape, SH["class"], None) in shapes:
            self._out[end].add(RDF.type)
        if (shape, SH.closed, None) in shapes:
            self._all.add(end)
        for parameter in _SHAPES:
            for nested in shapes.objects(shape, parameter):
                self.shape(nested, end)
        for parameter in _LISTS:
            for members in shapes.objects(shape, parameter):
                for nested in Collection(shapes, members):
                    self.shape(nested, end)

    def _follow(self, path: Node, lead: _Lead, *, is_inverse: bool) -> _Lead:
        """Note what following a path reads, and give the path to its end."""
        shapes = self._shapes
        end = (*lead, path_text(shapes, path, is_inverse=is_inverse))
        if isinstance(path, URIRef):
            (self._into if is_inverse else self._out)[lead].add(path)
            return end
        steps, choices, inverse = _parts(shapes, path)
        for step in steps[::-1] if is_inverse else steps:
            lead = self._follow(step, lead, is_inverse=is_inverse)
        if steps:
            return lead
        for choice in choices:
            self._follow(choice, lead, is_inverse=is_inverse)
        if inverse is not None:
            return self._follow(inverse, lead, is_inverse=not is_inverse)
        for predicate, suffix in _REPEATED.items():
            if (repeated := shapes.value(path, predicate)) is not None:
                again = "" if suffix == "?" else f"({path_text(shapes, repeated, is_inverse=is_inverse)})*"
                self._follow(repeated, (*lead, again) if again else lead, is_inverse=is_inverse)
        return end


def _values(properties: Iterable[Node]) -> str:
    return f"VALUES ?p {{ {' '.join(sorted(map(n3, properties)))} }}"
