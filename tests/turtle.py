"""Small graphs in Turtle, with the prefixes that ontologies need declared."""

from __future__ import annotations

import pyoxigraph as ox

from kgllm.terms import Triple, from_ox
from kgllm.vocabularies import OWL, RDFS, XSD

EX = "http://example.org/"
PREFIXES = f"@prefix : <{EX}> . @prefix owl: <{OWL}> . @prefix rdfs: <{RDFS}> . @prefix xsd: <{XSD}> .\n"


def parse(turtle: str) -> list[Triple]:
    """The triples of a text."""
    quads = ox.parse((PREFIXES + turtle).encode(), format=ox.RdfFormat.TURTLE)
    return [(from_ox(q.subject), from_ox(q.predicate), from_ox(q.object)) for q in quads]  # type: ignore[misc]
