"""HTML of what is found: fragments for a notebook, and an answer as a page of its own. Nothing in it runs or loads.

A fragment keeps its style to itself by its id. Without any style, as some places show it, it still reads.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from kgllm.display import answer_markdown, counted, remarks, violation_line
from kgllm.drawing import draw, escaped, theme
from kgllm.export import file_and_ending, write_whole
from kgllm.markup import SHOWN, facts_table, fold, link_to, more, table_of
from kgllm.memory import WorkingMemoryGraph
from kgllm.page_picture import PagePicture
from kgllm.picture import Picture, picture
from kgllm.terms import Literal, Namespaces, Triple, URIRef
from kgllm.violation import NOT_CHECKED, Violation

if TYPE_CHECKING:
    from kgllm.answer import Answer
    from kgllm.checking import CheckReport
    from kgllm.lookup import NodeView
    from kgllm.overview import ClassCount, Overview

__all__ = [
    "answer_html",
    "answer_page",
    "memory_html",
    "node_html",
    "overview_html",
    "report_html",
    "save_answer",
    "unique",
]

_RELATIONS = 12  # in the picture of a graph
_OVERVIEW = 15  # classes or properties in a table
_CSS = """
{font-family:system-ui,sans-serif;font-size:14px;line-height:1.5;color:var(--ink);background:var(--paper);
padding:12px 16px;max-width:920px;overflow-wrap:break-word}
 a{color:var(--link)}
 .said{font-size:17px;margin:4px 0 8px}
 .dim, code{color:var(--dim);font-size:12px}
 .badge{display:inline-block;border:1px solid var(--rule);border-radius:10px;padding:0 9px;margin:0 2px 4px 0;
font-size:12px;color:var(--dim)}
 .good{color:var(--good)}
 .bad{color:var(--bad);border-color:currentColor}
 .scroll{overflow-x:auto;margin:8px 0}
 summary{cursor:pointer}
 summary h2, summary b{display:inline;font-size:14px;font-weight:600;margin:0}
 details{margin:6px 0}
 table{border-collapse:collapse;margin:4px 0;background:none;color:inherit}
 th, td{padding:3px 10px 3px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule);background:none}
 td{overflow-wrap:anywhere}
 td + td{min-width:8.5em}
 tr[id] td:first-child{overflow-wrap:normal}
 th{white-space:nowrap;font-weight:600;font-size:12px;color:var(--dim)}
 tr:target{outline:2px solid var(--link)}
 pre{white-space:pre-wrap;margin:4px 0;color:inherit;background:none}
 h1{font-size:20px;margin:0 0 4px}
 p{margin:4px 0}
