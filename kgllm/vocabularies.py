"""The vocabularies of ontologies and descriptions: their namespaces, and what names and describes a node."""

from __future__ import annotations

from kgllm.terms import Literal, URIRef

__all__ = [
    "ALIAS_PROPERTIES",
    "DESCRIPTION_PROPERTIES",
    "FALSE",
    "LEAST_OF_INTEGERS",
    "NAME_PROPERTIES",
    "NUMERIC",
    "OWL",
    "RDF",
    "RDFS",
    "RDFS_COMMENT",
    "RDFS_LABEL",
    "RDFS_SUBCLASS",
    "RDF_TYPE",
    "SCHEMA",
    "SCHEMA_PLAIN",
    "TRUE",
    "XSD",
    "is_vocabulary",
]

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
OWL = "http://www.w3.org/2002/07/owl#"
SKOS = "http://www.w3.org/2004/02/skos/core#"
SCHEMA = "https://schema.org/"
SCHEMA_PLAIN = "http://schema.org/"  # as most graphs write it
DCTERMS = "http://purl.org/dc/terms/"
XSD = "http://www.w3.org/2001/XMLSchema#"

LEAST_OF_INTEGERS: dict[str, int | None] = {
    XSD + "integer": None,
    XSD + "long": -(2**63),
    XSD + "int": -(2**31),
    XSD + "short": -(2**15),
    XSD + "byte": -(2**7),
    XSD + "nonNegativeInteger": 0,
    XSD + "positiveInteger": 1,
    XSD + "nonPositiveInteger": None,
    XSD + "negativeInteger": None,
    XSD + "unsignedLong": 0,
    XSD + "unsignedInt": 0,
    XSD + "unsignedShort": 0,
    XSD + "unsignedByte": 0,
}
"""The datatypes derived from xsd:integer, and the least value of each where there is one (XML Schema 1.1, part 2)."""
NUMERIC = frozenset(LEAST_OF_INTEGERS) | {XSD + "decimal", XSD + "double", XSD + "float"}

TRUE, FALSE = (Literal(written, datatype=URIRef(XSD + "boolean")) for written in ("true", "false"))

RDF_TYPE = URIRef(RDF + "type")
RDFS_LABEL = URIRef(RDFS + "label")
RDFS_COMMENT = URIRef(RDFS + "comment")
RDFS_SUBCLASS = URIRef(RDFS + "subClassOf")

NAME_PROPERTIES = tuple(
    URIRef(iri)
    for iri in (
        SKOS + "prefLabel",
        RDFS + "label",
        SCHEMA + "name",
        SCHEMA_PLAIN + "name",
        "http://xmlns.com/foaf/0.1/name",
        DCTERMS + "title",
        "http://purl.org/dc/elements/1.1/title",
    )
)
ALIAS_PROPERTIES = tuple(
    URIRef(iri)
    for iri in (SKOS + "altLabel", SKOS + "hiddenLabel", SCHEMA + "alternateName", SCHEMA_PLAIN + "alternateName")
)
DESCRIPTION_PROPERTIES = tuple(
    URIRef(iri)
    for iri in (
        SKOS + "definition",
        DCTERMS + "description",
        "http://purl.org/dc/elements/1.1/description",
        SCHEMA + "description",
        SCHEMA_PLAIN + "description",
        RDFS + "comment",
    )
)


def is_vocabulary(iri: str) -> bool:
    """Whether an IRI belongs to the languages in which ontologies are written, rather than to anybody's domain."""
    # as a plain string: rdflib's own startswith knows no tuples, and is never true for one
    return str(iri).startswith((RDF, RDFS, OWL, XSD, "http://www.w3.org/ns/shacl#"))
