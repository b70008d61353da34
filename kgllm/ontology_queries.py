"""The queries that read an ontology, and the axioms and kinds of terms that they look for."""

from __future__ import annotations

from kgllm.vocabularies import OWL, RDF, RDFS, SCHEMA, SCHEMA_PLAIN

__all__ = [
    "AXIOMS",
    "CHARACTERISTICS",
    "CLASS_TYPES",
    "COUNT_CLASSES",
    "COUNT_SIGNATURES",
    "DOMAINS",
    "RANGES",
    "SELECT_AXIOMS",
    "SELECT_DISJOINT",
    "SELECT_TERMS",
    "SELECT_TEXTS",
    "SELECT_UNIONS",
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


AXIOMS = (
    RDFS + "subClassOf",
    RDFS + "subPropertyOf",
    *DOMAINS,
    *RANGES,
    OWL + "equivalentClass",
    OWL + "equivalentProperty",
    OWL + "inverseOf",
    OWL + "disjointWith",
)
SELECT_AXIOMS = "SELECT DISTINCT ?s ?p ?o WHERE {{ VALUES ?p {{ {axioms} }} ?s ?p ?o . FILTER(isIRI(?s)) }}".format(
    axioms=" ".join(f"<{iri}>" for iri in AXIOMS)
)
SELECT_TERMS = "SELECT DISTINCT ?s ?o WHERE {{ VALUES ?o {{ {kinds} }} ?s a ?o . FILTER(isIRI(?s)) }}".format(
    kinds=" ".join(f"<{iri}>" for iri in sorted(CLASS_TYPES | PROPERTY_TYPES | set(CHARACTERISTICS)))
)
SELECT_UNIONS = (  # one query, since a blank node has the same label within one result only
    "SELECT DISTINCT ?s ?p ?u ?m WHERE {{ VALUES ?p {{ {ends} }} ?s ?p ?u . "
    "?u <{owl}unionOf>/<{rdf}rest>*/<{rdf}first> ?m . FILTER(isIRI(?s) && isIRI(?m)) }}"
).format(ends=" ".join(f"<{iri}>" for iri in (*DOMAINS, *RANGES)), owl=OWL, rdf=RDF)
SELECT_DISJOINT = (
    f"SELECT ?d ?m WHERE {{ ?d a <{OWL}AllDisjointClasses> . "
    f"?d <{OWL}members>/<{RDF}rest>*/<{RDF}first> ?m . FILTER(isIRI(?m)) }}"
)
SELECT_TEXTS = (
    "SELECT DISTINCT ?s ?p ?o WHERE {{ VALUES ?p {{ {texts} }} VALUES ?s {{ {terms} }} "
    "?s ?p ?o . FILTER(isLiteral(?o)) }}"
)
COUNT_CLASSES = "SELECT ?c (COUNT(DISTINCT ?s) AS ?n) WHERE { ?s a ?c . FILTER(isIRI(?c)) } GROUP BY ?c"
COUNT_SIGNATURES = (
    "SELECT ?p ?sc ?kind ?literal (COUNT(*) AS ?n) WHERE { ?s ?p ?o . "
    "OPTIONAL { ?s a ?sc . FILTER(isIRI(?sc)) } OPTIONAL { ?o a ?oc . FILTER(isIRI(?oc)) } "
    "BIND(isLiteral(?o) AS ?literal) BIND(IF(?literal, DATATYPE(?o), ?oc) AS ?kind) "
    f"FILTER(?p != <{RDF}type>) }} GROUP BY ?p ?sc ?kind ?literal"
)
