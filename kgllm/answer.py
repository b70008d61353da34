"""Answer: claims, each with the triples it rests on, and the text made of them. Nothing is said beyond these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from typing import Literal as OneOfStrings

from kgllm.index import Index
from kgllm.link import Links
from kgllm.memory import WorkingMemoryGraph
from kgllm.ontology import DESCRIPTION_PROPERTIES, RDF_TYPE
from kgllm.plan import Plan
from kgllm.protocols import Exchange, Hit, Rows, Usage
from kgllm.query import Query, TriplePattern, Variable
from kgllm.recall import Recalled
from kgllm.terms import Literal, Namespaces, Node, Term, Triple, URIRef, clean, local_name, n3, readable, triple_n3
from kgllm.violation import Violation
from kgllm.words import with_article

if TYPE_CHECKING:
    import pandas

__all__ = ["Answer", "Claim", "Verdict", "abstain", "compose", "render_claims", "render_text", "sentence"]

Verdict: TypeAlias = OneOfStrings["asserted", "entailed", "contradicted", "unsupported"]
_SHOWN = 20
_MEMBERS = 12  # of what was counted, as many as a sentence bears


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of the answer, its verdict, and the triples that bear it out."""

    text: str
    verdict: Verdict
    evidence: tuple[Triple, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """The answer to a question, with all it rests on. ``results`` is the first column of ``rows``, best first.

    ``exchanges`` are the calls of the language model that it took; it is ``cached`` if not one of them had to be made.
    """

    question: str
    text: str
    rows: Rows = field(default_factory=lambda: Rows((), []))
    claims: tuple[Claim, ...] = ()
    query: Query | None = None
    memory: WorkingMemoryGraph = field(default_factory=lambda: WorkingMemoryGraph(""))
    violations: tuple[Violation, ...] = ()
    abstained: bool = False
    reason: str | None = None
    nearest: tuple[Hit, ...] = ()
    planner: OneOfStrings["embedded", "model"] = "embedded"
    model: str | None = None
    rounds: int = 1
    dropped: int = 0  # sentences of the model that its facts did not bear out, also when it had worded them again
    confidence: float = 0.0
    unread: tuple[str, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    exchanges: tuple[Exchange, ...] = ()
    cached: bool = False
    namespaces: Namespaces = field(default_factory=Namespaces)

    @property
    def results(self) -> list[Term]:
        """The first column of the rows, best first, without repetition."""
        return list(dict.fromkeys(row[0] for row in self.rows.rows if row and row[0] is not None))

    @property
    def facts(self) -> list[Triple]:
        """The triples that the claims rest on, in the order of their numbers in the text."""
        return list(dict.fromkeys(triple for claim in self.claims for triple in claim.evidence))

    @property
    def sparql(self) -> str:
        """The query as SPARQL; empty if there was none to run."""
        return self.query.to_sparql(self.namespaces) if self.query is not None else ""

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a pandas DataFrame, literals as Python values. Raises ``BackendError`` without pandas."""
        return self.rows.to_frame()

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        found = "abstained" if self.abstained else f"{len(self.results)} results"
        return f"<Answer {found}: {clean(self.text, cap=120)!r}>"

    def _repr_html_(self) -> str:
        from kgllm.pages import answer_html, unique

        return answer_html(self, key=unique(self.question, self.text))

    def save(self, path: str | Path) -> Path:
        """Write the answer to a file, by its ending a page to send (html), a text (md) or data (json).

        Raises ``InputError`` for any other ending.
        """
        from kgllm.pages import save_answer

        return save_answer(self, path)

    def to_json(self) -> dict[str, Any]:
        """The answer as ``kgllm ask --json`` prints it; terms are written as in N-Triples."""
        return {
            "question": self.question,
            "text": self.text,
            "abstained": self.abstained,
            "reason": self.reason,
            "vars": list(self.rows.vars),
            "rows": [[_written(term) for term in row] for row in self.rows.rows],
            "results": [_written(term) for term in self.results],
            "complete": self.rows.complete,
            "claims": [
                {"text": c.text, "verdict": c.verdict, "evidence": [triple_n3(t) for t in c.evidence]}
                for c in self.claims
            ],
            "query": self.sparql,
            "memory": {
                "triples": [
                    {"triple": triple_n3(fact.triple), "status": fact.status, "rule": fact.rule} for fact in self.memory
                ],
                "links": [
                    {"span": link.span, "iri": n3(link.iri), "kind": link.kind, "score": round(link.score, 4)}
                    for link in self.memory.links
                ],
            },
            "violations": [violation.to_json() for violation in self.violations],
            "planner": self.planner,
            "model": self.model,
            "rounds": self.rounds,
            "dropped": self.dropped,
            "confidence": round(self.confidence, 4),
            "unread": list(self.unread),
            "timings_ms": {stage: round(ms, 2) for stage, ms in self.timings_ms.items()},
            "usage": {
                "prompt_tokens": self.usage.prompt_tokens,
                "completion_tokens": self.usage.completion_tokens,
                "cached_tokens": self.usage.cached_tokens,
            },
            "cached": self.cached,
        }


def _written(term: Term | None) -> str | None:
    return None if term is None else n3(term)


def compose(plan: Plan, recalled: Recalled, violations: Sequence[Violation], index: Index) -> Answer:
    """The answer that code words, from the rows and their evidence alone."""
    claims = render_claims(plan.query, recalled)
    return Answer(
        question=recalled.memory.question,
        text=render_text(plan.query, recalled, claims),
        rows=recalled.rows,
        claims=claims,
        query=plan.query,
        memory=recalled.memory,
        violations=tuple(violations),
        confidence=plan.confidence,
        unread=plan.unread,
        namespaces=index.namespaces,
    )


def abstain(links: Links, tried: Plan | None, nearest: Sequence[Hit], index: Index, observed: str | None) -> Answer:
    """The answer that says that the graph does not say, what was looked for, and what comes nearest."""
    named = ", ".join(f"“{clean(m.text)}”" for m in links.mentions if m.candidates[0].kind == "node")
    if tried is None and observed is None:
        reason = (
            f"it has nothing like what is asked about {named}"
            if named
            else "no word of the question names a thing in it"
        )
    else:
        reason = observed or "it has nothing that fits the question"
    said = f"The graph does not say: {reason}."
    if tried is not None:
        terms = [index.label(iri) for iri in sorted(tried.query.iris())]
        said += f" Looked for: {', '.join(clean(term) for term in terms[:6])}."
    if nearest:
        said += " Nearest: " + ", ".join(_near(hit, index) for hit in nearest[:3]) + "."
    return Answer(
        question=links.question,
        text=said,
        query=tried.query if tried is not None else None,
        memory=WorkingMemoryGraph(links.question, links=links.hits()),
        abstained=True,
        reason=reason,
        nearest=tuple(nearest),
        confidence=tried.confidence if tried is not None else 0.0,
        namespaces=index.namespaces,
    )


def _near(hit: Hit, index: Index) -> str:
    return f'{index.namespaces.curie(hit.iri)} ! "{clean(index.label(hit.iri))}"'


def name_of(term: Node, labels: Mapping[Node, str]) -> str:
    """A term as a person reads it: its label, or the literal's text; safe to show."""
    if isinstance(term, Literal):
        return clean(str(term))
    return clean(labels.get(term) or readable(local_name(str(term))))


_PREPOSITIONS = frozenset(["by", "in", "on", "at", "of", "for", "to", "from", "with", "into"])
_VERBS = frozenset(["is", "are", "was", "were", "has", "have", "had", "contains", "includes", "measures", "carries"])


def is_verbal(label: str) -> bool:
    """Whether a label joins two names as a verb does: "walked on", "has part", "commanded"; not "commander"."""
    words = label.split()
    is_past = len(words[0]) > 4 and words[0].endswith("ed") and not words[0].endswith(("eed", "shed"))
    return words[0] in _VERBS or words[-1] in _PREPOSITIONS or is_past


def sentence(triple: Triple, labels: Mapping[Node, str]) -> str:
    """One triple as an English sentence, made of labels alone.

    >>> sentence((URIRef("e:Apollo_11"), URIRef("e:commander"), URIRef("e:Neil_Armstrong")), {})
    'The commander of apollo 11 is neil armstrong.'
    """
    s, p, o = triple
    subject, object_ = name_of(s, labels), name_of(o, labels)
    if p == RDF_TYPE:
        return f"{subject} is {with_article(object_)}."
    if p in DESCRIPTION_PROPERTIES:
        return f"{subject}: {object_}"
    label = name_of(p, labels)
    words = label.split()
    if words[-1] == "by":
        return f"{subject} is {label} {object_}."
    if is_verbal(label):
        return f"{subject} {label} {object_}."
    return f"The {label} of {subject} is {object_}."


def render_claims(query: Query, recalled: Recalled) -> tuple[Claim, ...]:
    """A claim for each row, worded from its triples; for a count one claim for the number, with all members."""
    labels = recalled.memory.labels
    claims = []
    for row in recalled.rows.rows:
        answer = row[0]
        if answer is None:
            continue
        evidence = recalled.evidence.get(answer, ())
        if not evidence:  # a no, and rows beyond those that are traced: listed as results, claimed by no sentence
            continue
        if query.form == "count":
            text = _count_sentence(answer, recalled.members, labels)
        else:
            told = [t for t in evidence if t[1] != RDF_TYPE] or list(evidence)
            if query.form == "describe":
                told = _described(told)
            text = " ".join(sentence(triple, labels) for triple in told[:6])
        claims.append(Claim(text, verdict_of(evidence, recalled.memory), evidence))
    return tuple(claims)


def _count_sentence(count: Term, members: Sequence[Term], labels: Mapping[Node, str]) -> str:
    """The number with the first of the members that it counts."""
    named = [name_of(member, labels) for member in members[:_MEMBERS]]
    more = ", …" if len(members) > len(named) else ""
    return f"The graph has {count}: {', '.join(named)}{more}." if named else f"The graph has {count}."


def _described(triples: Sequence[Triple]) -> list[Triple]:
    descriptions = [t for t in triples if t[1] in DESCRIPTION_PROPERTIES and _is_read(t[2])]
    return descriptions[:1] or list(triples[:3])


def _is_read(value: Term) -> bool:
    return isinstance(value, Literal) and (value.language or "en").startswith("en")


def verdict_of(evidence: Sequence[Triple], memory: WorkingMemoryGraph) -> Verdict:
    """Asserted if every triple is in the graph, entailed if a rule was needed, unsupported if one is not in memory."""
    facts = [memory.fact(triple) for triple in evidence]
    if not facts or None in facts:
        return "unsupported"
    return "asserted" if all(fact is not None and fact.status == "asserted" for fact in facts) else "entailed"


def render_text(query: Query, recalled: Recalled, claims: Sequence[Claim]) -> str:
    """The answer in words, with ``[n]`` for the facts that each part rests on."""
    labels = recalled.memory.labels
    numbers = {t: n for n, t in enumerate(dict.fromkeys(t for c in claims for t in c.evidence), start=1)}
    if query.form == "ask":
        holds = str(recalled.rows.rows[0][0]) == "true"
        return (
            f"Yes{_cited(claims[0].evidence, numbers)}."
            if holds and claims
            else ("Yes." if holds else "No: the graph does not state it.")
        )
    if query.form == "describe" and claims:
        return " ".join(claim.text.rstrip() + _cited(claim.evidence[:3], numbers) for claim in claims[:3])
    parts = []
    claimed = [row for row in recalled.rows.rows if row[0] is not None and row[0] in recalled.evidence]
    for claim, row in zip(claims[:_SHOWN], claimed, strict=False):
        shown = ": ".join(name_of(term, labels) for term in row if term is not None)
        parts.append(shown + _cited(claim.evidence, numbers))
    if (more := len(recalled.rows.rows) - len(parts)) > 0:
        parts.append(f"{more} more")
    listed = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    listed += "" if recalled.rows.complete else " (and more: the result was cut)"
    return _lead(query, labels, plural=len(parts) > 1).format(listed) if query.form == "select" else f"{listed}."


def _lead(query: Query, labels: Mapping[Node, str], *, plural: bool) -> str:
    """For the query of a single pattern a sentence with a place for the answers; else the place alone."""
    patterns = list(query.where.triple_patterns())
    plain = "{}."
    if len(patterns) != 1 or not isinstance(patterns[0].predicate, URIRef) or len(query.select) != 1:
        return plain
    (pattern,) = patterns
    if pattern.predicate == RDF_TYPE:
        return plain
    return _sentence_with_place(pattern, labels, plural=plural) or plain


def _sentence_with_place(pattern: TriplePattern, labels: Mapping[Node, str], *, plural: bool) -> str | None:
    label = name_of(pattern.predicate, labels).replace("{", "(").replace("}", ")")  # type: ignore[arg-type]
    words = label.split()
    verbal = is_verbal(label)
    if isinstance(pattern.object, Variable) and isinstance(pattern.subject, URIRef):
        subject = name_of(pattern.subject, labels).replace("{", "(").replace("}", ")")
        if words[-1] == "by":
            return f"{subject} is {label} {{}}."
        return (
            f"{subject} {label} {{}}."
            if verbal
            else f"{_the(label)} of {subject}: {{}}."
            if plural
            else (f"{_the(label)} of {subject} is {{}}.")
        )
    if isinstance(pattern.subject, Variable) and isinstance(pattern.object, URIRef) and verbal and words[-1] != "by":
        return f"{{}} {label} {name_of(pattern.object, labels).replace('{', '(').replace('}', ')')}."
    return None


def _the(label: str) -> str:
    return f"The {label}"


def _cited(evidence: Sequence[Triple], numbers: Mapping[Triple, int]) -> str:
    cited = sorted({numbers[triple] for triple in evidence if triple in numbers})
    return "" if not cited else " " + "".join(f"[{n}]" for n in cited[:4]) + ("…" if len(cited) > 4 else "")
