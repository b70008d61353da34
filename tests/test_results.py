"""SPARQL results from elsewhere become rdflib's terms, or are refused."""

from __future__ import annotations

import pytest

from kgllm.engines.results import rows_of_json
from kgllm.terms import BNode

BLANK = b"""{"head": {"vars": ["x", "y"]}, "results": {"bindings": [
  {"x": {"type": "bnode", "value": "nodeID://b10"}, "y": {"value": "nodeID://b10", "type": "bnode"}},
  {"x": {"type": "bnode", "value": "nodeID://b11"}}]}}"""


def test_a_blank_node_of_any_name_is_one_node_wherever_it_occurs() -> None:
    (first, same), (other, none) = rows_of_json(BLANK).rows
    assert isinstance(first, BNode)
    assert first == same
    assert first != other
    assert none is None


def test_an_iri_that_is_none_is_still_refused() -> None:
    with pytest.raises(SyntaxError, match="Invalid uri"):
        rows_of_json(BLANK.replace(b'"bnode", "value": "nodeID://b10"', b'"uri", "value": "no iri"'))
