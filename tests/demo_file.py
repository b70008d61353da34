"""The demo graph with its ontology as their files have them, to check answers against."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pyoxigraph as ox

__all__ = ["graph"]

ROOT = Path(__file__).resolve().parents[1]


@cache
def graph() -> ox.Store:
    """Both files in one store."""
    store = ox.Store()
    for file in ("examples/spaceflight.ttl", "ontologies/spaceflight-ontology.ttl"):
        store.load(path=ROOT / file, format=ox.RdfFormat.TURTLE)
    return store
