"""The picture in a page, which answers to what one does and runs nothing: all of it is links, check boxes and CSS.

The rules are written over ids and classes that are made here, never over a text of the graph: ``b3`` is what stands for
the box 3, ``j3`` what is joined to it, ``t5`` what stands for the line 5, ``u5`` that line with its ends, ``c2`` what
goes with the kind 2 of node, ``q1`` the lines of the set 1 of properties. What is dimmed, one rule says for all; those
that light it again each name a class that few elements have, so that a browser tries few of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from kgllm.display import counted, term_text
from kgllm.drawing import OTHER_COLOUR, ROLES, Hooks, colours_of, draw, escaped
from kgllm.markup import SHOWN, facts_table, link_to, more
from kgllm.memory import WorkingMemoryGraph
from kgllm.picture import Box, Picture
from kgllm.terms import Literal, Namespaces, Node, Triple, URIRef

__all__ = ["PagePicture"]

_PAGE = ".kgllm"  # there is one in a page
_CSS = """
.tools{font-size:12px;color:var(--dim);margin:8px 0 0;display:flex;flex-wrap:wrap;gap:0 20px;align-items:baseline}
.tools p, .tools details{margin:2px 0}
.tools details[open]{width:100%}
.tools fieldset{border:0;margin:0;padding:2px 0;min-width:0}
.tools legend{float:left;padding:0 8px 0 0;font-weight:600}
.tools label{display:inline-block;margin-right:10px;overflow-wrap:anywhere}
.tools input{margin:0 4px 0 0;vertical-align:-2px}
.swatch{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:4px}
.scroll a:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.about{border:1px solid var(--rule);border-radius:8px;padding:4px 14px 8px;margin:8px 0}
.about h2{font-size:15px;margin:4px 0}
.about ul{margin:4px 0;padding-left:20px;columns:16em}
""".replace("\n", "")
_ON_SCREEN = ".scroll{max-height:80vh;overflow:auto}.about{scroll-margin-top:50vh}.about:not(:target){display:none}"
_ZOOMS = ("auto", "fit", "100 %", "200 %")


@dataclass(frozen=True)
class PagePicture:
    """A picture in the page with the id ``key``, and below it the facts of the node that one chooses."""

    drawn: Picture
    memory: WorkingMemoryGraph
    namespaces: Namespaces
    key: str

    @cached_property
    def row_classes(self) -> dict[Triple, str]:
        """Of each triple that is drawn the class of what stands for it: pointed at, it lights the line."""
        return {triple: f"t t{number}" for number, line in enumerate(self.drawn.lines) for triple in line.triples}

    def html(self) -> str:
        """Controls, the picture in a frame that scrolls, and the node's facts."""
        svg = draw(self.drawn, f"{self.key}-m", hooks=Hooks(self._links(), self._lines()))
        left_out = self.drawn.left_out
        note = f'<p class="dim">{counted(left_out, "more fact")} not drawn</p>' if left_out else ""
        return (
            f"<style>{self._style(svg)}</style>"
            f'<div class="tools"><p>Choose a node to see its facts.</p>{self._zoom()}{self._filter()}</div>'
            f'<div class="scroll" tabindex="0" role="group" aria-label="Picture">{svg}</div>{note}'
            + "".join(self._sections())
        )

    @cached_property
    def _numbers(self) -> dict[Node, int]:
        """The number of the box that stands for a node."""
        boxes = enumerate(self.drawn.boxes.values())
        return {node: number for number, box in boxes for node in (box.node, *box.nodes)}

    @cached_property
    def _kinds(self) -> dict[URIRef | str, int]:
        """The kinds of node that can be hidden, the classes with a colour of their own first, and their numbers."""
        counts = Counter(map(_kind, self.drawn.boxes.values()))
        coloured = list(colours_of(self.drawn))
        others = counts.keys() - set(coloured)
        ordered = sorted(others, key=lambda kind: (not isinstance(kind, URIRef), -counts[kind], kind))
        return {kind: number for number, kind in enumerate([*coloured, *ordered])}

    @cached_property
    def _properties(self) -> dict[URIRef, str]:
        """The properties that can be hidden, with their labels."""
        return {
            iri: label for line in self.drawn.lines for iri, label in zip(line.properties, line.labels, strict=True)
        }

    @cached_property
    def _sets(self) -> dict[tuple[URIRef, ...], int]:
        """The sets of properties that a line stands for, and their numbers."""
        return {
            found: number for number, found in enumerate(dict.fromkeys(line.properties for line in self.drawn.lines))
        }

    def _links(self) -> dict[Node, str]:
        """The attributes of each box as a link to the facts of its node."""
        boxes = self.drawn.boxes
        joined: dict[Node, set[str]] = {node: {f"j{self._numbers[node]}"} for node in boxes}
        for number, line in enumerate(self.drawn.lines):
            for end, other in ((line.start, line.end), (line.end, line.start)):
                joined[end] |= {f"j{self._numbers[other]}", f"u{number}"}
        found = {}
        for node, box in boxes.items():
            number = self._numbers[node]
            classes = f"g b b{number} c{self._kinds[_kind(box)]} {' '.join(sorted(joined[node]))}"
            name = ", ".join([escaped(box.label), *self._told(box)])
            found[node] = (
                f'id="{self.key}-b{number}" class="{classes}" href="#{self.key}-n{number}" aria-label="{name}"'
            )
        return found

    def _lines(self) -> list[str]:
        """The classes of each line."""
        found = []
        for number, line in enumerate(self.drawn.lines):
            ends = [self.drawn.boxes[end] for end in dict.fromkeys((line.start, line.end))]
            names = [f"g t t{number} u{number} q{self._sets[line.properties]}"]
            names += [f"j{self._numbers[box.node]} c{self._kinds[_kind(box)]}" for box in ends]
            found.append(" ".join(names))
        return found

    def _told(self, box: Box) -> Iterator[str]:
        """The class and the role of a box, in words."""
        if box.cls is not None:
            yield escaped(self.drawn.class_labels[box.cls])
        if box.role in ROLES:
            yield ROLES[box.role]

    def _style(self, svg: str) -> str:
        key = f"#{self.key}"
        boxes, lines = range(len(self.drawn.boxes)), range(len(self.drawn.lines))
        lit = [f"{_PAGE}:has(.b{number}:is(:hover,:focus-visible)) .j{number}" for number in boxes]
        lit += [f"{_PAGE}:has({_pointed(f't{number}')}) .u{number}" for number in lines]
        chosen = [f"{_PAGE}:has({key}-n{number}:target) .b{number}>rect:last-of-type" for number in boxes]
        hidden = [f"{_PAGE}:has({key}-c{kind}:not(:checked)) .c{kind}" for kind in self._kinds.values()]
        places = {iri: number for number, iri in enumerate(self._properties)}
        for found, number in self._sets.items():
            unchecked = "".join(f":has({key}-p{places[iri]}:not(:checked))" for iri in found)
            hidden.append(f"{_PAGE}{unchecked} .q{number}")
        width = int(re.findall(r'width="(\d+)"', svg)[0])
        looks = [
            "max-height:78vh!important;width:auto!important",
            f"max-width:none!important;width:{width}px!important",
            f"max-width:none!important;width:{2 * width}px!important",
        ]
        zoomed = "".join(
            f"{_PAGE}:has({key}-z{number}:checked) {key}-m{{min-width:0!important;{look}}}"
            for number, look in enumerate(looks, start=1)
        )
        return (
            f"{_CSS}{','.join(hidden)}{{display:none}}"
            f"@media screen{{{_ON_SCREEN}{zoomed}"
            f"{_PAGE}:has(.b:is(:hover,:focus-visible),{_pointed('t')}) .g{{opacity:.13}}{','.join(lit)}{{opacity:1}}"
            f"{','.join(chosen)}{{stroke:var(--link);stroke-width:3}}}}"
            "@media print{.tools,.about{display:none}}"
        )

    def _zoom(self) -> str:
        name = f"{self.key}-z"
        choices = "".join(
            f'<label><input type="radio" name="{name}" id="{name}{number}" autocomplete="off"'
            f"{'' if number else ' checked'}>{told}</label>"
            for number, told in enumerate(_ZOOMS)
        )
        return f"<fieldset><legend>Zoom</legend>{choices}</fieldset>"

    def _filter(self) -> str:
        """A check box for each class, and for each property, in a fold."""
        colours = colours_of(self.drawn)
        kinds = []
        for kind in self._kinds:
            told = escaped(self.drawn.class_labels[kind]) if isinstance(kind, URIRef) else kind
            colour = colours.get(kind, OTHER_COLOUR) if isinstance(kind, URIRef) else OTHER_COLOUR
            kinds.append(f'<span class="swatch" style="background:{colour}"></span><bdi>{told}</bdi>')
        properties = [f"<bdi>{escaped(label)}</bdi>" for label in self._properties.values()]
        return (
            f"<details><summary>Show and hide</summary>{self._boxes('Nodes', 'c', kinds)}"
            f"{self._boxes('Properties', 'p', properties)}</details>"
        )

    def _boxes(self, title: str, letter: str, labels: Sequence[str]) -> str:
        choices = "".join(
            f'<label><input type="checkbox" id="{self.key}-{letter}{number}" autocomplete="off" checked>{label}</label>'
            for number, label in enumerate(labels)
        )
        return f"<fieldset><legend>{title}</legend>{choices}</fieldset>"

    def _sections(self) -> Iterator[str]:
        """Of each box what its node is, or those that it stands for, and all facts of the memory that have it."""
        facts: list[dict[Triple, None]] = [{} for _ in self.drawn.boxes]
        for s, p, o in self.memory.triples():
            for node in (s, o):
                if node in self._numbers:
                    facts[self._numbers[node]][s, p, o] = None
        for number, box in enumerate(self.drawn.boxes.values()):
            title = f"<bdi>{escaped(box.label)}</bdi>" if box.nodes else self._link(box.node, box.label)
            told = [*self._told(box), f'<a href="#{self.key}-b{number}">back to the picture</a>']
            members = [self._link(node, name) for node, name in zip(box.nodes, box.members, strict=True)]
            listed = f"<ul>{''.join(f'<li>{member}</li>' for member in members[:SHOWN])}</ul>" if members else ""
            end = partial(self._end, among={box.node, *box.nodes})
            yield (
                f'<section id="{self.key}-n{number}" class="about" tabindex="-1"><h2>{title}</h2>'
                f'<p class="dim">{" · ".join(told)}</p>{listed}{more(len(members))}'
                f"{facts_table(list(facts[number]), self.memory, self.namespaces, classes=self.row_classes, end=end)}"
                "</section>"
            )

    def _end(self, node: Node, *, among: set[Node]) -> str:
        """A node in a fact of those in ``among``: a link to its own facts, or to what it is on the web."""
        label = None if isinstance(node, Literal) else self.memory.labels.get(node)
        number = self._numbers.get(node)
        if number is None:
            return self._link(node, label)
        name = f"<bdi>{escaped(label) if label else escaped(term_text(node, self.namespaces), cap=600)}</bdi>"
        return name if node in among else f'<a class="b b{number}" href="#{self.key}-n{number}">{name}</a>'

    def _link(self, node: Node, label: str | None) -> str:
        return link_to(node, None if isinstance(node, Literal) else label, self.namespaces)


def _pointed(name: str) -> str:
    """A class of things, pointed at or with the focus in them."""
    return f".{name}:hover,.{name}:focus-visible,.{name} :focus-visible"


def _kind(box: Box) -> URIRef | str:
    """By what a box is shown or hidden."""
    return box.cls or ("values" if isinstance(box.node, Literal) else "of no class")
