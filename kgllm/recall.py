"""Recall: run a query, and hold in memory the triples behind each of its rows.

The rows are the SELECT of the query. The memory is its CONSTRUCT, taken solution by solution, so that each row keeps
the triples it rests on: a count its members, an extreme the value that made it one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from math import inf

from kgllm.errors import IncompleteDataError
from kgllm.index import Index
from kgllm.memory import Role, WorkingMemoryGraph
from kgllm.ontology import DESCRIPTION_PROPERTIES, NAME_PROPERTIES, RDF_TYPE
from kgllm.protocols import Hit, Rows
from kgllm.prove import prove
from kgllm.query import Group, Path, PatternTerm, Query, Variable
from kgllm.terms import BNode, Literal, Node, Term, Triple, URIRef, n3
from kgllm.vocabularies import FALSE, TRUE

__all__ = ["Recalled", "recall", "set_labels"]

ROW_LIMIT = 10_000
_SOLUTION_LIMIT = 2_000
_TRACED = 200  # rows of which the evidence is kept; the text names the first twenty
_FACTS_OF_A_NODE = 40
_LONGEST_CHAIN = 30  # steps of a repeated property that are followed for its evidence


@dataclass(frozen=True, slots=True)
class Recalled:
    """The rows of a query, the memory behind them, and for each first column the triples that it rests on.

    ``members`` are the terms that a count counts, as many as were traced.
    """

    query: Query
    rows: Rows
    memory: WorkingMemoryGraph
    evidence: dict[Term, tuple[Triple, ...]]
    members: tuple[Term, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found; a count of none is nothing, a yes/no question always finds something."""
        return not self.rows.rows or (self.query.form == "count" and str(self.rows.rows[0][0]) == "0")

    @property
    def is_groundless(self) -> bool:
        """Whether something was found that rests on no triple, as what is reached by no step at all."""
        is_no = self.query.form == "ask" and self.rows.rows[:1] == [(FALSE,)]
        return not (self.is_empty or is_no or any(self.evidence.values()))

    def check_whole(self, graph: str) -> None:
        """Raise ``IncompleteDataError`` where nothing was found because the result was cut."""
        if self.is_empty and not self.rows.complete:
            raise IncompleteDataError(
                f"{graph} cut the result before its first row",
                why="that is no proof that there is nothing",
                try_next="raise the endpoint's limits on rows and time",
            )


def recall(
    query: Query, *, question: str, links: Sequence[Hit], index: Index, timeout_s: float = 30, limit: int = ROW_LIMIT
) -> Recalled:
    """Run a query read-only. Raises ``DeadlineError`` and what else the store raises."""
    sparql = query.to_sparql(index.namespaces)
    memory = WorkingMemoryGraph(question, query=sparql, links=links, prefixes=index.namespaces.prefixes)
    if query.form == "describe":
        return _describe(query, memory, index, timeout_s)
    if query.form == "ask":
        holds = index.store.ask(sparql, timeout_s=timeout_s)
        if not holds and (followed := _follows(query, memory, index, timeout_s)):
            return followed
        rows = Rows(("answer",), [(TRUE if holds else FALSE,)])
    else:
        rows = index.store.select(sparql, timeout_s=timeout_s, limit=limit)
        if not query.order_by:  # a store's own order changes from one load to the next
            named = query.iris()
            rows = Rows(rows.vars, sorted(rows.rows, key=lambda row: (row[0] in named, _by_value(row))), rows.complete)
        holds = bool(rows.rows)
    evidence: dict[Term, tuple[Triple, ...]] = {}
    members: tuple[Term, ...] = ()
    if holds:
        evidence, members = _evidence(query, rows, memory, index, timeout_s)
    _set_roles(query, rows, memory)
    set_labels(memory, index)
    return Recalled(query, rows, memory, evidence, members)


