"""Entailment: what follows from triples and an ontology by the rules of OWL 2 RL, each with its rule and its premises.

The rules and their names are those of OWL 2 Profiles (second edition), section 4.3, tables 4 to 8, as far as they make
statements about individuals; what they find contradictory is in ``kgllm.consistency``. Left out are the rules that say
nothing new (eq-ref, prp-ap, cls-thing, cls-nothing1, dt-*) and those about the schema itself (scm-*), whose use for
individuals the others have step by step.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

from kgllm.axioms import THING
from kgllm.owl_rules import Restriction, Rules
from kgllm.terms import Literal, Node, Resource, Term, Triple, URIRef
from kgllm.vocabularies import OWL, RDF_TYPE

__all__ = ["Closure", "Derivation", "close"]

SAME_AS = URIRef(OWL + "sameAs")
_MOST = 1_000_000  # triples that are derived before it is given up
_MOST_SAME = 8  # values of a functional property that are taken for names of one thing: more are a fault of the data
_OFTEN = 1_000  # triples between two looks at the clock


@dataclass(frozen=True, slots=True)
class Derivation:
    """Why a triple follows: the rule, the triples it was made of, and the axioms of the ontology that make it so."""

    rule: str
    premises: tuple[Triple, ...]
    axioms: tuple[Triple, ...] = ()


class Closure:
    """Triples and what follows from them. ``is_whole`` is false where it was given up before its end."""

    def __init__(self) -> None:
        self.derivations: dict[Triple, Derivation] = {}
        self.is_whole = True
        self.of: dict[Node, dict[URIRef, dict[Term, None]]] = defaultdict(lambda: defaultdict(dict))
        self.into: dict[Node, dict[URIRef, dict[Resource, None]]] = defaultdict(lambda: defaultdict(dict))

    def __contains__(self, triple: object) -> bool:
        if not isinstance(triple, tuple):
            return False
        s, p, o = triple
        return s in self.of and p in self.of[s] and o in self.of[s][p]

    def __iter__(self) -> Iterator[Triple]:
        return ((s, p, o) for s, by in self.of.items() for p, objects in by.items() for o in objects)  # type: ignore[misc]

    def derivation(self, triple: Triple) -> Derivation | None:
        """Why a triple follows; ``None`` for one that was given, or does not."""
        return self.derivations.get(triple)

    def objects(self, subject: Node, predicate: URIRef) -> list[Term]:
        """The objects of a subject's triples with a predicate."""
        return list(self.of[subject][predicate]) if subject in self.of and predicate in self.of[subject] else []

    def subjects(self, object_: Node, predicate: URIRef) -> list[Resource]:
        """The subjects of the triples with a predicate and an object."""
        return list(self.into[object_][predicate]) if object_ in self.into and predicate in self.into[object_] else []

    def types(self, node: Node) -> list[Term]:
        """The classes of a node, those without a name among them."""
        return self.objects(node, RDF_TYPE)

    def proof(self, triple: Triple) -> list[tuple[Triple, Derivation | None]]:
        """The steps to a triple, premises before what is made of them; one that was given has no derivation."""
        steps: dict[Triple, Derivation | None] = {}

        def visit(step: Triple) -> None:
            if step in steps:
                return
            found = self.derivations.get(step)
            for premise in found.premises if found else ():
                visit(premise)
            steps[step] = found

        visit(triple)
        return list(steps.items())


def close(triples: Iterable[Triple], rules: Rules, *, timeout_s: float = 30, most: int = _MOST) -> Closure:
    """Everything that follows; given up, and marked so, after ``timeout_s`` or ``most`` derived triples.

    >>> from kgllm.axioms import Axioms
    >>> dog, animal, rex = URIRef("e:Dog"), URIRef("e:Animal"), URIRef("e:rex")
    >>> tree = Axioms([(dog, URIRef(RDFS + "subClassOf"), animal)])
    >>> close([(rex, RDF_TYPE, dog)], Rules(tree)).derivation((rex, RDF_TYPE, animal)).rule
    'cax-sco'
    """
    return _Closing(rules, time.monotonic() + timeout_s, most).of(triples)


