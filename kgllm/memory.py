"""The working memory graph: the small subgraph that was held in mind while a question was answered.

Its vocabulary is ``ontologies/wmg.ttl``, its shapes ``ontologies/wmg-shapes.ttl``; the record of the run is PROV-O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from typing import Literal as OneOfStrings
from uuid import UUID, uuid5

import pyoxigraph as ox

from kgllm.protocols import Hit
from kgllm.terms import BNode, Literal, Node, Triple, URIRef, local_name, n3, to_ox

if TYPE_CHECKING:
    import networkx
    from rdflib import Dataset, Graph

    from kgllm.assistant import Assistant
    from kgllm.entailment import Derivation
    from kgllm.view import GraphView

__all__ = ["Fact", "Role", "WorkingMemoryGraph"]

Role: TypeAlias = OneOfStrings["topic", "answer", "bridge", "concept"]
"""A topic is a node the question names, an answer one it asks for, a concept a class or property that a word was tied
to, and a bridge any other node on the way."""

WMG = "https://w3id.org/kgllm/wmg#"
_PROV = "http://www.w3.org/ns/prov#"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XSD = "http://www.w3.org/2001/XMLSchema#"
_PREFIXES = {"wmg": WMG, "prov": _PROV, "rdf": _RDF, "xsd": _XSD}
_TYPE = URIRef(_RDF + "type")
_NAMESPACE_OF_RUNS = UUID("6f1f2c54-6b1a-5a0e-9d5c-6f0d8f6f4b11")


@dataclass(frozen=True, slots=True)
class Fact:
    """A triple in memory and why it may be there: it is in the graph, or a rule makes it of premises that are."""

    triple: Triple
    rule: str | None = None
    premises: tuple[Triple, ...] = ()

    @property
    def status(self) -> OneOfStrings["asserted", "entailed"]:
        """Asserted if no rule was needed."""
        return "asserted" if self.rule is None else "entailed"


class WorkingMemoryGraph:
    """Facts by triple, the roles of their nodes, and the links between the question's words and the graph.

    A triple enters through ``assert_triple`` (it was read from the graph) or ``entail`` (a named rule makes it of
    premises that are already here); ``take_in`` does either for each step of a proof, and there is no other way.
    """

    def __init__(
        self,
        question: str,
        *,
        query: str = "",
        links: Iterable[Hit] = (),
        prefixes: Mapping[str, str] | None = None,
    ) -> None:
        self.question = question
        self.query = query
        self.links: tuple[Hit, ...] = tuple(links)
        self.prefixes = dict(prefixes or {})
        self.roles: dict[Node, Role] = {}
        self.labels: dict[Node, str] = {}
        self.classes: dict[Node, URIRef] = {}  # of each node the one class by which it is coloured
        self.checked_against: tuple[str, ...] = ()
        self.kg: Assistant | None = None  # what it can be explored with
        self._facts: dict[Triple, Fact] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kg": None}  # whose processes and files no copy can have

    def __len__(self) -> int:
        return len(self._facts)

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._facts.values())

    def __contains__(self, triple: object) -> bool:
        return triple in self._facts

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WorkingMemoryGraph):
            return NotImplemented
        return self._compared() == other._compared()

    def _compared(self) -> tuple[object, ...]:
        """What makes a memory; the order of its facts, links and premises says nothing."""
        facts = {(fact.triple, fact.rule, frozenset(fact.premises)) for fact in self}
        return self.question, self.query, set(self.links), self.roles, facts

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<WorkingMemoryGraph {len(self)} triples, {len(self.nodes())} nodes: {self.question[:60]!r}>"

    def _repr_html_(self) -> str:
        from kgllm.pages import memory_html, unique

        return memory_html(self, key=unique(self.question, *self._facts))

    def explore(self, *, height: int = 560) -> GraphView:
        """The memory as a view to walk on from, in a notebook; ``height`` in pixels.

        Raises ``BackendError`` without the extra ``notebook``.
        """
        from kgllm.view import view_of

        return view_of(self.kg, self, height=height)

    def assert_triple(self, triple: Triple) -> None:
        """Take in a triple that was read from the graph or its ontology. An entailed one becomes asserted."""
        self._facts[triple] = Fact(triple)

    def entail(self, triple: Triple, *, rule: str, premises: tuple[Triple, ...]) -> None:
        """Take in what a rule makes of premises in memory; raises ``ValueError`` if a premise is not."""
        if missing := [premise for premise in premises if premise not in self._facts]:
            raise ValueError(f"premises that are not in memory: {missing}")
        if not premises:
            raise ValueError("an entailed triple needs premises")
        self._facts.setdefault(triple, Fact(triple, rule, premises))

    def take_in(self, proof: Iterable[tuple[Triple, Derivation | None]]) -> None:
        """Take in the steps to an entailed triple, premises first, with the axioms that each of them takes."""
        for triple, derivation in proof:
            if derivation is None:
                self.assert_triple(triple)
                continue
            for axiom in derivation.axioms:
                self.assert_triple(axiom)
            self.entail(triple, rule=derivation.rule, premises=(*derivation.premises, *derivation.axioms))

    def fact(self, triple: Triple) -> Fact | None:
        """The fact of a triple, ``None`` if it is not in memory."""
        return self._facts.get(triple)

    def triples(self) -> list[Triple]:
        """Every triple, in the order in which they were taken in."""
        return list(self._facts)

    def nodes(self) -> list[Node]:
        """Subjects and objects that are IRIs or blank nodes, in order of appearance."""
        ends = (end for s, _, o in self._facts for end in (s, o))
        return list(dict.fromkeys(end for end in ends if not isinstance(end, Literal)))

    def set_roles(self, roles: Mapping[Node, Role]) -> None:
        """Name the topics and answers; every other node becomes a bridge, every linked class or property a concept."""
        self.roles = {node: roles.get(node, "bridge") for node in self.nodes()}
        for link in self.links:
            if link.kind != "node":
                self.roles.setdefault(link.iri, "concept")

    def to_networkx(self) -> networkx.MultiDiGraph:
        """Nodes are terms, edges are triples, each under its property as the key.

        A node has ``label``, ``role``, ``kind`` (``node`` or ``literal``) and ``classes``, the labels of those that the
        memory knows it to be in; an edge has ``label``, ``status`` and ``rule``. All are texts, empty where unknown.
        """
        import networkx

        classes: dict[Node, list[str]] = {node: [self._label(cls)] for node, cls in self.classes.items()}
        for s, p, o in self._facts:
            if p == _TYPE:
                classes.setdefault(s, []).append(self._label(o))
        graph = networkx.MultiDiGraph(question=self.question)
        for fact in self:
            s, p, o = fact.triple
            for end in (s, o):
                kind = "literal" if isinstance(end, Literal) else "node"
                role = self.roles.get(end, "literal" if kind == "literal" else "bridge")
                known = ", ".join(dict.fromkeys(classes.get(end, ())))
                graph.add_node(end, label=self._label(end), role=role, kind=kind, classes=known)
            graph.add_edge(s, o, key=p, label=self._label(p), status=fact.status, rule=fact.rule or "")
        return graph

    def save(self, path: str | Path) -> Path:
        """Write the memory to a file and give its path; the ending names the format.

        ``.graphml`` and ``.gexf`` are for programs that draw graphs, ``.trig`` and ``.jsonld`` hold all, ``.ttl`` the
        triples alone. The file is written whole or not at all. Raises ``InputError``.
        """
        from kgllm.export import save

        return save(self, path)

    def to_rdflib(self) -> Graph:
        """The triples alone, as a graph to work on."""
        from rdflib import Graph

        graph = Graph()
        for prefix, namespace in self.prefixes.items():
            graph.bind(prefix, namespace, override=True, replace=True)
        for triple in self._facts:
            graph.add(triple)
        return graph

    def to_dataset(self) -> Dataset:
        """The whole memory: its triples as a named graph; in the default graph what is known of them, with PROV-O."""
        from rdflib import Dataset

        dataset = Dataset()
        about = dataset.default_graph
        memory = URIRef(f"urn:uuid:{uuid5(_NAMESPACE_OF_RUNS, self.question + chr(0) + self.query)}")
        named = dataset.graph(memory)
        own = self._unused_prefix()
        question, activity = BNode(own + "question"), BNode(own + "answering")

        def say(subject: Node, predicate: str, value: Node) -> None:
            about.add((subject, URIRef(predicate), value))

        say(memory, _RDF + "type", URIRef(WMG + "WorkingMemoryGraph"))
        say(memory, WMG + "question", question)
        say(memory, _PROV + "wasGeneratedBy", activity)
        say(question, _RDF + "type", URIRef(WMG + "Question"))
        say(question, WMG + "text", Literal(self.question))
        say(activity, _RDF + "type", URIRef(WMG + "Answering"))
        say(activity, _PROV + "used", question)
        if self.query:
            say(memory, WMG + "query", Literal(self.query))
        names = {triple: BNode(f"{own}f{number}") for number, triple in enumerate(self._facts)}
        for fact in self:
            name = names[fact.triple]
            named.add(fact.triple)
            say(memory, WMG + "fact", name)
            kind = "AssertedFact" if fact.rule is None else "EntailedFact"
            say(name, _RDF + "type", URIRef(WMG + kind))
            for position, part in zip(("subject", "predicate", "object"), fact.triple, strict=True):
                say(name, _RDF + position, part)
            if fact.rule is not None:
                say(name, WMG + "rule", Literal(fact.rule))
            for premise in fact.premises:
                say(name, WMG + "premise", names[premise])
        for number, link in enumerate(self.links):
            name = BNode(f"{own}l{number}")
            say(memory, WMG + "link", name)
            say(name, _RDF + "type", URIRef(WMG + "Link"))
            say(name, WMG + "span", Literal(link.span))
            say(name, WMG + "target", link.iri)
            say(name, WMG + "targetKind", Literal(link.kind))
            say(name, WMG + "text", Literal(link.text))
            score = f"{Decimal(repr(float(link.score))):f}"
            say(name, WMG + "score", Literal(score, datatype=URIRef(_XSD + "decimal")))
        for node, role in self.roles.items():
            say(memory, WMG + {"answer": "answerNode"}.get(role, role), node)
        return dataset

    def _label(self, term: Node) -> str:
        """What a person calls a term: its label, a literal's text, or the end of the IRI."""
        return self.labels.get(term) or (str(term) if isinstance(term, Literal) else local_name(str(term)))

    def _unused_prefix(self) -> str:
        """A beginning for the names of blank nodes that none of the graph's own has."""
        taken = [end for end in {*self.nodes(), *self.roles} if isinstance(end, BNode)]
        prefix = "wmg"
        while any(node.startswith(prefix) for node in taken):
            prefix += "0"
        return prefix

    def serialize(self, format: str = "trig") -> str:
        """The memory as text: all as ``trig``, ``nquads`` or ``json-ld``, its triples as ``turtle``, ``nt`` or ``xml``.

        Raises ``ValueError`` for a term that RDF cannot write.
        """
        formats = {"trig": ox.RdfFormat.TRIG, "nquads": ox.RdfFormat.N_QUADS, "json-ld": ox.RdfFormat.JSON_LD}
        if format not in formats:
            return self.to_rdflib().serialize(format=format)
        text = ox.serialize(_quads(self.to_dataset()), format=formats[format], prefixes=self.prefixes | _PREFIXES)
        return (text or b"").decode()

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> WorkingMemoryGraph:
        """The memory that ``to_dataset`` wrote.

        Raises ``ValueError`` if the dataset holds none or several, or a fact whose premises are not facts of it.
        """
        about = dataset.default_graph

        def one(subject: Node, predicate: str) -> Node | None:
            return next(about.objects(subject, URIRef(predicate)), None)

        memories = list(about.subjects(_TYPE, URIRef(WMG + "WorkingMemoryGraph")))
        if len(memories) != 1:
            raise ValueError(f"{len(memories)} working memory graphs where one is needed")
        root = memories[0]
        question = one(root, WMG + "question")
        links = []
        for name in about.objects(root, URIRef(WMG + "link")):
            kind, text = str(one(name, WMG + "targetKind")), str(one(name, WMG + "text"))
            score = float(str(one(name, WMG + "score")))
            target = URIRef(str(one(name, WMG + "target")))
            links.append(Hit(target, score, kind, str(one(name, WMG + "span")), text))  # type: ignore[arg-type]
        written = one(root, WMG + "query")
        memory = cls(
            str(one(question, WMG + "text")) if question is not None else "",
            query=str(written) if written is not None else "",
            links=links,
        )
        facts: dict[Node, Fact] = {}
        for name in about.objects(root, URIRef(WMG + "fact")):
            triple = tuple(one(name, _RDF + position) for position in ("subject", "predicate", "object"))
            rule = one(name, WMG + "rule")
            facts[name] = Fact(triple, str(rule) if rule is not None else None)  # type: ignore[arg-type]
        for name, fact in facts.items():
            named = list(about.objects(name, URIRef(WMG + "premise")))
            if any(premise not in facts for premise in named) or bool(named) != (fact.rule is not None):
                raise ValueError(f"a fact that neither was asserted nor follows from others: {fact.triple}")
            premises = sorted((facts[premise].triple for premise in named), key=_order)
            memory._facts[fact.triple] = Fact(fact.triple, fact.rule, tuple(premises))
        for predicate, role in (("topic", "topic"), ("answerNode", "answer"), ("bridge", "bridge")):
            for node in about.objects(root, URIRef(WMG + predicate)):
                memory.roles[node] = role  # type: ignore[assignment]
        for node in about.objects(root, URIRef(WMG + "concept")):
            memory.roles[node] = "concept"
        return memory


def _quads(dataset: Dataset) -> Iterator[ox.Quad]:
    """Its quads in a fixed order, the default graph first: rdflib's own writers of datasets are deprecated."""
    about = dataset.default_graph
    for graph in sorted(dataset.graphs(), key=lambda graph: graph is not about):
        name: Any = ox.DefaultGraph() if graph is about else to_ox(graph.identifier)
        for triple in sorted(graph, key=_order):
            subject, predicate, value = (to_ox(part) for part in triple)
            yield ox.Quad(subject, predicate, value, name)  # type: ignore[arg-type]


def _order(triple: Iterable[Node]) -> tuple[str, ...]:
    return tuple(n3(part) for part in triple)
