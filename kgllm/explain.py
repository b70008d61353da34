"""Explain: why a triple holds, back to what the graph asserts: the rules, the premises and the axioms on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kgllm.entailment import Derivation
from kgllm.errors import InputError
from kgllm.lookup import labels_of, named, shown
from kgllm.prove import prove
from kgllm.terms import BNode, Namespaces, Node, Term, Triple, URIRef, n3, parse_term, triple_n3
from kgllm.vocabularies import RDF_TYPE
from kgllm.workspace import Workspace

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a triple holds, and the steps to it: premises before what is made of them, none if it does not.

    ``is_whole`` is false where not all was looked at that could make it hold.
    """

    triple: Triple
    steps: tuple[tuple[Triple, Derivation | None], ...]
    is_whole: bool = True
    axioms: Mapping[Triple, str] = field(default_factory=dict)
    labels: Mapping[Node, str] = field(default_factory=dict)
    namespaces: Namespaces = field(default_factory=Namespaces)

    @property
    def status(self) -> str:
        """asserted, entailed, or unsupported."""
        if not self.steps:
            return "unsupported"
        return "asserted" if self.steps[-1][1] is None else "entailed"

    def to_json(self) -> dict[str, Any]:
        """As ``kgllm show --why --json`` prints it; terms are written as in N-Triples."""
        return {
            "triple": triple_n3(self.triple),
            "status": self.status,
            "complete": self.is_whole,
            "steps": [
                {
                    "triple": triple_n3(triple),
                    "rule": found.rule if found else None,
                    "premises": [triple_n3(premise) for premise in found.premises] if found else [],
                    "axioms": [triple_n3(axiom) for axiom in found.axioms] if found else [],
                }
                for triple, found in self.steps
            ],
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if not self.steps:
            yield f"The graph does not say, nor does it follow: {self._said(self.triple)}"
            if not self.is_whole:
                yield "Not all was looked at that it could follow from."
            return
        yield from self._tree(self.triple, dict(self.steps), 0, set())

    def _tree(
        self, triple: Triple, steps: Mapping[Triple, Derivation | None], depth: int, told: set[Triple]
    ) -> Iterator[str]:
        """A triple, and under it what it follows from; what was told before is not told again."""
        found = steps[triple]
        mark = "asserted" if found is None else f"by {found.rule}" + (", see above" if triple in told else ", from")
        yield f"{'  ' * depth}{self._said(triple)}   ({mark})"
        if found is None or triple in told:
            return
        told.add(triple)
        for premise in found.premises:
            yield from self._tree(premise, steps, depth + 1, told)
        for axiom in found.axioms:
            yield f"{'  ' * (depth + 1)}{self.axioms[axiom]}   (ontology)"

    def _said(self, triple: Triple) -> str:
        return "  ".join(shown(part, self.namespaces, self.labels) for part in triple)


def explain(workspace: Workspace, subject: str, predicate: str, object_: str) -> Explanation:
    """Why the graph says that a subject has an object by a predicate; each an IRI, a CURIE or a label.

    The object may be a literal, as N-Triples writes it or as its text alone; the predicate may be ``a``. Raises
    ``InputError`` for a name that the graph does not have.
    """
    s, p = _node(workspace, subject), _property(workspace, predicate)
    candidates = _objects(workspace, object_, s, p)
    found = [_explained(workspace, (s, p, o)) for o in candidates]
    return next((explanation for explanation in found if explanation.steps), found[0])


def _node(workspace: Workspace, text: str) -> URIRef:
    found = named(workspace, text)
    if not found:
        raise InputError(f"the graph has no node {text}", try_next=f'look for it: kgllm search "{text}"')
    return found[0]


def _property(workspace: Workspace, text: str) -> URIRef:
    if text == "a":
        return RDF_TYPE
    properties = workspace.ontology.properties
    found = [iri for iri in named(workspace, text) if iri in properties or iri == workspace.namespaces.expand(text)]
    if not found:
        raise InputError(f"the graph has no property {text}", try_next="kgllm info lists those it has")
    return found[0]


def _objects(workspace: Workspace, text: str, s: URIRef, p: URIRef) -> list[Term]:
    """What an object may be meant to be: a term, the nodes of that name, the subject's own value of that text."""
    try:
        return [parse_term(text)]
    except ValueError:
        pass
    nodes: list[Term] = [*named(workspace, text)]
    rows = workspace.store.select(f"SELECT ?o WHERE {{ {n3(s)} {n3(p)} ?o FILTER(isLiteral(?o)) }}").rows
    nodes += [o for (o,) in rows if o is not None and str(o) == text]
    if not nodes:
        raise InputError(f"the graph has no node {text}", try_next=f'look for it: kgllm search "{text}"')
    return nodes


def _explained(workspace: Workspace, triple: Triple) -> Explanation:
    found = prove(triple, workspace.store, workspace.ontology, timeout_s=workspace.timeout_s)
    return _told(workspace, triple, found.steps, is_whole=found.is_whole)


def _told(
    workspace: Workspace, triple: Triple, steps: Sequence[tuple[Triple, Derivation | None]], *, is_whole: bool
) -> Explanation:
    """The explanation with the labels of its terms, and its axioms about classes without a name in words."""
    used = {axiom for _, found in steps if found for axiom in found.axioms}
    terms = [term for t in [triple, *(t for t, _ in steps), *used] for term in t]
    ontology, namespaces = workspace.ontology, workspace.namespaces
    labels = labels_of(workspace, terms)

    def said(part: Term) -> str:
        is_nameless = isinstance(part, BNode)
        return ontology.axioms.said(part, ontology.label) if is_nameless else shown(part, namespaces, labels)

    axioms = {axiom: "  ".join(map(said, axiom)) for axiom in used}
    return Explanation(triple, tuple(steps), is_whole, axioms, labels, namespaces)