def _follows(query: Query, memory: WorkingMemoryGraph, index: Index, timeout_s: float) -> Recalled | None:
    """The yes to what the graph does not state, where it follows by the ontology; ``None`` where it does not.

    Only what names all its nodes is looked at: what follows is not matched against variables.
    """
    triples = [triple for pattern in query.where.patterns if (triple := pattern.at({})) is not None]
    if query.where != Group(query.where.patterns) or len(triples) < len(query.where.patterns):
        return None
    proofs = []
    for triple in triples:
        proof = prove(triple, index.store, index.ontology, timeout_s=timeout_s)
        if not proof.steps:
            return None
        proofs.append(proof)
    evidence = dict.fromkeys(triples)
    for proof in proofs:
        memory.take_in(proof.steps)
        evidence |= dict.fromkeys(triple for triple, derivation in proof.steps if derivation is None)
    rows = Rows(("answer",), [(TRUE,)])
    _set_roles(query, rows, memory)
    set_labels(memory, index)
    return Recalled(query, rows, memory, {TRUE: tuple(evidence)})


def _by_value(row: tuple[Term | None, ...]) -> list[tuple[float, str]]:
    """A row's place in an order that is the same every time: numbers by value, then all else by text."""
    places = []
    for term in row:
        text = "" if term is None else str(term)
        is_number = isinstance(term, Literal) and re.fullmatch(r"[+-]?\d+(\.\d+)?", text) is not None
        places.append((float(text) if is_number else inf, text))
    return places


def _evidence(
    query: Query, rows: Rows, memory: WorkingMemoryGraph, index: Index, timeout_s: float
) -> tuple[dict[Term, tuple[Triple, ...]], tuple[Term, ...]]:
    """The triples of every solution, by the term in the first column that it belongs to; and what a count counts.

    Of a long result the first rows are traced. One answer with very many solutions leaves no room for others, so those
    that got none are asked for again.
    """
    first = query.select[0] if query.select else None
    if not isinstance(first, Variable):
        whole = [row[0] for row in rows.rows if row[0] is not None]
        found = _solutions(query, (), index, timeout_s)
        counted = [solution.get(first.variable.name) for solution in found] if first is not None else []
        triples = _take_in(query, found, memory, None, index, timeout_s).get(None, ()) or tuple(memory.triples())
        return dict.fromkeys(whole, triples), tuple(dict.fromkeys(term for term in counted if term is not None))
    missing = list(dict.fromkeys(row[0] for row in rows.rows if row[0] is not None))[:_TRACED]
    evidence: dict[Term, tuple[Triple, ...]] = {}
    while missing:
        restricted = not any(isinstance(term, BNode) for term in missing)  # a blank node cannot be named in a query
        found = _solutions(query, missing if restricted else (), index, timeout_s)
        by_term = _take_in(query, found, memory, first, index, timeout_s)
        traced = {term: triples for term, triples in by_term.items() if term in set(missing)}
        evidence |= {term: triples for term, triples in traced.items() if term is not None}
        if not traced or not restricted:
            break
        missing = [term for term in missing if term not in evidence]
    if not evidence:  # what rests on nested queries alone rests on all that they do
        evidence = dict.fromkeys(missing, tuple(memory.triples())) if len(memory) else {}
    return evidence, ()


def _nested(
    query: Query,
    solutions: Sequence[dict[str, Term | None]],
    memory: WorkingMemoryGraph,
    index: Index,
    timeout_s: float,
) -> list[dict[Term, list[Triple]]]:
    """Take in what the nested queries rest on, and return it by the term of their first column.

    Of one that only restricts a variable, the part that the solutions use; of an average, the first of its members.
    """
    found: list[dict[Term, list[Triple]]] = []
    for inner in query.where.nested:
        column = inner.select[0] if inner.select else None
        by = column if isinstance(column, Variable) and not inner.made else None
        used = dict.fromkeys(term for s in solutions if by is not None and (term := s.get(by.name)) is not None)
        is_named = bool(used) and not any(isinstance(term, BNode) for term in used)
        within = _solutions(inner, list(used)[:_SOLUTION_LIMIT] if is_named else (), index, timeout_s)
        taken = _take_in(inner, within if is_named else within[:_TRACED], memory, by, index, timeout_s)
        found.append({term: list(triples) for term, triples in taken.items() if term is not None and by is not None})
    return found


