"""Validate a query before it runs: against what the ontology states, and against what the data was seen to hold.

The rules are those by which an ontology checks a query (Allemang and Sequeda, Increasing the accuracy of LLM question
answering with ontologies, 2024), mended where they deny the open world: what is merely unrelated is a remark; what is
disjoint, or was never once seen together, is a violation. A seen combination is never one, whatever is stated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from kgllm.axioms import ClassNode
from kgllm.index import Index
from kgllm.ontology import Kind, Ontology
from kgllm.pattern import Comparison, Group
from kgllm.query import Aggregate, Computed, Path, PatternTerm, Query, TriplePattern, Variable
from kgllm.terms import Literal, Term, URIRef
from kgllm.violation import Severity, Violation
from kgllm.vocabularies import NUMERIC, RDF, RDF_TYPE, XSD, is_vocabulary
from kgllm.words import with_article

__all__ = ["validate_plan", "validate_query"]

_FITTING = 5  # terms that are named in a finding because they would fit
_STRING, _TAGGED = XSD + "string", RDF + "langString"
_NO_NUMBERS = frozenset({"node", XSD + "date", XSD + "dateTime", XSD + "time", XSD + "duration"})  # as they are written
_NO_TYPES: Mapping[URIRef, Collection[URIRef]] = {}


@dataclass(frozen=True, slots=True)
class _Demand:
    """What a pattern asks of a term: a class of which it must be by the ontology, kinds of which the data shows it.

    ``seen`` is ``None`` where the data shows nothing of it.
    """

    said: str
    classes: tuple[ClassNode, ...]
    seen: frozenset[Kind] | None
    path: URIRef | None


def validate_query(
    query: Query, ontology: Ontology, *, types: Mapping[URIRef, Collection[URIRef]] = _NO_TYPES
) -> list[Violation]:
    """The faults of a query, in words that whoever planned it can act on; ``types`` are those of the nodes it names.

    A finding that nothing can mend is a ``Violation``; a ``Warning`` is what the data holds against its own ontology;
    ``Info`` is a remark.
    """
    return list(dict.fromkeys(_Check(query, ontology, types).findings()))


def validate_plan(query: Query, index: Index) -> list[Violation]:
    """The faults of a query over an indexed graph, whose nodes have the types that the graph states."""
    types = {d.iri: d.types for d in index.described(query.iris()).values() if d.kind == "node"}
    return validate_query(query, index.ontology, types=types)


class _Check:
    """One look at one query."""

    def __init__(self, query: Query, ontology: Ontology, types: Mapping[URIRef, Collection[URIRef]]) -> None:
        self.query = query
        self.ontology = ontology
        self.types = types
        self.groups = list(query.where.groups())
        self.values: dict[Variable, Sequence[Term]] = {v.variable: v.terms for g in self.groups for v in g.values}

    def findings(self) -> Iterator[Violation]:
        for pattern in dict.fromkeys(pattern for group in self.groups for pattern in group.patterns):
            yield from self._of_terms(pattern)
        for conjunction in self.query.where.conjunctions():
            demands = self._demands(conjunction)
            for term, asked in demands.items():
                for one, other in combinations(asked, 2):
                    yield from self._between(term, one, other, conjunction)
        for group in self.groups:
            yield from self._of_comparisons(group)
            yield from self._of_joins(group)

    # Terms

    def _of_terms(self, pattern: TriplePattern) -> Iterator[Violation]:
        """Terms that neither the ontology nor the data has, or has as something else."""
        ontology = self.ontology
        for prop in self._properties(pattern):
            if prop in ontology.properties or is_vocabulary(prop):
                continue
            if prop in ontology.classes:
                text = f"{self._label(prop)} is a class, not a property; a thing is of it by rdf:type"
                yield _finding(prop, "classAsProperty", text)
            else:
                yield _finding(prop, "undefined", f"neither the ontology nor the data has the property <{prop}>")
        for cls in self._classes(pattern):
            if cls in ontology.classes or is_vocabulary(cls):
                continue
            if cls in ontology.properties:
                yield _finding(cls, "propertyAsClass", f"{self._label(cls)} is a property, and nothing is of it")
            else:
                yield _finding(cls, "undefined", f"neither the ontology nor the data has the class <{cls}>")

    def _properties(self, pattern: TriplePattern) -> list[URIRef]:
        """The properties that a pattern may stand for."""
        predicate = pattern.predicate.iri if isinstance(pattern.predicate, Path) else pattern.predicate
        if isinstance(predicate, Variable):
            return [term for term in self.values.get(predicate, ()) if isinstance(term, URIRef)]
        return [predicate]

    def _classes(self, pattern: TriplePattern) -> list[URIRef]:
        """The classes, one of which a pattern asks for."""
        if pattern.predicate != RDF_TYPE:
            return []
        terms = self.values.get(pattern.object, ()) if isinstance(pattern.object, Variable) else (pattern.object,)
        return [term for term in terms if isinstance(term, URIRef)]

    # What a term has to be

    def _demands(self, patterns: Sequence[TriplePattern]) -> dict[PatternTerm, list[_Demand]]:
        """What the patterns ask of each of their terms."""
        asked: dict[PatternTerm, list[_Demand]] = defaultdict(list)
        for pattern in dict.fromkeys(patterns):
            if pattern.predicate == RDF_TYPE:
                if classes := self._classes(pattern):
                    asked[pattern.subject].append(self._of_class(classes))
                continue
            if isinstance(pattern.predicate, Path) and pattern.predicate.closure == "*":
                continue  # where no step is taken both ends are anything
            properties = [p for p in self._properties(pattern) if p in self.ontology.properties]
            if properties:
                asked[pattern.subject].append(self._of_end(properties, is_subject=True))
                asked[pattern.object].append(self._of_end(properties, is_subject=False))
        for term, demands in asked.items():
            if (known := self._of_constant(term)) is not None:
                demands.append(known)
        return asked

    def _of_class(self, classes: Sequence[URIRef]) -> _Demand:
        populated = {(c, False) for cls in classes for c in self.ontology.populated(cls)}
        said = "it is " + " or ".join(with_article(self._label(cls)) for cls in classes[:3])
        return _Demand(said, tuple(classes), frozenset(populated) or None, None)

    def _of_end(self, properties: Sequence[URIRef], *, is_subject: bool) -> _Demand:
        """What is stated and seen of the subjects, or objects, of some properties."""
        label = self._label(properties[0]) if len(properties) == 1 else "one of several properties"
        said = f"it has {with_article(label)}" if is_subject else f"it is {with_article(label)} of something"
        classes = self._stated(properties[0], is_subject=is_subject) if len(properties) == 1 else ()
        seen = [self.ontology.ends(p)[0 if is_subject else 1] for p in properties]
        kinds = frozenset(kind for of_one in seen for kind in of_one)
        return _Demand(said, classes, kinds if all(seen) else None, properties[0])

    def _stated(self, prop: URIRef, *, is_subject: bool) -> tuple[ClassNode, ...]:
        """The classes of which an end of a property must be, by its domain or range and those above and inverse to it.

        Of a datatype as range nothing is said here: the data shows better which literals there are.
        """
        rules = self.ontology.rules
        found: dict[ClassNode, None] = {}
        for p in sorted(self.ontology.superproperties(prop)):
            ends, others = (rules.domains, rules.ranges) if is_subject else (rules.ranges, rules.domains)
            found |= dict.fromkeys(cls for cls, _ in ends.get(p, ()))
            for inverse, _, _ in rules.inverses.get(p, ()):
                found |= dict.fromkeys(cls for cls, _ in others.get(inverse, ()))
        return tuple(cls for cls in found if not is_vocabulary(str(cls)))

    def _of_constant(self, term: PatternTerm) -> _Demand | None:
        """What is known of a term that the query names."""
        if isinstance(term, Literal):
            datatype = URIRef(_TAGGED if term.language else term.datatype or _STRING)
            return _Demand(f"it is “{term}”", (), frozenset({(datatype, True)}), None)
        if not isinstance(term, URIRef) or term not in self.types:
            return None
        classes = sorted(c for c in self.types[term] if c in self.ontology.classes)
        said = "it is " + " and ".join(with_article(self._label(c)) for c in classes) if classes else "it has no class"
        return _Demand(said, (), frozenset((c, False) for c in classes) or frozenset({(None, False)}), None)

    # What does not go together

    def _between(
        self, term: PatternTerm, one: _Demand, other: _Demand, conjunction: Sequence[TriplePattern]
    ) -> Iterator[Violation]:
        """What two demands on one term come to."""
        # What is seen of a type is its class alone: a node of it may be of any other too.
        are_types = all(demand.path is None and demand.classes for demand in (one, other))
        both = None if are_types or one.seen is None or other.seen is None else one.seen & other.seen
        path = one.path or other.path
        reasons = f"{self._term(term)}: {one.said}, and {other.said}"
        if clash := self._clash(one, other):
            if both:
                yield _finding(term, "disjoint", f"{reasons}; {clash}, yet the data has such", "Warning", path)
                return
            text = f"{reasons}; {clash}. {self._advice(term, one, other, conjunction)}"
            yield _finding(term, "disjoint", text, "Violation", path)
        elif both is not None and not both:
            is_of_values = any(is_literal for seen in (one.seen, other.seen) for _, is_literal in seen or ())
            text = f"{reasons}; the data has nothing that is both. {self._advice(term, one, other, conjunction)}"
            yield _finding(term, "datatype" if is_of_values else "neverTogether", text, "Violation", path)
        elif both is None and self._are_unrelated(one, other):
            text = f"{reasons}; the ontology does not say that anything is both"
            yield _finding(term, "unrelated", text, "Info", path)

    def _are_unrelated(self, one: _Demand, other: _Demand) -> bool:
        """Whether both ask for classes, and none of one's stands above or below one of the other's."""
        is_a = self.ontology.is_a
        pairs = [(c, d) for c in one.classes for d in other.classes if isinstance(c, URIRef) and isinstance(d, URIRef)]
        return bool(pairs) and not any(is_a(c, d) or is_a(d, c) for c, d in pairs)

    def _clash(self, one: _Demand, other: _Demand) -> str:
        """What the ontology says against both at once; empty if nothing.

        The classes of ``rdf:type`` (a demand without a path) are alternatives, those of a property hold all at once.
        """
        ones, others = self._sides(one), self._sides(other)
        for alternatives, against in product(ones, others):
            if all(self.ontology.are_disjoint(c, d) for c in alternatives for d in against):
                said = self.ontology.axioms.said
                names = [with_article(said(side[0], self.ontology.label)) for side in (alternatives, against)]
                return f"nothing is both {names[0]} and {names[1]}"
        return ""

    def _sides(self, demand: _Demand) -> list[tuple[ClassNode, ...]]:
        if demand.path is None:
            if demand.classes:  # a type pattern: one of them
                return [demand.classes]
            return [(c,) for c, is_literal in demand.seen or () if c is not None and not is_literal]
        return [(cls,) for cls in demand.classes]

    def _advice(self, term: PatternTerm, one: _Demand, other: _Demand, conjunction: Sequence[TriplePattern]) -> str:
        """What would fit instead: the edge turned round, or the properties that the data has at that place."""
        for demand, beside in ((one, other), (other, one)):
            if demand.path is None or beside.seen is None:
                continue
            subjects, objects = self.ontology.ends(demand.path)
            uses = [p for p in conjunction if demand.path in self._properties(p) and term in {p.subject, p.object}]
            if not uses:
                continue
            is_subject = uses[0].subject == term
            here, there = (subjects, objects) if is_subject else (objects, subjects)
            if beside.seen.isdisjoint(here) and not beside.seen.isdisjoint(there):
                return (
                    f"{self._label(demand.path)} leads from {self._kinds(subjects)} to {self._kinds(objects)}: "
                    "turn the pattern round"
                )
            fitting = self._fitting(beside.seen, is_subject=is_subject)
            if fitting:
                what = "Properties that start there" if is_subject else "Properties that lead there"
                return f"{what}: {', '.join(fitting)}"
        return ""

    def _kinds(self, kinds: Iterable[Kind]) -> str:
        names = sorted({self.ontology.label(k) if k is not None else "something" for k, _ in kinds})
        return " or ".join(map(with_article, names[:3])) or "something"

    def _fitting(self, seen: frozenset[Kind], *, is_subject: bool) -> list[str]:
        found = [
            prop
            for prop in self.ontology.observed()
            if not seen.isdisjoint(self.ontology.ends(prop.iri)[0 if is_subject else 1])
        ]
        return [prop.label for prop in sorted(found, key=lambda p: -p.count)[:_FITTING]]

    # Filters and joins

    def _of_comparisons(self, group: Group) -> Iterator[Violation]:
        """Comparisons of values that can never be compared."""
        compared = [*group.comparisons, *(c for options in group.either for option in options for c in option)]
        demands = [self._demands(patterns) for patterns in group.conjunctions()] if compared else []
        for comparison in compared:
            if comparison.lexical or comparison.operator in {"contains", "starts", "!="}:
                continue
            ends = (comparison.left, comparison.right)
            ways = [tuple(_comparable(end, asked) for end in ends) for asked in demands]
            known = [(left, right) for left, right in ways if left and right]
            if known and not any(_may_compare(left, right, comparison) for left, right in known):
                left, right = (" or ".join(sorted(map(_short, side))) for side in known[0])
                text = f"{comparison.left} is {left}, and cannot be compared with {right}: {_written(comparison)}"
                yield _finding(comparison.left, "datatype", text)

    def _of_joins(self, group: Group) -> Iterator[Violation]:
        """Patterns that share nothing with what is asked for, so that they only have to hold somewhere."""
        if self.query.form == "ask" or group is not self.query.where:
            return
        parts = [_terms_of([pattern]) for pattern in group.patterns]
        inner = [
            *group.optional,
            *group.negated,
            *group.required,
            *(g for groups in group.alternatives for g in groups),
        ]
        linked = [_terms_of(list(g.triple_patterns())) | set(g.variables()) for g in inner]
        linked += [set(query.columns()) for query in group.nested]
        linked += [set(c.variables()) for c in group.comparisons]
        linked += [{v for option in options for c in option for v in c.variables()} for options in group.either]
        linked += [{c.variable, *c.variables()} for c in group.computed]
        wanted: set[PatternTerm] = {*self.query.group_by, *(order.key for order in self.query.order_by)}
        for part in (*self.query.select, *self.query.unshown):
            wanted |= {part.variable} if isinstance(part, Aggregate) else set()
            wanted |= set(part.variables()) if isinstance(part, Computed) else set()
            wanted |= {part} if isinstance(part, Variable) else set()
        reached = set(wanted)
        waiting = [*parts, *linked]
        while near := [part for part in waiting if not part.isdisjoint(reached)]:
            waiting = [part for part in waiting if part.isdisjoint(reached)]
            reached = reached.union(*near)
        for pattern in group.patterns:
            terms = _terms_of([pattern])
            if terms.isdisjoint(reached) and any(isinstance(term, Variable) for term in terms):
                variable = next(term for term in terms if isinstance(term, Variable))
                text = f"{variable} has nothing to do with what is asked for: no pattern joins it"
                yield _finding(variable, "noJoin", text)

    def _term(self, term: PatternTerm) -> str:
        return self._label(term) if isinstance(term, URIRef) else str(term)

    def _label(self, iri: URIRef) -> str:
        return self.ontology.label(iri)


def _terms_of(patterns: Iterable[TriplePattern]) -> set[PatternTerm]:
    """The variables and nodes by which patterns can be joined."""
    found: set[PatternTerm] = set()
    for pattern in patterns:
        found |= set(pattern.variables())
        is_class = pattern.predicate == RDF_TYPE
        found |= {end for end in (pattern.subject, pattern.object) if isinstance(end, URIRef) and not is_class}
    return found


def _comparable(term: PatternTerm, demands: Mapping[PatternTerm, Sequence[_Demand]]) -> set[str]:
    """The kinds of values that a term can have, as far as they compare with one another; empty if unknown."""
    if isinstance(term, Literal):
        return {_scale(URIRef(term.datatype or (_TAGGED if term.language else _STRING)))}
    if isinstance(term, URIRef):
        return {"node"}
    found: set[str] = set()
    for demand in demands.get(term, ()):
        if demand.path is not None and demand.seen is not None:
            of_one = {_scale(kind) if is_literal else "node" for kind, is_literal in demand.seen}
            found = found & of_one if found else of_one
    return found


def _scale(datatype: URIRef | None) -> str:
    """What stands for all datatypes whose values compare with one another."""
    if str(datatype) in NUMERIC:
        return XSD + "decimal"
    return _STRING if str(datatype) == _TAGGED else str(datatype)


def _may_compare(left: set[str], right: set[str], comparison: Comparison) -> bool:
    """Whether some values of these kinds compare; read as numbers, all may be but nodes and times."""
    if comparison.numeric:
        return not (left <= _NO_NUMBERS or right <= _NO_NUMBERS)
    return not left.isdisjoint(right)


def _short(datatype: str) -> str:
    if datatype == "node":
        return "a node"
    return "a number" if datatype == XSD + "decimal" else with_article(datatype.rsplit("#", 1)[-1])


def _written(comparison: Comparison) -> str:
    return f"{comparison.left} {comparison.operator} {comparison.right}"


def _finding(
    term: PatternTerm, constraint: str, message: str, severity: Severity = "Violation", path: URIRef | None = None
) -> Violation:
    focus = term if isinstance(term, URIRef) else None
    return Violation(focus, path, None, constraint, severity, message.strip(), "query")
