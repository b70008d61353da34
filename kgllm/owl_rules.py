"""The rules that an ontology makes of the tables of OWL 2 RL, each by the property or class of what sets it off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from kgllm.axioms import THING, Axioms, reached
from kgllm.terms import Literal, Node, Resource, Term, Triple, URIRef
from kgllm.vocabularies import OWL, RDF_TYPE, RDFS

__all__ = ["Restriction", "Rules"]


@dataclass(frozen=True, slots=True)
class Restriction:
    """A class of what has, or has not, certain values of a property; ``kind`` is the local name that OWL gives it."""

    node: Resource
    property: Term
    kind: str
    filler: Term
    axiom: Triple
    on_class: Term | None = None


_KINDS_OF_RESTRICTION = (
    "someValuesFrom",
    "allValuesFrom",
    "hasValue",
    "maxCardinality",
    "maxQualifiedCardinality",
    "cardinality",
    "qualifiedCardinality",
)


class Rules:
    """The rules of an ontology, by the property or class of the triple that sets them off. Made once an ontology."""

    def __init__(self, axioms: Axioms) -> None:
        self.axioms = axioms
        self.wider: dict[Term, list[tuple[URIRef, str, Triple]]] = defaultdict(list)
        self.inverses: dict[Term, list[tuple[URIRef, str, Triple]]] = defaultdict(list)
        self.domains: dict[Term, list[tuple[Resource, Triple]]] = defaultdict(list)
        self.ranges: dict[Term, list[tuple[Resource, Triple]]] = defaultdict(list)
        self.chains: dict[Term, list[tuple[URIRef, tuple[URIRef, ...], int, Triple]]] = defaultdict(list)
        self.above: dict[Term, list[tuple[Resource, str, Triple]]] = defaultdict(list)
        self.wholes: dict[Term, list[tuple[Resource, tuple[Term, ...], Triple]]] = defaultdict(list)
        self.restrictions = [self._restriction(node) for node, _ in axioms.pairs(OWL + "onProperty")]
        self.by_property: dict[Term, list[Restriction]] = defaultdict(list)
        self.by_class: dict[Term, list[Restriction]] = defaultdict(list)
        self.by_filler: dict[Term, list[Restriction]] = defaultdict(list)
        self.counting: dict[Term, list[Restriction]] = defaultdict(list)
        self.keys: dict[Term, list[tuple[tuple[URIRef, ...], Triple]]] = defaultdict(list)
        self.kinds: dict[str, dict[Term, Triple]] = {}
        self._read_properties()
        self._read_classes()
        for restriction in self.restrictions:
            self.by_property[restriction.property].append(restriction)
            self.by_class[restriction.node].append(restriction)
            if restriction.kind == "someValuesFrom":
                self.by_filler[restriction.filler].append(restriction)
            if restriction.on_class is not None:
                self.counting[restriction.on_class].append(restriction)

    def of_kind(self, name: str) -> dict[Term, Triple]:
        """The properties of an OWL kind, as ``SymmetricProperty``, each with the axiom that says so."""
        if name not in self.kinds:
            kind = URIRef(OWL + name)
            self.kinds[name] = {s: (s, RDF_TYPE, kind) for s in self.axioms.subjects(str(kind))}
        return self.kinds[name]

    def leading_to(self, prop: URIRef) -> frozenset[URIRef] | None:
        """The properties whose triples a triple of one can follow from; ``None`` if any may matter."""
        if prop == RDF_TYPE or self.restrictions or self.keys:
            return None
        return reached(prop, self._made_of) | {p for goal in self._equating for p in reached(goal, self._made_of)}

    def leading_on(self, relevant: frozenset[URIRef]) -> frozenset[URIRef]:
        """Those of some properties over whose triples a premise may lie further off: the others join no two triples."""
        joining = {p for p in self.of_kind("TransitiveProperty") if isinstance(p, URIRef)} | self._equating
        joining.update(step for chains in self.chains.values() for _, steps, _, _ in chains for step in steps)
        return frozenset(p for goal in joining & relevant for p in reached(goal, self._made_of))

    def _made_of(self, prop: URIRef) -> Iterable[URIRef]:
        return self._makers.get(prop, ())

    @cached_property
    def _equating(self) -> frozenset[URIRef]:
        """The properties whose triples make two nodes one."""
        kinds = ("FunctionalProperty", "InverseFunctionalProperty")
        return frozenset(p for kind in kinds for p in self.of_kind(kind) if isinstance(p, URIRef))

    @cached_property
    def _makers(self) -> dict[URIRef, set[URIRef]]:
        """For each property those that rules make it of, in one step."""
        found: dict[URIRef, set[URIRef]] = defaultdict(set)
        for ways in (self.wider, self.inverses):
            for p, made in ways.items():
                for goal, _, _ in made:
                    if isinstance(p, URIRef):
                        found[goal].add(p)
        for chains in self.chains.values():
            for whole, steps, _, _ in chains:
                found[whole].update(steps)
        return found

    @cached_property
    def without_guesses(self) -> Rules:
        """These rules but for those that make two nodes one because they share a value, or have one too many.

        That more often shows a fault, of the data or of a claim, which would spread from one node to the other.
        """
        sure = Rules(self.axioms)
        sure.kinds |= {"FunctionalProperty": {}, "InverseFunctionalProperty": {}}
        sure.keys.clear()
        for table in (sure.by_property, sure.by_class, sure.counting):
            for term, restrictions in table.items():
                table[term] = [restriction for restriction in restrictions if not restriction.kind.startswith("max")]
        return sure

    @cached_property
    def deprecated(self) -> frozenset[Node]:
        """The terms that are not to be used any more."""
        marked = [s for s, o in self.axioms.pairs(OWL + "deprecated") if str(o) in {"true", "1"}]
        kinds = (OWL + "DeprecatedClass", OWL + "DeprecatedProperty")
        return frozenset([*marked, *(s for kind in kinds for s in self.axioms.subjects(kind))])

    @cached_property
    def denied(self) -> list[Triple]:
        """The triples that negative property assertions say not to hold."""
        found: list[Triple] = []
        for node, s in self.axioms.pairs(OWL + "sourceIndividual"):
            properties = self.axioms.objects(node, OWL + "assertionProperty")
            ends = [o for name in ("targetIndividual", "targetValue") for o in self.axioms.objects(node, OWL + name)]
            found += [
                (s, p, o) for p in properties for o in ends if isinstance(p, URIRef) and not isinstance(s, Literal)
            ]
        return found

    @cached_property
    def disjoint_properties(self) -> list[tuple[URIRef, URIRef]]:
        """Pairs of properties that never hold between the same two things."""
        pairs = [(s, o) for s, o in self.axioms.pairs(OWL + "propertyDisjointWith")]
        for group in self.axioms.groups(OWL + "AllDisjointProperties"):
            pairs += combinations(group, 2)  # type: ignore[arg-type]
        return [(p, q) for p, q in pairs if isinstance(p, URIRef) and isinstance(q, URIRef)]

    def _read_properties(self) -> None:
        for p, q, axiom in self._between(RDFS + "subPropertyOf"):
            self.wider[p].append((q, "prp-spo1", axiom))
        for p, q, axiom in self._between(OWL + "equivalentProperty"):
            self.wider[p].append((q, "prp-eqp1", axiom))
            self.wider[q].append((p, "prp-eqp2", axiom))
        for p, q, axiom in self._between(OWL + "inverseOf"):
            self.inverses[p].append((q, "prp-inv1", axiom))
            self.inverses[q].append((p, "prp-inv2", axiom))
        for predicate, ends in ((RDFS + "domain", self.domains), (RDFS + "range", self.ranges)):
            for prop, cls in self.axioms.pairs(predicate):
                if not isinstance(cls, Literal) and cls != THING:
                    ends[prop].append((cls, (prop, URIRef(predicate), cls)))
        chain, key = URIRef(OWL + "propertyChainAxiom"), URIRef(OWL + "hasKey")
        for whole, head in self.axioms.pairs(chain):
            steps = tuple(step for step in self.axioms.members(head) if isinstance(step, URIRef))
            for place, step in enumerate(steps):
                if isinstance(whole, URIRef):
                    self.chains[step].append((whole, steps, place, (whole, chain, head)))
        for cls, head in self.axioms.pairs(key):
            if properties := tuple(p for p in self.axioms.members(head) if isinstance(p, URIRef)):
                self.keys[cls].append((properties, (cls, key, head)))

    def _read_classes(self) -> None:
        for c, d in self.axioms.pairs(RDFS + "subClassOf"):
            self._say(c, d, "cax-sco", (c, URIRef(RDFS + "subClassOf"), d))
        for c, d in self.axioms.pairs(OWL + "equivalentClass"):
            axiom = (c, URIRef(OWL + "equivalentClass"), d)
            self._say(c, d, "cax-eqc1", axiom)
            self._say(d, c, "cax-eqc2", axiom)
        for predicate, rule in ((OWL + "unionOf", "cls-uni"), (OWL + "disjointUnionOf", "cls-uni")):
            for c, head in self.axioms.pairs(predicate):
                for member in self.axioms.members(head):
                    self._say(member, c, rule, (c, URIRef(predicate), head))
        for c, head in self.axioms.pairs(OWL + "intersectionOf"):
            members = self.axioms.members(head)
            axiom = (c, URIRef(OWL + "intersectionOf"), head)
            for member in members:
                self._say(c, member, "cls-int2", axiom)
                self.wholes[member].append((c, members, axiom))

    def _say(self, below: Term, above: Term, rule: str, axiom: Triple) -> None:
        if not isinstance(above, Literal) and above not in {below, THING}:
            self.above[below].append((above, rule, axiom))

    def _between(self, predicate: str) -> Iterator[tuple[URIRef, URIRef, Triple]]:
        for s, o in self.axioms.pairs(predicate):
            if isinstance(s, URIRef) and isinstance(o, URIRef):
                yield s, o, (s, URIRef(predicate), o)

    def _restriction(self, node: Resource) -> Restriction:
        prop = self.axioms.objects(node, OWL + "onProperty")[0]
        for kind in _KINDS_OF_RESTRICTION:
            for filler in self.axioms.objects(node, OWL + kind):
                on = self.axioms.objects(node, OWL + "onClass")
                return Restriction(node, prop, kind, filler, (node, URIRef(OWL + kind), filler), on[0] if on else None)
        return Restriction(node, prop, "", prop, (node, URIRef(OWL + "onProperty"), prop))