def _solutions(query: Query, answers: Sequence[Term], index: Index, timeout_s: float) -> list[dict[str, Term | None]]:
    """The solutions of the pattern, of some answers only if any are given, in the same order every time."""
    if not query.where.variables():
        return [{}]
    sparql = query.to_solutions(index.namespaces, answers=answers)
    found = index.store.select(sparql, timeout_s=timeout_s, limit=_SOLUTION_LIMIT)
    return [dict(zip(found.vars, row, strict=True)) for row in sorted(found.rows, key=_by_value)]


def _take_in(
    query: Query,
    solutions: Sequence[dict[str, Term | None]],
    memory: WorkingMemoryGraph,
    by: Variable | None,
    index: Index,
    timeout_s: float,
) -> dict[Term | None, tuple[Triple, ...]]:
    """Assert the triples of solutions, and return them by the term of a variable; under None without one.

    A solution proves the triples of the pattern's plain part. Those of optional and alternative parts may have been
    matched by nothing, so the graph is asked for them. Where a property is repeated, a shortest chain is found.
    """
    plain = set(query.where.patterns)
    chains = _chains(query, solutions, index, timeout_s)
    nested = _nested(query, solutions, memory, index, timeout_s)
    restricted = [(inner.columns()[0].name, triples) for inner, triples in zip(query.where.nested, nested, strict=True)]
    made = [
        (solution.get(by.name) if by is not None else None, triple, pattern in plain)
        for solution in solutions
        for pattern in query.where.triple_patterns()
        if (triple := pattern.at(solution)) is not None
    ]
    stated = _stated({triple for _, triple, is_proved in made if not is_proved}, index, timeout_s)
    collected: dict[Term | None, dict[Triple, None]] = defaultdict(dict)
    for owner, triple, is_proved in made:
        if is_proved or triple in stated:
            memory.assert_triple(triple)
            collected[owner][triple] = None
    for solution, chain in zip(solutions, chains, strict=True):
        members = [t for name, triples in restricted for t in triples.get(solution.get(name), ())]  # type: ignore[arg-type]
        for triple in [*chain, *members]:
            memory.assert_triple(triple)
            collected[solution.get(by.name) if by is not None else None][triple] = None
    return {owner: tuple(triples) for owner, triples in collected.items()}


def _chains(
    query: Query, solutions: Sequence[dict[str, Term | None]], index: Index, timeout_s: float
) -> list[list[Triple]]:
    """For each solution the triples by which its repeated properties lead from their subjects to their objects."""
    found: list[list[Triple]] = [[] for _ in solutions]
    for pattern in query.where.triple_patterns():
        path = pattern.predicate
        if not isinstance(path, Path):
            continue
        ends = [tuple(_at(end, solution) for end in (pattern.subject, pattern.object)) for solution in solutions]
        targets: dict[URIRef, set[Term]] = defaultdict(set)
        for start, end in ends:
            if isinstance(start, URIRef) and end is not None and len(targets) < _TRACED:
                targets[start].add(end)
        reached = {start: _walk(start, wanted, path.iri, index, timeout_s) for start, wanted in targets.items()}
        for number, (start, end) in enumerate(ends):
            if isinstance(start, URIRef) and end is not None:
                found[number] += reached.get(start, {}).get(end, [])
    return found


def _at(end: PatternTerm, solution: Mapping[str, Term | None]) -> Term | None:
    return solution.get(end.name) if isinstance(end, Variable) else end


def _walk(start: URIRef, wanted: Set[Term], prop: URIRef, index: Index, timeout_s: float) -> dict[Term, list[Triple]]:
    """A shortest chain of triples of one property to each of the wanted ends, found breadth first."""
    into: dict[Term, Triple] = {}
    level: list[URIRef] = [start]
    for _ in range(_LONGEST_CHAIN):
        values = " ".join(n3(node) for node in level[:_SOLUTION_LIMIT])
        sparql = f"SELECT ?s ?o WHERE {{ VALUES ?s {{ {values} }} ?s {n3(prop)} ?o }}"
        rows = index.store.select(sparql, timeout_s=timeout_s, limit=_SOLUTION_LIMIT).rows
        new = [
            (s, o) for s, o in sorted(rows, key=_by_value) if isinstance(s, URIRef) and o is not None and o not in into
        ]
        into |= {o: (s, prop, o) for s, o in reversed(new)}
        level = [o for o in dict.fromkeys(o for _, o in new) if isinstance(o, URIRef) and o != start]
        if not level or wanted <= into.keys():
            break
    chains = {}
    for end in wanted & into.keys():
        chain = [into[end]]
        while chain[0][0] != start:
            chain.insert(0, into[chain[0][0]])
        chains[end] = chain
    return chains


