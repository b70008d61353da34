"""Consistency: what a closed set of triples holds that the ontology does not allow.

The contradictions are those of OWL 2 Profiles, section 4.3 (eq-diff, prp-irp, prp-asyp, prp-pdw, prp-adp, prp-npa,
cls-nothing2, cls-com, cls-maxc1, cls-maxqc, cax-dw, cax-adc, dt-not-type), and beyond it unions that are disjoint part
by part, and counts of literals. What may yet be so (two nodes that could be one) is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import cast

from kgllm.axioms import THING
from kgllm.datatypes import comparable, has_value_of, ill_typed
from kgllm.entailment import SAME_AS, Closure
from kgllm.ontology import Ontology
from kgllm.owl_rules import Restriction
from kgllm.terms import Literal, Node, Resource, Term, Triple, URIRef
from kgllm.violation import Severity, Violation
from kgllm.vocabularies import OWL, RDF_TYPE, XSD
from kgllm.words import with_article

__all__ = ["contradictions"]

_STEPS_UP = {"cax-sco", "cax-eqc1", "cax-eqc2", "cls-int2", "cls-uni"}
"""Rules that only lead to a class above: what the class contradicts, the one below it contradicts too."""
_NARROWER = {"prp-spo1", "prp-eqp1", "prp-eqp2"}
_AT_MOST = ("maxCardinality", "maxQualifiedCardinality", "cardinality", "qualifiedCardinality")
_DIFFERENT_FROM = OWL + "differentFrom"


def contradictions(closure: Closure, ontology: Ontology, *, focus: set[Node] | None = None) -> list[Violation]:
    """The findings, each once; with ``focus`` those at some nodes only, all triples being premises."""
    found: dict[tuple[object, ...], Violation] = {}
    for violation in _Consistency(closure, ontology).findings():
        if focus is None or violation.focus in focus:
            found.setdefault((violation.focus, violation.path, violation.value, violation.constraint), violation)
    return list(found.values())


class _Consistency:
    """One look at a closure."""

    def __init__(self, closure: Closure, ontology: Ontology) -> None:
        self.closure = closure
        self.ontology = ontology
        self.rules = ontology.rules
        self._different = self._pairs_apart()

    def findings(self) -> Iterator[Violation]:
        for node in list(self.closure.of):
            yield from self._of_classes(node)
            for p, objects in self.closure.of[node].items():
                if p != RDF_TYPE:
                    yield from self._of_property(node, p, list(objects))
        for node in list(self.closure.into):
            for p in self.closure.into[node].keys() & self.rules.of_kind("InverseFunctionalProperty").keys():
                yield from self._of_inverse_functional(node, p)
        yield from self._of_negative_assertions()
        yield from self._of_disjoint_properties()

    # Classes

    def _of_classes(self, node: Node) -> Iterator[Violation]:
        """cax-dw, cax-adc, cls-com, cls-nothing2; also what prp-dom, prp-rng and the like make of them."""
        types = self._narrowest(node)
        for cls in types:
            if self.ontology.are_disjoint(cls, cls):
                yield self._finding(node, RDF_TYPE, cls, "nothing", f"nothing can be {self._a(cls)}")
            yield from self._of_deprecated(node, RDF_TYPE, cls, cls)
        for cls in self._classes(node):
            for restriction in self.rules.by_class.get(cls, ()):
                yield from self._of_at_most(node, restriction)
        for one, other in combinations(types, 2):
            if self.ontology.are_disjoint(one, other):
                yield self._clash(node, one, other)

    def _classes(self, node: Node) -> list[Resource]:
        return [cls for cls in self.closure.types(node) if not isinstance(cls, Literal)]

    def _narrowest(self, node: Node) -> list[Resource]:
        """The classes of a node that do not merely stand above another of its classes."""
        classes = sorted(cls for cls in self._classes(node) if not self._is_step_up(node, cls))
        above = {cls: self.rules.axioms.superclasses(cls) for cls in classes}
        return [c for c in classes if not any(c in above[d] and d not in above[c] for d in classes)]

    def _is_step_up(self, node: Node, cls: Term) -> bool:
        found = self.closure.derivation((cast(Resource, node), RDF_TYPE, cls))
        return found is not None and found.rule in _STEPS_UP

    def _clash(self, node: Node, one: Resource, other: Resource) -> Violation:
        """Two classes that nothing is both of, told of the triple whose domain or range brought one of them in."""
        for cls, against in ((one, other), (other, one)):
            found = self.closure.derivation((cast(Resource, node), RDF_TYPE, cls))
            if found is not None and found.rule == "prp-dom":
                _, p, _ = self._stated(found.premises[0])
                message = f"what has {self._a(p)} is {self._a(cls)}, not {self._a(against)}"
                return self._finding(node, p, None, "domain", message)
            if found is not None and found.rule == "prp-rng":
                s, p, o = self._stated(found.premises[0])
                message = f"{self._a(p)} is {self._a(cls)}, not {self._a(against)}"
                return self._finding(s, p, o, "range", message)
        reasons = [self._reason(node, cls) for cls in (one, other)]
        because = "; ".join(filter(None, reasons))
        message = f"nothing is both {self._a(one)} and {self._a(other)}" + (f": {because}" if because else "")
        return self._finding(node, RDF_TYPE, other, "disjoint", message)

    def _stated(self, triple: Triple) -> Triple:
        """The triple with the narrower property that one was made of."""
        while (found := self.closure.derivation(triple)) is not None and found.rule in _NARROWER:
            (triple,) = found.premises
        return triple

    def _reason(self, node: Node, cls: Resource) -> str:
        """Why a node has a class that was not stated of it."""
        found = self.closure.derivation((cast(Resource, node), RDF_TYPE, cls))
        if found is None:
            return ""
        if found.rule == "eq-rep-s":
            return f"it is {self._a(cls)}, being the same as {self._said(found.premises[0][0])}"
        return f"it is {self._a(cls)} by {found.rule}"

    def _of_at_most(self, node: Node, restriction: Restriction) -> Iterator[Violation]:
        """cls-maxc1, cls-maxc2, cls-maxqc1 to 4, for any number."""
        most, p = str(restriction.filler), restriction.property
        if restriction.kind not in _AT_MOST or not most.isdigit() or not isinstance(p, URIRef):
            return
        counted = [
            value
            for value in self.closure.objects(node, p)
            if restriction.on_class is None or self._is_of(value, restriction.on_class)
        ]
        yield from self._too_many(node, p, counted, int(most), "maxCardinality")

    def _is_of(self, value: Term, cls: Term) -> bool:
        if cls == THING:
            return True
        return not isinstance(value, Literal) and (value, RDF_TYPE, cls) in self.closure

    # Properties

    def _of_property(self, s: Node, p: URIRef, objects: Sequence[Term]) -> Iterator[Violation]:
        if p == SAME_AS:
            yield from self._of_same(s, objects)
            return
        if p in self.rules.of_kind("FunctionalProperty"):
            yield from self._too_many(s, p, objects, 1, "functional")
        if p in self.rules.of_kind("IrreflexiveProperty") and s in objects:
            yield self._finding(s, p, cast(Term, s), "irreflexive", f"nothing is its own {self._said(p)}")
        if p in self.rules.of_kind("AsymmetricProperty"):
            for o in objects:
                if not isinstance(o, Literal) and (o, p, s) in self.closure:
                    message = f"{self._said(p)} never holds in both directions"
                    yield self._finding(s, p, o, "asymmetric", message)
        yield from self._of_deprecated(s, p, None, p)
        is_for_nodes, datatype = p in self.rules.of_kind("ObjectProperty"), self._datatype(p)
        for o in objects:
            if isinstance(o, Literal):
                yield from self._of_literal(s, p, o, datatype, is_for_nodes=is_for_nodes)
            elif datatype:
                message = f"{self._a(p)} is a value of {_short(datatype)}, not a node"
                yield self._finding(s, p, o, "datatype", message)

    def _too_many(
        self, node: Node, p: URIRef, values: Sequence[Term], most: int, constraint: str
    ) -> Iterator[Violation]:
        """More values than may be: for sure where they differ for sure, else unless some are one."""
        distinct = self._distinct(values)
        if len(distinct) <= most:
            return
        text = "no value" if most == 0 else f"{'one' if most == 1 else most} value{'s' if most > 1 else ''} at most"
        message = f"{self._said(p)} has {text}, here {len(distinct)}"
        if most == 0 or self._are_surely_more(distinct, most):
            yield self._finding(node, p, distinct[most], constraint, message)
        else:
            yield self._finding(node, p, distinct[most], constraint, f"{message}, unless they are the same", "Warning")

    def _distinct(self, values: Sequence[Term]) -> list[Term]:
        """The values, of those that are stated to be one, or write one value, the first."""
        kept: dict[object, Term] = {}
        for value in values:
            if isinstance(value, Literal):
                kept.setdefault((comparable(value), value.language), value)
            elif kept.keys().isdisjoint(self._stated_same(value)):
                kept.setdefault(value, value)
        return list(kept.values())

    def _stated_same(self, node: Resource) -> list[Term]:
        """The nodes that a node is stated to be the same as, in either direction; what only follows is not stated."""
        closure = self.closure
        same = [o for o in closure.objects(node, SAME_AS) if closure.derivation((node, SAME_AS, o)) is None]
        return [*same, *(s for s in closure.subjects(node, SAME_AS) if closure.derivation((s, SAME_AS, node)) is None)]

    def _are_surely_more(self, values: Sequence[Term], most: int) -> bool:
        """Whether more than so many are each two different for sure, found by taking one after the other."""
        kept: list[Term] = []
        for value in values:
            if all(self._are_different(value, other) for other in kept):
                kept.append(value)
            if len(kept) > most:
                return True
        return False

    def _are_different(self, one: Term, other: Term) -> bool:
        if isinstance(one, Literal) or isinstance(other, Literal):
            return True  # literals of two values, or a literal and a node
        if frozenset((one, other)) in self._different:
            return True
        return any(self.ontology.are_disjoint(c, d) for c in self._classes(one) for d in self._classes(other))

    def _of_inverse_functional(self, value: Node, p: URIRef) -> Iterator[Violation]:
        nodes = self._distinct(self.closure.subjects(value, p))
        if len(nodes) < 2:
            return
        is_sure = self._are_surely_more(nodes, 1)
        message = f"{self._said(p)} belongs to one node at most, here {len(nodes)}"
        message += "" if is_sure else ", unless they are the same"
        for node in nodes:
            severity: Severity = "Violation" if is_sure else "Warning"
            yield self._finding(node, p, cast(Term, value), "inverseFunctional", message, severity)

    def _of_same(self, s: Node, objects: Sequence[Term]) -> Iterator[Violation]:
        """eq-diff1 to 3."""
        for o in objects:
            if frozenset((s, o)) in self._different:
                message = f"it is stated to be another than {self._said(o)}, and follows to be the same"
                yield self._finding(s, SAME_AS, o, "different", message)

    def _of_literal(
        self, s: Node, p: URIRef, o: Literal, wanted: str | None, *, is_for_nodes: bool
    ) -> Iterator[Violation]:
        """dt-not-type, and literals of another datatype than is ``wanted``."""
        datatype = str(o.datatype or XSD + "string")
        if ill_typed(o):
            yield self._finding(s, p, o, "datatype", f"“{o}” is not written as {_short(datatype)}")
        if is_for_nodes:
            yield self._finding(s, p, o, "range", f"{self._a(p)} is a node, not the text “{o}”")
        if wanted and wanted != datatype and not has_value_of(o, datatype, wanted):
            if wanted == XSD + "string" and o.language:
                return
            yield self._finding(s, p, o, "datatype", f"“{o}” is {_short(datatype)}, not {_short(wanted)}")

    def _datatype(self, p: URIRef) -> str | None:
        """The XML Schema datatype that is a property's range."""
        prop = self.ontology.properties.get(p)
        ranges = [str(axiom[0]) for axiom in prop.ranges if len(axiom) == 1] if prop is not None else []
        return next((datatype for datatype in ranges if datatype.startswith(XSD)), None)

    def _of_deprecated(self, s: Node, p: URIRef, value: Term | None, term: Node) -> Iterator[Violation]:
        if term in self.rules.deprecated:
            yield self._finding(s, p, value, "deprecated", f"{self._said(term)} is deprecated", "Warning")

    # Axioms about single nodes

    def _pairs_apart(self) -> set[frozenset[Node]]:
        axioms = self.rules.axioms
        pairs: set[frozenset[Node]] = {frozenset((s, o)) for s, o in axioms.pairs(_DIFFERENT_FROM)}
        for s in list(self.closure.of):
            pairs |= {frozenset((s, o)) for o in self.closure.objects(s, URIRef(_DIFFERENT_FROM))}
        for group in axioms.groups(OWL + "AllDifferent"):
            pairs |= {frozenset(pair) for pair in combinations(group, 2)}
        return pairs

    def _of_negative_assertions(self) -> Iterator[Violation]:
        """prp-npa1, prp-npa2."""
        for s, p, o in self.rules.denied:
            if (s, p, o) in self.closure:
                message = f"the ontology denies that {self._said(p)} of {self._said(s)} is {self._said(o)}"
                yield self._finding(s, p, o, "negativeAssertion", message)

    def _of_disjoint_properties(self) -> Iterator[Violation]:
        """prp-pdw, prp-adp."""
        for one, other in self.rules.disjoint_properties:
            for s, by in list(self.closure.of.items()):
                for o in by.get(one, {}).keys() & by.get(other, {}).keys():
                    message = f"nothing is {self._said(one)} and {self._said(other)} of one thing"
                    yield self._finding(s, other, o, "disjointProperties", message)

    # Words

    def _said(self, term: Term | Node) -> str:
        return self.rules.axioms.said(cast(Term, term), self.ontology.label)

    def _a(self, term: Term) -> str:
        return with_article(self._said(term))

    def _finding(
        self,
        focus: Node,
        path: URIRef,
        value: Term | None,
        constraint: str,
        message: str,
        severity: Severity = "Violation",
    ) -> Violation:
        return Violation(focus, path, value, constraint, severity, message)


def _short(datatype: str) -> str:
    return datatype.rsplit("#", 1)[-1]
