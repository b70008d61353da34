"""The queries that read an ontology, and the axioms and kinds of terms that they look for."""

from __future__ import annotations

from collections.abc import Iterable

from kgllm.vocabularies import OWL, RDF, RDFS, SCHEMA, SCHEMA_PLAIN

__all__ = [
    "CHARACTERISTICS",
    "CLASS_TYPES",
    "COUNT_CLASSES",
    "COUNT_SIGNATURES",
    "DOMAINS",
    "PROPERTY_TYPES",
    "RANGES",
    "SELECT_AXIOMS",
    "SELECT_TEXTS",
    "TOLD_AXIOMS",
]

DOMAINS = (RDFS + "domain", SCHEMA + "domainIncludes", SCHEMA_PLAIN + "domainIncludes")
RANGES = (RDFS + "range", SCHEMA + "rangeIncludes", SCHEMA_PLAIN + "rangeIncludes")
CLASS_TYPES = {OWL + "Class", RDFS + "Class"}
PROPERTY_TYPES = {
    OWL + "ObjectProperty",
    OWL + "DatatypeProperty",
    RDF + "Property",
}
CHARACTERISTICS = {
    OWL + "FunctionalProperty": "functional",
    OWL + "InverseFunctionalProperty": "inverse_functional",
    OWL + "SymmetricProperty": "symmetric",
    OWL + "TransitiveProperty": "transitive",
    OWL + "AsymmetricProperty": "asymmetric",
    OWL + "IrreflexiveProperty": "irreflexive",
}


_ENDS = (*DOMAINS, *RANGES)
TOLD_AXIOMS = (
    RDFS + "subClassOf",
    RDFS + "subPropertyOf",
    *_ENDS,
    OWL + "equivalentClass",
    OWL + "equivalentProperty",
    OWL + "inverseOf",
    OWL + "disjointWith",
)
"""The axioms that are told of a class or property among its facts."""
_LISTS = tuple(
    OWL + name
    for name in (
        "unionOf",
        "intersectionOf",
        "oneOf",
        "disjointUnionOf",
        "members",
        "distinctMembers",
        "propertyChainAxiom",
        "hasKey",
    )
)
_OTHERS = tuple(
    OWL + name
    for name in (
        "complementOf",
        "onProperty",
        "onClass",
        "someValuesFrom",
        "allValuesFrom",
        "hasValue",
        "hasSelf",
        "maxCardinality",
        "maxQualifiedCardinality",
        "minCardinality",
        "cardinality",
        "qualifiedCardinality",
        "propertyDisjointWith",
        "differentFrom",
        "deprecated",
        "sourceIndividual",
        "assertionProperty",
        "targetIndividual",
        "targetValue",
    )
)
_GROUPS = tuple(
    OWL + name
    for name in (
        "AllDisjointClasses",
        "AllDisjointProperties",
        "AllDifferent",
        "DeprecatedClass",
        "DeprecatedProperty",
    )
)


def _among(iris: Iterable[str]) -> str:
    return " ".join(f"<{iri}>" for iri in iris)


_KINDS = sorted(CLASS_TYPES | PROPERTY_TYPES | set(CHARACTERISTICS))
SELECT_AXIOMS = f"""
SELECT DISTINCT ?s ?p ?o WHERE {{
  {{ VALUES ?p {{ {_among((*TOLD_AXIOMS, *_LISTS, *_OTHERS))} }} ?s ?p ?o }}
  UNION {{ VALUES ?o {{ {_among(_KINDS)} }} ?s a ?o . FILTER(isIRI(?s)) BIND(<{RDF}type> AS ?p) }}
  UNION {{ VALUES ?o {{ {_among(_GROUPS)} }} ?s a ?o . BIND(<{RDF}type> AS ?p) }}
  UNION {{
    VALUES ?of {{ {_among(_LISTS)} }} ?owner ?of ?list . ?list <{RDF}rest>* ?s .
    VALUES ?p {{ <{RDF}first> <{RDF}rest> }} ?s ?p ?o
  }}
}}"""
"""The axioms, all in one query, since a blank node has the same label within one result only."""
SELECT_TEXTS = (
    "SELECT DISTINCT ?s ?p ?o WHERE {{ VALUES ?p {{ {texts} }} VALUES ?s {{ {terms} }} "
    "?s ?p ?o . FILTER(isLiteral(?o)) }}"
)
COUNT_CLASSES = "SELECT ?c (COUNT(DISTINCT ?s) AS ?n) WHERE { ?s a ?c . FILTER(isIRI(?c)) } GROUP BY ?c"
_OF_EVERYTHING = f"<{OWL}NamedIndividual>, <{OWL}Thing>, <{RDFS}Resource>"
COUNT_SIGNATURES = (
    "SELECT ?p ?sc ?kind ?literal (COUNT(*) AS ?n) WHERE { ?s ?p ?o . "
    f"OPTIONAL {{ ?s a ?sc . FILTER(isIRI(?sc) && ?sc NOT IN ({_OF_EVERYTHING})) }} "
    f"OPTIONAL {{ ?o a ?oc . FILTER(isIRI(?oc) && ?oc NOT IN ({_OF_EVERYTHING})) }} "
    "BIND(isLiteral(?o) AS ?literal) BIND(IF(?literal, DATATYPE(?o), ?oc) AS ?kind) "
    f"FILTER(?p != <{RDF}type>) }} GROUP BY ?p ?sc ?kind ?literal"
)
