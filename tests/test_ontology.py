"""The ontology: what a vocabulary says of itself, and what the data shows where it says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from kgllm.engines.oxigraph import OxigraphStore
from kgllm.ontology import RDF_TYPE, RDFS_LABEL, RDFS_SUBCLASS, Ontology, Signature, is_vocabulary
from kgllm.ontology_reading import read_ontology
from kgllm.protocols import Rows
from kgllm.terms import BNode, Literal, URIRef

PREFIXES = """
@prefix ex: <http://example.org/> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix schema: <https://schema.org/> . @prefix sdo: <http://schema.org/> .
"""
XSD = "http://www.w3.org/2001/XMLSchema#"


def ex(name: str) -> URIRef:
    return URIRef("http://example.org/" + name)


Read = Callable[..., Ontology]


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Read]:
    stores: list[OxigraphStore] = []

    def read(*graphs: str, languages: tuple[str, ...] = ("en", "")) -> Ontology:
        for graph in graphs:
            file = tmp_path / f"{len(stores)}.ttl"
            file.write_text(PREFIXES + graph, encoding="utf-8")
            stores.append(OxigraphStore.load([file], source=file.name))
        return read_ontology(stores[-len(graphs) :], languages=languages)

    yield read
    for store in stores:
        store.close()


def test_properties_of_one_label_answer_to_their_local_names(read: Read) -> None:
    ontology = read("""
        ex:member rdfs:label "name" . ex:name rdfs:label "Name" . ex:writtenBy rdfs:label "author" .
        ex:P_31 rdfs:label "kind" . ex:P_32 rdfs:label "kind" . ex:band rdfs:label "name" .
        ex:group rdfs:label "band" . <http://a.example/hasTitle> rdfs:label "title" .
        <http://b.example/hasTitle> rdfs:label "title" . ex:a ex:band ex:b ; ex:group ex:c .
        ex:a <http://a.example/hasTitle> "t" ; <http://b.example/hasTitle> "t" .
        ex:a ex:member ex:b ; ex:name "a" ; ex:P_31 ex:c ; ex:P_32 ex:c ; ex:writtenBy ex:b .
    """)
    named = {iri.removeprefix("http://example.org/"): p.names for iri, p in ontology.properties.items()}
    assert named == {
        "member": ("name", "member"),
        "name": ("Name",),
        "P_31": ("kind",),
        "P_32": ("kind",),
        "writtenBy": ("author",),
        "band": ("name",),
        "group": ("band",),
        "http://a.example/hasTitle": ("title",),
        "http://b.example/hasTitle": ("title",),
    }


def test_a_term_with_labels_in_other_languages_alone_answers_to_its_local_name(read: Read) -> None:
    turtle = """
        ex:MeatyPizza a rdfs:Class ; rdfs:label "PizzaDeCarne"@pt . ex:Q12 a rdfs:Class ; rdfs:label "PizzaDePeixe"@pt .
        ex:FishyPizza a rdfs:Class ; rdfs:label "pizza of fish"@en , "PizzaDePeixe"@pt .
    """
    english = {iri.removeprefix("http://example.org/"): c.names for iri, c in read(turtle).classes.items()}
    assert english == {
        "MeatyPizza": ("PizzaDeCarne", "meaty pizza"),
        "Q12": ("PizzaDePeixe",),
        "FishyPizza": ("pizza of fish", "PizzaDePeixe"),
    }
    portuguese = {c.names for c in read(turtle, languages=("pt", "")).classes.values()}
    assert ("PizzaDeCarne",) in portuguese


def test_each_domain_is_an_axiom_and_a_union_is_one(read: Read) -> None:
    ontology = read("""
        ex:flies rdfs:domain ex:Pilot, ex:Bird ; rdfs:range [ a owl:Class ; owl:unionOf ( ex:Plane ex:Kite ) ] .
        ex:eats rdfs:domain ex:Bird ; rdfs:range [ owl:unionOf () ], [ a owl:Restriction ] .
    """)
    flies = ontology.properties[ex("flies")]
    assert set(flies.domains) == {(ex("Pilot"),), (ex("Bird"),)}
    assert [set(axiom) for axiom in flies.ranges] == [{ex("Plane"), ex("Kite")}]
    assert ontology.properties[ex("eats")].ranges == ()
    assert {ex("Pilot"), ex("Bird")} <= set(ontology.classes)


@pytest.mark.parametrize("prefix", ["schema", "sdo"])
def test_what_schema_org_includes_is_one_axiom_of_alternatives(read: Read, prefix: str) -> None:
    ontology = read(f"""
        ex:author {prefix}:domainIncludes ex:Book, ex:Film ; {prefix}:rangeIncludes ex:Person, {prefix}:Text .
    """)
    author = ontology.properties[ex("author")]
    assert [set(axiom) for axiom in author.domains] == [{ex("Book"), ex("Film")}]
    assert len(author.ranges) == 1
    assert ex("Person") in author.ranges[0]
    assert set(ontology.classes) == {ex("Book"), ex("Film"), ex("Person")}
    stated = {"schema": "https://schema.org/", "sdo": "http://schema.org/"}[prefix] + "domainIncludes"
    assert {str(p) for _, p, o in ontology.triples(ex("author")) if o == ex("Book")} == {stated}


def test_the_tree_of_classes_is_closed_upwards_and_downwards(read: Read) -> None:
    ontology = read("""
        ex:Dog rdfs:subClassOf ex:Mammal . ex:Mammal rdfs:subClassOf ex:Animal, owl:Thing, [ a owl:Restriction ] .
        ex:rex a ex:Dog . ex:cow a ex:Mammal .
    """)
    assert ontology.superclasses(ex("Dog")) == {ex("Dog"), ex("Mammal"), ex("Animal")}
    assert ontology.subclasses(ex("Animal")) == {ex("Dog"), ex("Mammal"), ex("Animal")}
    assert ontology.is_a(ex("Dog"), ex("Animal"))
    assert not ontology.is_a(ex("Animal"), ex("Dog"))
    assert ontology.populated(ex("Animal")) == [ex("Dog"), ex("Mammal")]
    assert ontology.populated(ex("Mammal"))[0] == ex("Mammal")
    assert ontology.superclasses(ex("Unknown")) == {ex("Unknown")}


def test_the_most_special_class_is_below_the_others_and_of_two_the_rarer(read: Read) -> None:
    ontology = read("""
        ex:Dog rdfs:subClassOf ex:Animal . ex:Car owl:equivalentClass ex:Auto .
        ex:rex a ex:Dog, ex:Star . ex:fido a ex:Dog .
    """)
    assert ontology.most_special([ex("Animal"), ex("Dog")]) == ex("Dog")
    assert ontology.most_special([ex("Animal"), ex("Dog"), ex("Star")]) == ex("Star")
    assert ontology.most_special([ex("Car"), ex("Auto")]) == ex("Auto")
    assert ontology.most_special([ex("Unknown")]) == ex("Unknown")


def test_a_circle_of_classes_ends(read: Read) -> None:
    ontology = read("ex:A rdfs:subClassOf ex:B . ex:B rdfs:subClassOf ex:C . ex:C rdfs:subClassOf ex:A, ex:C .")
    assert ontology.superclasses(ex("A")) == ontology.subclasses(ex("A")) == {ex("A"), ex("B"), ex("C")}


def test_equivalent_classes_are_each_others_parents(read: Read) -> None:
    ontology = read(
        "ex:Car owl:equivalentClass ex:Auto . ex:Car a owl:Class . ex:Auto a owl:Class . ex:Bus a owl:Class ."
    )
    assert ontology.is_a(ex("Car"), ex("Auto"))
    assert ontology.is_a(ex("Auto"), ex("Car"))
    assert not ontology.is_a(ex("Bus"), ex("Car"))


def test_classes_are_disjoint_by_pair_by_group_and_by_descent(read: Read) -> None:
    ontology = read("""
        ex:Cat owl:disjointWith ex:Dog . ex:Puppy rdfs:subClassOf ex:Dog .
        [] a owl:AllDisjointClasses ; owl:members ( ex:Plant ex:Animal ex:Stone ) . ex:Cat rdfs:subClassOf ex:Animal .
    """)
    assert ontology.are_disjoint(ex("Cat"), ex("Puppy"))
    assert ontology.are_disjoint(ex("Puppy"), ex("Cat"))
    assert ontology.are_disjoint(ex("Stone"), ex("Cat"))
    assert not ontology.are_disjoint(ex("Dog"), ex("Plant"))
    assert not ontology.are_disjoint(ex("Cat"), ex("Cat"))
    assert not ontology.are_disjoint(ex("Cat"), ex("Unknown"))


def test_the_kinds_of_properties_are_read(read: Read) -> None:
    ontology = read("""
        ex:p a owl:ObjectProperty, owl:FunctionalProperty, owl:InverseFunctionalProperty, owl:AsymmetricProperty .
        ex:q a owl:SymmetricProperty, owl:TransitiveProperty, owl:IrreflexiveProperty . ex:r a owl:ObjectProperty .
        ex:p owl:inverseOf ex:q ; rdfs:subPropertyOf ex:r . ex:r owl:equivalentProperty ex:s .
    """)
    p, q, r = (ontology.properties[ex(name)] for name in "pqr")
    assert p.characteristics == {"functional", "inverse_functional", "asymmetric"}
    assert q.characteristics == {"symmetric", "transitive", "irreflexive"}
    assert r.characteristics == frozenset()
    assert (p.inverses, q.inverses, r.inverses) == ((ex("q"),), (ex("p"),), ())
    assert ontology.superproperties(ex("p")) == {ex("p"), ex("r"), ex("s")}
    assert ontology.subproperties(ex("r")) >= {ex("p"), ex("r")}


def test_without_an_ontology_the_data_shows_its_schema(read: Read) -> None:
    ontology = read("""
        ex:alien a ex:Film ; ex:director ex:scott ; ex:year 1979 ; ex:seenBy ex:nobody ; rdfs:label "Alien"@en .
        ex:heat a ex:Film ; ex:director ex:mann . ex:scott a ex:Person . ex:mann a ex:Person, ex:Writer .
    """)
    assert set(ontology.classes) == {ex("Film"), ex("Person"), ex("Writer")}
    assert ontology.classes[ex("Film")].instances == 2
    assert ontology.classes[ex("Film")].label == "film"
    signatures = ontology.properties[ex("director")].signatures
    assert signatures[0] == Signature(ex("Film"), ex("Person"), False, 2)
    assert Signature(ex("Film"), ex("Writer"), False, 1) in signatures
    assert ontology.properties[ex("director")].count == 3
    assert ontology.properties[ex("year")].signatures == (Signature(ex("Film"), URIRef(XSD + "integer"), True, 1),)
    assert ontology.properties[ex("seenBy")].signatures == (Signature(ex("Film"), None, False, 1),)
    assert {p.iri for p in ontology.relations()} == {ex("director"), ex("year"), ex("seenBy")}


def test_data_without_types_has_no_classes_and_still_relations(read: Read) -> None:
    ontology = read("ex:a ex:hasPart ex:b .")
    assert ontology.classes == {}
    assert [p.label for p in ontology.relations()] == ["has part"]
    assert ontology.properties[ex("hasPart")].signatures == (Signature(None, None, False, 1),)


def test_names_come_in_the_preferred_language_then_from_the_iri(read: Read) -> None:
    graph = """
        ex:Car a owl:Class ; rdfs:label "Auto"@de, "car"@en ; skos:altLabel "automobile"@en .
        ex:Car rdfs:comment "It drives."@en .
        ex:BigBus a owl:Class . ex:Van a owl:Class ; rdfs:label " " ; skos:definition "Ein Lieferwagen."@de .
    """
    english, german = read(graph), read(graph, languages=("de",))
    assert english.classes[ex("Car")].label == "car"
    assert set(english.classes[ex("Car")].names) == {"car", "Auto", "automobile"}
    assert english.classes[ex("Car")].description == "It drives."
    assert german.classes[ex("Car")].label == "Auto"
    assert (english.classes[ex("BigBus")].label, english.classes[ex("Van")].label) == ("big bus", "van")
    assert english.classes[ex("Van")].description == "Ein Lieferwagen."
    assert english.label(ex("neverSeen")) == "never seen"


def test_the_ontology_may_be_a_file_of_its_own(read: Read) -> None:
    data, stated = "ex:rex a ex:Dog .", 'ex:Dog rdfs:subClassOf ex:Animal ; rdfs:label "dog"@en .'
    apart = read(data, stated)
    assert apart.is_a(ex("Dog"), ex("Animal"))
    assert apart.classes[ex("Dog")].instances == 1
    assert not read(data).is_a(ex("Dog"), ex("Animal"))
    assert read(stated, data).classes[ex("Dog")].instances == 0


def test_blank_nodes_of_two_files_are_not_confused(read: Read) -> None:
    one = "ex:p rdfs:range [ owl:unionOf ( ex:A ex:B ) ] ."
    other = "ex:q rdfs:range [ owl:unionOf ( ex:C ex:D ) ] ."
    ontology = read(one, other)
    assert {frozenset(axiom) for axiom in ontology.properties[ex("p")].ranges} == {frozenset({ex("A"), ex("B")})}
    assert {frozenset(axiom) for axiom in ontology.properties[ex("q")].ranges} == {frozenset({ex("C"), ex("D")})}


def test_a_union_is_whole_even_if_blank_nodes_have_other_labels_in_each_result(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    select, asked = OxigraphStore.select, count()

    def relabelled(store: OxigraphStore, sparql: str, **named: Any) -> Rows:
        found, number = select(store, sparql, **named), next(asked)
        rows = [tuple(BNode(f"{t}n{number}") if isinstance(t, BNode) else t for t in row) for row in found.rows]
        return Rows(found.vars, rows, found.complete)

    monkeypatch.setattr(OxigraphStore, "select", relabelled)
    ontology = read("ex:p rdfs:domain [ owl:unionOf ( ex:A ex:B ) ], [ owl:unionOf ( ex:C ex:D ) ] .")
    domains = {frozenset(axiom) for axiom in ontology.properties[ex("p")].domains}
    assert domains == {frozenset({ex("A"), ex("B")}), frozenset({ex("C"), ex("D")})}


def test_the_vocabulary_of_ontologies_is_nobodys_domain(read: Read) -> None:
    ontology = read("ex:Dog a owl:Class ; rdfs:subClassOf owl:Thing . ex:p rdfs:domain rdfs:Resource .")
    assert set(ontology.classes) == {ex("Dog")}
    assert ontology.classes[ex("Dog")].parents == ()
    for iri in (RDF_TYPE, RDFS_LABEL, RDFS_SUBCLASS, URIRef(XSD + "date"), URIRef("http://www.w3.org/ns/shacl#path")):
        assert is_vocabulary(iri)
        assert is_vocabulary(str(iri))
    for iri in (ex("Dog"), URIRef("http://www.w3.org/2004/02/skos/core#Concept")):
        assert not is_vocabulary(iri)
        assert not is_vocabulary(str(iri))


WHOLE = """
ex:Dog a owl:Class ; rdfs:subClassOf ex:Animal ; owl:disjointWith ex:Cat ; rdfs:label "dog ä \\" \\n"@en .
ex:Dog rdfs:comment "It barks." .
ex:owner a owl:ObjectProperty, owl:FunctionalProperty ; rdfs:domain ex:Dog, [ owl:unionOf ( ex:Cat ex:Animal ) ] ;
    rdfs:range ex:Person ; owl:inverseOf ex:owns ; rdfs:subPropertyOf ex:knows .
ex:rex a ex:Dog ; ex:owner ex:ann ; ex:age 3 ; ex:likes ex:thing .
"""


def test_to_json_and_back_is_the_identity(read: Read) -> None:
    for graph in (WHOLE, "ex:a ex:p ex:b ."):
        ontology = read(graph)
        again = Ontology.from_json(ontology.to_json())
        assert (again.classes, again.properties) == (ontology.classes, ontology.properties)
        assert again.to_json() == ontology.to_json()
        assert all(again.triples(iri) == ontology.triples(iri) for iri in ontology.classes | ontology.properties)
    assert all(type(iri) is URIRef for iri in again.classes | again.properties)
    assert read(WHOLE).to_json() != read(WHOLE.replace("ex:Cat", "ex:Bird")).to_json()


def test_a_term_is_told_in_triples(read: Read) -> None:
    ontology = read(WHOLE)
    assert (ex("Dog"), RDFS_SUBCLASS, ex("Animal")) in ontology.triples(ex("Dog"))
    assert any(o == Literal("It barks.") for _, _, o in ontology.triples(ex("Dog")))
    assert ontology.triples(ex("Unknown")) == []