"""
_PAGE_CSS = (
    "body{margin:0 auto;max-width:1440px;background:#fff}.kgllm{max-width:none!important}h1,.said{max-width:56rem}"
    "@media (prefers-color-scheme:dark){body{background:#15181d}}"
    "@media (max-width:600px){td+td{min-width:5em!important}}"
    "@media print{body{background:#fff}details::details-content{content-visibility:visible;block-size:auto}"
    "summary{list-style:none}.scroll{overflow:visible}.scroll svg{min-width:0!important}tr,svg{break-inside:avoid}}"
)
_seen: Counter[str] = Counter()


def unique(*parts: object) -> str:
    """An id that no other output of this process has: from what is shown, and how often that was shown before."""
    key = _key(*parts)
    _seen[key] += 1
    return key if _seen[key] == 1 else f"{key}-{_seen[key]}"


def _key(*parts: object) -> str:
    text = "\n".join(map(str, parts))
    return "kgllm-" + sha256(text.encode("utf-8", "replace")).hexdigest()[:10]


def save_answer(answer: Answer, path: str | Path) -> Path:
    """Write an answer to a file whose ending says in which form; the file is there whole, or as it was before.

    Raises ``InputError`` for another ending, and for a place that cannot be written to.
    """
    file, ending = file_and_ending(path, tuple(_FORMS), of="an answer")
    write_whole(file, _FORMS[ending](answer).encode("utf-8", "backslashreplace"))
    return file


def _json(answer: Answer) -> str:
    return json.dumps(answer.to_json(), ensure_ascii=False, indent=2) + "\n"


def answer_page(answer: Answer) -> str:
    """The answer as a whole HTML document that may load and run nothing; printed, all of it is on paper."""
    key = _key(answer.question)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="generator" content="kgllm">'
        f"<title>{escaped(answer.question)}</title><style>{_PAGE_CSS}</style></head>\n"
        f"<body><main>{_wrapped(key, _answer_parts(answer, key, is_page=True))}</main></body></html>\n"
    )


_FORMS: Mapping[str, Callable[[Answer], str]] = {
    ".html": answer_page,
    ".md": lambda answer: answer_markdown(answer) + "\n",
    ".json": _json,
}


def answer_html(answer: Answer, *, key: str = "") -> str:
    """The answer as a fragment: text with citations, checks, a picture of the memory, facts and query. No script."""
    key = key or _key(answer.question, answer.text)
    return _wrapped(key, _answer_parts(answer, key, is_page=False))


def _answer_parts(answer: Answer, key: str, *, is_page: bool) -> Iterable[str]:
    memory, facts, namespaces = answer.memory, answer.facts, answer.namespaces
    drawn = picture(memory, first=facts, answers=answer.results, counted=_number(answer))
    shown = PagePicture(drawn, memory, namespaces, key)
    classes = shown.row_classes if is_page else {}
    stated = set(facts)
    tag = "h1" if is_page else "p"
    yield f'<{tag} class="question" dir="auto">{escaped(answer.question)}</{tag}>'
    yield f'<p class="said" dir="auto">{_cited(answer.text, key, facts[:SHOWN], classes)}</p>'
    yield f"<p>{' '.join(_badges(answer))}</p>"
    if answer.abstained and answer.nearest:
        nearest = ", ".join(link_to(hit.iri, hit.text, namespaces) for hit in answer.nearest)
        yield f"<p>Nearest: {nearest}</p>"
    if len(memory):
        yield shown.html() if is_page else _picture(drawn, key)
    if facts:
        rows = facts_table(facts, memory, namespaces, ids=f"{key}-f", classes=classes)
        yield fold(counted(len(facts), "fact"), rows, is_open=is_page, is_page=is_page)
    if is_page and (further := [fact.triple for fact in memory if fact.triple not in stated]):
        rows = facts_table(further, memory, namespaces, classes=classes)
        title = counted(len(further), "further fact of the memory", "further facts of the memory")
        yield fold(title, rows, is_page=is_page)
    if violations := answer.violations:
        title = counted(len(violations), "remark of the checks", "remarks of the checks")
        yield fold(title, _listed(violations, namespaces), is_page=is_page)
    if answer.sparql:
        yield fold("Query", f"<pre><code>{_lines(answer.sparql)}</code></pre>", is_page=is_page)
    yield f'<p class="dim">{escaped(remarks(answer))}</p>'


def _number(answer: Answer) -> int | None:
    """The number that an answer gives, if its query counts."""
    if answer.query is None or answer.query.form != "count" or not answer.results:
        return None
    text = str(answer.results[0])
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def memory_html(memory: WorkingMemoryGraph, *, key: str = "") -> str:
    """A memory as a fragment: its picture, and all its facts."""
    key = key or _key(memory.question, *memory.triples())
    namespaces = Namespaces(memory.prefixes)
    parts = [f"<p><bdi>{escaped(memory.question)}</bdi></p>"]
    if len(memory):
        facts = memory.triples()
        parts.append(_picture(picture(memory), key))
        parts.append(fold(counted(len(facts), "fact"), facts_table(facts, memory, namespaces, ids=f"{key}-f")))
    else:
        parts.append('<p class="dim">no facts</p>')
    return _wrapped(key, parts)


def node_html(view: NodeView, *, key: str = "") -> str:
    """A node as a fragment: what it is, its picture, and its facts in both directions."""
    key = key or _key(view.iri)
    memory = WorkingMemoryGraph(view.label, prefixes=view.namespaces.prefixes)
    groups = [("→", facts) for facts in view.outgoing] + [("←", facts) for facts in view.incoming]
    for arrow, facts in groups:
        for end in facts.nodes:
            if arrow == "→":
                memory.assert_triple((view.iri, facts.property, end))
            elif not isinstance(end, Literal):
                memory.assert_triple((end, facts.property, view.iri))
    for ring in view.rings:
        for triple in ring.triples:
            memory.assert_triple(triple)
    memory.labels = {**view.labels, view.iri: view.label}
    memory.classes = dict(view.classes)
    memory.set_roles({view.iri: "topic"})
    kinds = ", ".join(link_to(cls, view.labels.get(cls), view.namespaces) for cls in view.types)
    parts = [f'<p class="said">{link_to(view.iri, view.label, view.namespaces)}</p>']
    parts += [f"<p>a {kinds}</p>"] if kinds else []
    parts += [f'<p dir="auto">{escaped(view.description, cap=2_000)}</p>'] if view.description else []
    if len(memory):
        left_out = sum(facts.count - len(facts.nodes) for _, facts in groups)
        parts.append(_picture(picture(memory), key, left_out=left_out))
    rows = []
    for arrow, facts in groups:
        ends = [link_to(end, view.labels.get(end), view.namespaces) for end in facts.nodes]
        ends += [f'<span class="dim">and {facts.count - len(ends):,} more</span>'] if facts.count > len(ends) else []
        rows.append(
            [arrow, link_to(facts.property, view.labels.get(facts.property), view.namespaces), "<br>".join(ends)]
        )
    total = sum(facts.count for _, facts in groups)
    if rows:
        heads = ("Direction", "Property", "Nodes and values")
        parts.append(fold(counted(total, "fact"), table_of(heads, rows), is_open=True))
    if further := [triple for ring in view.rings for triple in ring.triples]:
        title = counted(len(further), "fact of its neighbours", "facts of its neighbours")
        parts.append(fold(title, facts_table(further, memory, view.namespaces, ids=f"{key}-f")))
    if view.others:
        parts.append(f"<p>Of the same name: {', '.join(link_to(o, None, view.namespaces) for o in view.others)}</p>")
    return _wrapped(key, parts)


def report_html(report: CheckReport, *, key: str = "") -> str:
    """What a check found, as a fragment: the verdict, and the findings by kind."""
    from kgllm.checking import FAULTS

    verdict = {True: ("good", "conforms ✓"), False: ("bad", "does not conform"), None: ("", "not checked to the end")}
    kind, told = verdict[report.conforms]
    against = " and ".join(report.against)
    parts = [
        f'<p class="said"><bdi>{escaped(report.what)}</bdi> {_badge(told, kind)}</p>',
        f'<p class="dim">{report.triples:,} triples against {escaped(against)}, {report.seconds:.1f} s</p>',
    ]
    groups: dict[tuple[str, str, str], list[Violation]] = {}
    for violation in report.violations:
        groups.setdefault((violation.constraint, violation.severity, violation.blame), []).append(violation)
    for (constraint, severity, blame), members in groups.items():
        rows = [
            [
                *(
                    "" if term is None else link_to(term, report.labels.get(term), report.namespaces)
                    for term in (v.focus, v.path, v.value)
                ),
                escaped(v.message),
            ]
            for v in members[:SHOWN]
        ]
        listed = table_of(("Focus node", "Path", "Value", "Message"), rows) + more(len(members))
        told = f"{len(members):,} × {escaped(constraint)} ({severity.lower()}, {FAULTS[blame]})"
        parts.append(fold(told, listed, is_open=len(groups) <= 3 and len(members) <= 10))
    return _wrapped(key or _key(report.what, report.triples, len(report.violations)), parts)


def overview_html(overview: Overview, *, key: str = "") -> str:
    """What is in a graph, as a fragment: its size, and tables of its classes and properties."""
    classes = [c for c in overview.classes if c.count]
    properties = sorted(overview.properties, key=lambda p: p.is_plumbing)
    labels = {c.iri: c.label for c in overview.classes}
    namespaces = overview.namespaces

    def either(ends: Sequence[URIRef]) -> str:
        names = " | ".join(escaped(labels.get(end) or namespaces.curie(end)) for end in ends[:3])
        return (names or "any") + (" | …" if len(ends) > 3 else "")

    class_rows = [
        [f"{c.count:,}", link_to(c.iri, c.label, namespaces), escaped(", ".join(c.examples))] for c in classes
    ]
    property_rows = [
        [f"{p.count:,}", either(p.domains), link_to(p.iri, p.label, namespaces), either(p.ranges)] for p in properties
    ]
    languages = ", ".join(f"{escaped(tag) or 'no tag'} {count:,}" for tag, count in overview.languages.items())
    dates = ", ".join(f"{escaped(d.label)} {escaped(d.first)} to {escaped(d.last)}" for d in overview.dates)
    key = key or _key(overview.source, overview.triples)
    size = f"{overview.triples:,} triples, {overview.nodes:,} nodes; the ontology is {overview.ontology}"
    class_title = f"{counted(len(classes), 'class', 'classes')} with instances"
    property_title = counted(len(properties), "property", "properties")
    asked = "".join(f"<li><bdi>{escaped(question)}</bdi></li>" for question in overview.questions)
    parts = [
        f'<p class="said"><bdi>{escaped(overview.source)}</bdi></p>',
        f"<p>{size}{' from the data' if overview.ontology == 'observed' else ''}</p>",
        *([_picture(graph, key)] if (graph := _class_graph(overview, classes)).boxes else []),
        *([fold("One can ask", f"<ul>{asked}</ul>", is_open=True)] if asked else []),
        _long_table(class_title, ("Nodes", "Class", "Among them"), class_rows),
        _long_table(property_title, ("Triples", "From", "Property", "To"), property_rows),
        *([f'<p class="dim">Dates: {dates}.</p>'] if dates else []),
        f'<p class="dim">Names: {languages or "none"}; {overview.unnamed:,} of {overview.subjects:,} subjects have '
        f"none. Prefixes: {', '.join(map(escaped, overview.prefixes)) or 'none'}.</p>",
    ]
    return _wrapped(key, parts)


def _class_graph(overview: Overview, classes: Sequence[ClassCount]) -> Picture:
    """The properties with the most triples, each between the two classes that it joins most often."""
    memory = WorkingMemoryGraph(overview.source)
    memory.labels = {c.iri: f"{c.label} ({c.count:,})" for c in classes}
    for prop in sorted(overview.properties, key=lambda p: -p.count):
        start, end = (next((c for c in ends if c in memory.labels), None) for ends in (prop.domains, prop.ranges))
        if start is not None and end is not None and not prop.is_plumbing and len(memory) < _RELATIONS:
            memory.assert_triple((start, prop.iri, end))
    memory.labels |= {prop.iri: prop.label for prop in overview.properties}
    return picture(memory)


def _wrapped(key: str, parts: Iterable[str]) -> str:
    rules = [rule + "}" for rule in _CSS.replace("\n", "").split("}") if rule]
    style = "".join(f"#{key}" + rule.replace(", ", f", #{key} ", rule.partition("{")[0].count(", ")) for rule in rules)
    return f'<div id="{key}" class="kgllm"><style>{theme(f"#{key}")}{style}</style>{"".join(parts)}</div>'


def _cited(text: str, key: str, facts: Sequence[Triple], classes: Mapping[Triple, str]) -> str:
    """The text with its citations as links to the rows of the facts, each of the class of its fact."""

    def link(match: re.Match[str]) -> str:
        number = match[1]
        if not (len(number) < 6 and 0 < int(number) <= len(facts)):
            return f"<sup>[{number}]</sup>"
        name = classes.get(facts[int(number) - 1])
        look = f' class="{name}"' if name else ""
        return f'<sup><a{look} href="#{key}-f{int(number)}">[{number}]</a></sup>'

    return re.sub(r" ?\[([0-9]+)\]", link, escaped(text, cap=None))


def _badges(answer: Answer) -> Iterable[str]:
    """What was checked and how it came out, and how sure the answer is."""
    checked = answer.memory.checked_against if len(answer.memory) else ()
    is_cut = any(violation.constraint == NOT_CHECKED for violation in answer.violations)
    for part in checked:
        faults = [v for v in answer.violations if (v.source, v.severity) == (part, "Violation")]
        if faults:
            yield _badge(f"{part}: {counted(len(faults), 'violation')}", "bad")
        elif is_cut and part == checked[-1]:
            yield _badge(f"{part} not checked")
        else:
            yield _badge(f"{part} ✓", "good")
    if not checked and answer.facts:
        yield _badge("not checked")
    if answer.abstained:
        yield _badge("no answer")
    elif answer.confidence:
        yield _badge(f"confidence {answer.confidence:.2f}")


def _picture(drawn: Picture, key: str, *, left_out: int = 0) -> str:
    """A picture as an image, in a frame that is scrolled where it is too narrow, by keyboard too; what is not drawn.

    Notebooks that are not trusted, and the places that show notebooks, take an SVG element apart and leave its texts.
    """
    left_out += drawn.left_out
    note = f'<p class="dim">{counted(left_out, "more fact")} not drawn</p>' if left_out else ""
    svg = draw(drawn, f"{key}-m")
    coded = b64encode(svg.encode("utf-8", "replace")).decode()
    look = "".join(re.findall(r' (?:width|height|style)="[^"]*"', svg.partition(">")[0]))
    told = f"Working memory: {counted(len(drawn.boxes), 'node')}, {counted(len(drawn.lines), 'edge')}"
    image = f'<img src="data:image/svg+xml;base64,{coded}" alt="{told}"{look}>'
    return f'<div class="scroll" tabindex="0" role="group" aria-label="Picture">{image}</div>{note}'


def _badge(text: str, kind: str = "") -> str:
    return f'<span class="badge {kind}">{escaped(text)}</span>'


def _lines(text: str) -> str:
    return "\n".join(escaped(line, cap=None) for line in text.splitlines())


def _long_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, what goes beyond one screen in a fold of its own."""
    first = fold(title, table_of(heads, rows[:_OVERVIEW]), is_open=True)
    rest = rows[_OVERVIEW:]
    return first + (fold(f"and {len(rest):,} more", table_of(heads, rest)) if rest else "")


def _listed(violations: Sequence[Violation], namespaces: Namespaces) -> str:
    items = "".join(f"<li>{escaped(violation_line(v, namespaces))}</li>" for v in violations[:SHOWN])
    return f"<ul>{items}</ul>{more(len(violations))}"