class _Closing:
    """The closing of one set of triples: what is new waits in a queue, and is joined with what was there before."""

    def __init__(self, rules: Rules, deadline: float, most: int) -> None:
        self.rules = rules
        self.closure = Closure()
        self._deadline = deadline
        self._most = most
        self._waiting: deque[Triple] = deque()
        self._symmetric = rules.of_kind("SymmetricProperty")
        self._transitive = rules.of_kind("TransitiveProperty")
        self._functional = rules.of_kind("FunctionalProperty")
        self._inverse_functional = rules.of_kind("InverseFunctionalProperty")

    def of(self, triples: Iterable[Triple]) -> Closure:
        for triple in triples:
            self._take(triple)
        done = 0
        while self._waiting:
            done += 1
            if len(self.closure.derivations) > self._most or (done % _OFTEN == 0 and time.monotonic() > self._deadline):
                self.closure.is_whole = False
                break
            s, p, o = triple = self._waiting.popleft()
            if p == RDF_TYPE:
                self._follow_type(triple)
            elif p == SAME_AS:
                self._follow_same(triple)
            else:
                self._follow(triple)
            for same in self.closure.objects(s, SAME_AS) if p != SAME_AS else ():
                self._add((same, p, o), "eq-rep-s", ((s, SAME_AS, same), triple))  # type: ignore[arg-type]
            for same in self.closure.objects(o, SAME_AS) if p != SAME_AS else ():
                self._add((s, p, same), "eq-rep-o", ((o, SAME_AS, same), triple))  # type: ignore[arg-type]
        return self.closure

    def _take(self, triple: Triple) -> bool:
        s, p, o = triple
        objects = self.closure.of[s][p]
        if o in objects:
            return False
        objects[o] = None
        self.closure.into[o][p][s] = None
        self._waiting.append(triple)
        return True

    def _add(self, triple: Triple, rule: str, premises: tuple[Triple, ...], *axioms: Triple) -> None:
        if not isinstance(triple[0], Literal) and triple not in self.closure and self._take(triple):
            self.closure.derivations[triple] = Derivation(rule, premises, axioms)

    def _follow(self, triple: Triple) -> None:
        """The rules about properties (tables 4 and 5), and those about restrictions on them (table 6)."""
        s, p, o = triple
        rules, closure = self.rules, self.closure
        for wider, rule, axiom in rules.wider.get(p, ()):
            self._add((s, wider, o), rule, (triple,), axiom)
        for cls, axiom in rules.domains.get(p, ()):
            self._add((s, RDF_TYPE, cls), "prp-dom", (triple,), axiom)
        for restriction in rules.by_property.get(p, ()):
            self._follow_restriction(restriction, triple)
        for key in self._keys_with(s, p):
            self._follow_key(s, key)
        if isinstance(o, Literal):
            return
        for inverse, rule, axiom in rules.inverses.get(p, ()):
            self._add((o, inverse, s), rule, (triple,), axiom)
        for cls, axiom in rules.ranges.get(p, ()):
            self._add((o, RDF_TYPE, cls), "prp-rng", (triple,), axiom)
        if (axiom := self._symmetric.get(p)) is not None:  # type: ignore[assignment]
            self._add((o, p, s), "prp-symp", (triple,), axiom)
        if (axiom := self._transitive.get(p)) is not None:  # type: ignore[assignment]
            for end in closure.objects(o, p):
                self._add((s, p, end), "prp-trp", (triple, (o, p, end)), axiom)
            for start in closure.subjects(s, p):
                self._add((start, p, o), "prp-trp", ((start, p, s), triple), axiom)
        if (axiom := self._functional.get(p)) is not None:  # type: ignore[assignment]
            ends = _few(closure.of[s][p])
            self._same(ends, [(s, p, end) for end in ends], "prp-fp", axiom)
        if (axiom := self._inverse_functional.get(p)) is not None:  # type: ignore[assignment]
            starts = _few(closure.into[o][p])
            self._same(starts, [(start, p, o) for start in starts], "prp-ifp", axiom)
        for whole, steps, place, axiom in rules.chains.get(p, ()):
            self._follow_chain(whole, steps, place, triple, axiom)

    def _follow_chain(
        self, whole: URIRef, steps: tuple[URIRef, ...], place: int, triple: Triple, axiom: Triple
    ) -> None:
        """prp-spo2: a triple at one place of a chain, with all that lead to it and all that it leads to."""
        befores: list[tuple[Triple, ...]] = [()]
        for step in reversed(steps[:place]):
            befores = [
                ((start, step, (way[0] if way else triple)[0]), *way)
                for way in befores
                for start in self.closure.subjects((way[0] if way else triple)[0], step)
            ]
        afters: list[tuple[Triple, ...]] = [()]
        for step in steps[place + 1 :]:
            afters = [
                (*way, (_end_of(way, triple), step, end))
                for way in afters
                for end in self.closure.objects(_end_of(way, triple), step)
            ]
        for before in befores:
            for after in afters:
                way = (*before, triple, *after)
                self._add((way[0][0], whole, way[-1][2]), "prp-spo2", way, axiom)

    def _follow_restriction(self, restriction: Restriction, triple: Triple) -> None:
        s, _, o = triple
        member: Triple = (s, RDF_TYPE, restriction.node)
        match restriction.kind:
            case "someValuesFrom" if restriction.filler == THING:
                self._add(member, "cls-svf2", (triple,), restriction.axiom)
            case "someValuesFrom" if (of := (o, RDF_TYPE, restriction.filler)) in self.closure:
                self._add(member, "cls-svf1", (triple, of), restriction.axiom)  # type: ignore[arg-type]
            case "hasValue" if o == restriction.filler:
                self._add(member, "cls-hv2", (triple,), restriction.axiom)
            case "allValuesFrom" | "maxCardinality" | "maxQualifiedCardinality" if member in self.closure:
                self._follow_member(restriction, member)

    def _follow_member(self, restriction: Restriction, member: Triple) -> None:
        """What follows for the values of something that a restriction holds of."""
        s, p = member[0], restriction.property
        if not isinstance(p, URIRef):
            return
        triples: list[Triple] = [(s, p, o) for o in self.closure.objects(s, p) if not isinstance(o, Literal)]
        match restriction.kind:
            case "hasValue":
                self._add((s, p, restriction.filler), "cls-hv1", (member,), restriction.axiom)
            case "allValuesFrom" if not isinstance(restriction.filler, Literal):
                for triple in triples:
                    o = triple[2]
                    self._add((o, RDF_TYPE, restriction.filler), "cls-avf", (member, triple), restriction.axiom)  # type: ignore[arg-type]
            case "maxCardinality" if str(restriction.filler) == "1":
                self._same([o for _, _, o in triples], [member, *triples], "cls-maxc2", restriction.axiom)
            case "maxQualifiedCardinality" if str(restriction.filler) == "1":
                is_any = restriction.on_class == THING
                counted = [t for t in triples if is_any or (t[2], RDF_TYPE, restriction.on_class) in self.closure]
                typed: list[Triple] = [] if is_any else [(t[2], RDF_TYPE, restriction.on_class) for t in counted]  # type: ignore[misc]
                rule = "cls-maxqc4" if is_any else "cls-maxqc3"
                self._same([o for _, _, o in counted], [member, *counted, *typed], rule, restriction.axiom)

    def _same(self, values: Sequence[Term], premises: Sequence[Triple], rule: str, axiom: Triple) -> None:
        """That several nodes are one; not of so many that the data must be at fault."""
        nodes = [value for value in values if not isinstance(value, Literal)]
        if not 1 < len(nodes) <= _MOST_SAME:
            return
        for one, other in combinations(nodes, 2):
            pair = {one, other}
            used = tuple(t for t in premises if {t[0], t[2]} & pair or (t[1] == RDF_TYPE and t[0] not in nodes))
            self._add((one, SAME_AS, other), rule, used, axiom)

    def _keys_with(self, s: Resource, p: URIRef) -> list[tuple[Resource, tuple[URIRef, ...], Triple]]:
        if not self.rules.keys:
            return []
        classes = self.closure.types(s)
        return [
            (cls, key, axiom)  # type: ignore[misc]
            for cls in classes
            for key, axiom in self.rules.keys.get(cls, ())
            if p in (*key, RDF_TYPE)
        ]

    def _follow_key(self, s: Resource, found: tuple[Resource, tuple[URIRef, ...], Triple]) -> None:
        """prp-key: another node of the class with a value of each property of the key in common."""
        cls, key, axiom = found
        first, *rest = key
        for value in self.closure.objects(s, first):
            for other in self.closure.subjects(value, first):
                if other == s or (other, RDF_TYPE, cls) not in self.closure:
                    continue
                shared = {p: self._shared(s, other, p) for p in rest}
                if all(value is not None for value in shared.values()):
                    pairs = {first: value} | shared
                    premises = [(node, RDF_TYPE, cls) for node in (s, other)]
                    premises += [(node, p, v) for p, v in pairs.items() for node in (s, other)]  # type: ignore[misc]
                    self._add((s, SAME_AS, other), "prp-key", tuple(premises), axiom)

    def _shared(self, one: Resource, other: Resource, p: URIRef) -> Term | None:
        others = self.closure.objects(other, p)
        return next((value for value in self.closure.objects(one, p) if value in others), None)

    def _follow_type(self, triple: Triple) -> None:
        """The rules about classes (tables 6 and 7)."""
        s, _, cls = triple
        rules, closure = self.rules, self.closure
        for above, rule, axiom in rules.above.get(cls, ()):
            self._add((s, RDF_TYPE, above), rule, (triple,), axiom)
        for whole, members, axiom in rules.wholes.get(cls, ()):
            premises: tuple[Triple, ...] = tuple((s, RDF_TYPE, member) for member in members)
            if all(premise in closure for premise in premises):
                self._add((s, RDF_TYPE, whole), "cls-int1", premises, axiom)
        for restriction in rules.by_filler.get(cls, ()):
            if isinstance(restriction.property, URIRef):
                for subject in closure.subjects(s, restriction.property):
                    way = (subject, restriction.property, s)
                    self._add((subject, RDF_TYPE, restriction.node), "cls-svf1", (way, triple), restriction.axiom)
        for restriction in rules.by_class.get(cls, ()):
            self._follow_member(restriction, triple)
        for restriction in rules.counting.get(cls, ()):
            for subject in closure.subjects(s, restriction.property):  # type: ignore[arg-type]
                if (member := (subject, RDF_TYPE, restriction.node)) in closure:
                    self._follow_member(restriction, member)
        for key in self._keys_with(s, RDF_TYPE):
            if key[0] == cls:
                self._follow_key(s, key)

    def _follow_same(self, triple: Triple) -> None:
        """The rules about equality (table 4), of what was there before: what comes later is copied as it comes."""
        s, _, o = triple
        if s == o or isinstance(o, Literal):
            return
        closure = self.closure
        self._add((o, SAME_AS, s), "eq-sym", (triple,))
        for end in closure.objects(o, SAME_AS):
            if end != s:
                self._add((s, SAME_AS, end), "eq-trans", (triple, (o, SAME_AS, end)))
        for p, objects in list(closure.of[s].items()):
            for end in list(objects) if p != SAME_AS else ():
                self._add((o, p, end), "eq-rep-s", (triple, (s, p, end)))
        for p, subjects in list(closure.into[s].items()):
            for start in list(subjects) if p != SAME_AS else ():
                self._add((start, p, o), "eq-rep-o", (triple, (start, p, s)))


def _few(terms: Iterable[Term]) -> list[Resource]:
    """The nodes among some terms; of so many that they make no equality one more than would."""
    return list(islice((term for term in terms if not isinstance(term, Literal)), _MOST_SAME + 1))


def _end_of(way: Sequence[Triple], triple: Triple) -> Resource:
    """Where a way leads that starts at a triple; a literal leads no further."""
    return (way[-1] if way else triple)[2]  # type: ignore[return-value]
