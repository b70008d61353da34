"""The vocabularies of ontologies and descriptions: their namespaces, and what names and describes a node."""

from __future__ import annotations

from kgllm.terms import URIRef

__all__ = [
    "ALIAS_PROPERTIES",
    "DESCRIPTION_PROPERTIES",
    "NAME_PROPERTIES",
    "OWL",
    "RDF",
    "RDFS",
    "RDFS_COMMENT",
    "RDFS_LABEL",
    "RDFS_SUBCLASS",
    "RDF_TYPE",
    "SCHEMA",
    "SCHEMA_PLAIN",
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