def _stated(triples: set[Triple], index: Index, timeout_s: float) -> set[Triple]:
    """Those of some triples that the graph states; one with a blank node cannot be asked for, and is left out."""
    asked = sorted(" ".join(n3(part) for part in t) for t in triples if not any(isinstance(p, BNode) for p in t))
    found: set[Triple] = set()
    for start in range(0, len(asked), 200):
        values = " ".join(f"({written})" for written in asked[start : start + 200])
        sparql = f"SELECT ?s ?p ?o WHERE {{ VALUES (?s ?p ?o) {{ {values} }} ?s ?p ?o }}"
        found |= {(s, p, o) for s, p, o in index.store.select(sparql, timeout_s=timeout_s).rows}  # type: ignore[misc]
    return found


def _describe(query: Query, memory: WorkingMemoryGraph, index: Index, timeout_s: float) -> Recalled:
    """The immediate facts of nodes, and of terms of the ontology what the ontology says of them."""
    found = index.store.select(query.to_sparql(index.namespaces), timeout_s=timeout_s, limit=_SOLUTION_LIMIT)
    by_node: dict[Node, list[Triple]] = defaultdict(list)
    for node, prop, value in found.rows:
        if isinstance(node, URIRef) and isinstance(prop, URIRef) and value is not None:
            by_node[node].append((node, prop, value))
    evidence: dict[Term, tuple[Triple, ...]] = {}
    for node in query.nodes:
        triples = by_node[node] or index.ontology.triples(node)
        kept = sorted(triples, key=lambda triple: (_telling(triple), n3(triple[2])))[:_FACTS_OF_A_NODE]
        for triple in kept:
            memory.assert_triple(triple)
        if kept:
            evidence[node] = tuple(kept)
    rows = Rows(("node",), [(node,) for node in query.nodes if node in evidence], found.complete)
    memory.set_roles(dict.fromkeys(evidence, "answer"))
    set_labels(memory, index)
    return Recalled(query, rows, memory, evidence)


def _telling(triple: Triple) -> tuple[int, str]:
    """What says most of a node comes first: names, descriptions, classes, then the rest."""
    _, prop, value = triple
    foreign = isinstance(value, Literal) and value.language not in (None, "en")
    if prop in NAME_PROPERTIES:
        return (3 if foreign else 0, prop)
    if prop in DESCRIPTION_PROPERTIES:
        return (3 if foreign else 1, prop)
    return (2 if prop == RDF_TYPE else 4, prop)


def _set_roles(query: Query, rows: Rows, memory: WorkingMemoryGraph) -> None:
    related = [pattern for pattern in query.where.triple_patterns() if pattern.predicate != RDF_TYPE]
    ends = {end for pattern in related for end in (pattern.subject, pattern.object)}
    given = [values.terms for group in query.where.groups() for values in group.values if values.variable in ends]
    patterns = query.where.triple_patterns()
    named = [*(end for p in patterns for end in (p.subject, p.object)), *(term for terms in given for term in terms)]
    roles: dict[Node, Role] = {term: "topic" for term in named if isinstance(term, URIRef)}
    for row in rows.rows:
        if row[0] is not None:
            roles[row[0]] = "answer"
    memory.set_roles(roles)


def set_labels(memory: WorkingMemoryGraph, index: Index) -> None:
    """The labels of all terms, and of each node the most special of its classes."""
    terms = list(dict.fromkeys(term for triple in memory.triples() for term in triple if isinstance(term, URIRef)))
    described = index.described(terms)
    for term in terms:
        memory.labels[term] = described[term].label if term in described else index.ontology.label(term)
    for term, node in described.items():
        if node.kind == "node" and node.types:
            memory.classes[term] = index.ontology.most_special(node.types)
    memory.labels |= {cls: index.ontology.label(cls) for cls in memory.classes.values() if cls not in memory.labels}
