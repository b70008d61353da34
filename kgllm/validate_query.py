"""Validate a query before it runs: against what the ontology states, and what the data was seen to hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from kgllm.ontology import Ontology
from kgllm.query import Path, PatternTerm, Query, TriplePattern, Variable
from kgllm.terms import Literal, Term, URIRef
from kgllm.violation import Violation
from kgllm.vocabularies import RDF_TYPE, is_vocabulary
from kgllm.words import with_article

__all__ = ["validate_query"]


def validate_query(query: Query, ontology: Ontology) -> list[Violation]:
    """The faults of a pattern that no data can mend: undefined terms, and terms that disjoint classes keep apart."""
    found: dict[Violation, None] = {}
    groups = list(query.where.groups())
    kinds = {values.variable: values.terms for group in groups for values in group.values}
    for iri in _undefined((pattern for group in groups for pattern in group.patterns), ontology):
        found[_fault(iri, "undefined", f"neither the ontology nor the data has <{iri}>")] = None
    for conjunction in query.where.conjunctions():
        for term, reasons in _demands(conjunction, kinds, ontology).items():
            for one, other in combinations(reasons, 2):
                if ontology.are_disjoint(one, other):
                    message = (
                        f"{term} must be {with_article(ontology.label(one))} because {reasons[one]}, "
                        f"and {with_article(ontology.label(other))} because {reasons[other]}; nothing is both"
                    )
                    focus = term if isinstance(term, URIRef) else None
                    found[Violation(focus, None, None, "disjoint", "Violation", message, "query")] = None
    return list(found)


def _property(pattern: TriplePattern) -> URIRef | None:
    predicate = pattern.predicate.iri if isinstance(pattern.predicate, Path) else pattern.predicate
    return predicate if isinstance(predicate, URIRef) else None


def _undefined(patterns: Iterable[TriplePattern], ontology: Ontology) -> list[URIRef]:
    properties = dict.fromkeys(filter(None, map(_property, patterns)))
    return [p for p in properties if p not in ontology.properties and not is_vocabulary(p)]


def _demands(
    patterns: Iterable[TriplePattern], kinds: Mapping[Variable, Sequence[Term]], ontology: Ontology
) -> dict[PatternTerm, dict[URIRef, str]]:
    """The classes that each term has to belong to for the patterns to hold, each with the reason."""
    must_be: dict[PatternTerm, dict[URIRef, str]] = defaultdict(dict)
    for pattern in patterns:
        prop = _property(pattern)
        if prop == RDF_TYPE:
            one_of = kinds.get(pattern.object, ()) if isinstance(pattern.object, Variable) else (pattern.object,)
            if len(one_of) == 1 and isinstance(one_of[0], URIRef):
                must_be[pattern.subject][one_of[0]] = f"it is {with_article(ontology.label(one_of[0]))}"
        elif prop in ontology.properties:
            stated = ontology.properties[prop]
            for axiom in stated.domains:
                if len(axiom) == 1:
                    must_be[pattern.subject][axiom[0]] = f"it has {with_article(stated.label)}"
            for axiom in stated.ranges:
                if len(axiom) == 1 and axiom[0] in ontology.classes and not isinstance(pattern.object, Literal):
                    must_be[pattern.object][axiom[0]] = f"it is {with_article(stated.label)} of something"
    return must_be


def _fault(focus: URIRef, constraint: str, message: str) -> Violation:
    return Violation(focus, None, None, constraint, "Violation", message, "query")
