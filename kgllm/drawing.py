"""The drawing of a memory as SVG without a script, which reads on light and on dark ground and stands alone as a file.

A class has a colour, a role a mark and a frame; what follows by the ontology is dashed. The colours are those of Okabe
and Ito (2008), which all kinds of colour vision tell apart.
"""

from __future__ import annotations

import html
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kgllm.layout import Layout, Point, lay_out
from kgllm.picture import Box, Line, Picture
from kgllm.terms import Literal, Node, URIRef, clean

__all__ = [
    "OTHER_COLOUR",
    "PALETTE",
    "ROLES",
    "Hooks",
    "colours_of",
    "draw",
    "escaped",
    "fitted",
    "text_width",
    "theme",
]

ROLES = {"topic": "named in the question", "answer": "answer", "concept": "class or property", "literal": "value"}
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
OTHER_COLOUR = "#8a8f98"
_LIGHT = "--ink:#1a202c;--dim:#566070;--paper:#fff;--rule:#d5dae1;--link:#0b57d0;--good:#0a6b3d;--bad:#b3261e"
_DARK = "--ink:#e8eaed;--dim:#a9b1bd;--paper:#15181d;--rule:#3b424d;--link:#8ab4f8;--good:#7fd6a4;--bad:#f2a19a"
_SIZE, _SMALL = 12.0, 10.5  # of the letters of a name, and of a property's, in pixels
_WIDEST, _LEAST = 240.0, 54.0  # a box
_TALL, _TALLER = 28.0, 44.0  # a box with one line, and with two
_PER_LINE = 17.0  # height that lines side by side take
_MARGIN = 16.0
_BOLDER = 1.12  # as wide are bold letters
_FAN = 60.0  # the width in which lines part, and more where many do


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a page hangs on a drawing: of each box the attributes of the link that it becomes, of each line a class."""

    boxes: Mapping[Node, str]
    lines: Sequence[str]


def theme(one: str) -> str:
    """The colours of what a selector names: as the reader's system has it, or as the notebook around it."""
    light, dark = f"{{{_LIGHT};color-scheme:light}}", f"{{{_DARK};color-scheme:dark}}"
    return (
        f"{one}{light}@media (prefers-color-scheme:dark){{{one}{dark}}}"
        f'[data-jp-theme-light="true"] {one},.vscode-light {one}{light}'
        f'[data-jp-theme-light="false"] {one},.vscode-dark {one}{dark}'
        f"@media print{{{one}{light}}}"
    )


def escaped(text: str, *, cap: int | None = 300) -> str:
    """Text as HTML and XML may hold it, safe to show."""
    return html.escape(clean(text, cap=cap))


def text_width(text: str, size: float) -> float:
    """About as many pixels as a sans-serif text takes, rather too many than too few."""
    return size * sum(map(_em, text))


def _em(character: str) -> float:
    """The width of a letter of DejaVu Sans, one of the widest that a reader may have, in parts of its size."""
    if character in "iljI.,:;'|! ":
        return 0.34
    if character in 'ftrJ()[]-/"':
        return 0.43
    if character in "mwMW@%—…":
        return 1.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if unicodedata.combining(character):
        return 0.0
    return 0.77 if character.isupper() or character in "&×#_+=<>" or character > "\u024f" else 0.635


def fitted(text: str, size: float, most: float) -> str:
    """The text, cut so that it is at most so many pixels wide."""
    if text_width(text, size) <= most:
        return text
    most -= text_width("…", size)
    kept = 0
    while kept < len(text) and (most := most - text_width(text[kept], size)) >= 0:
        kept += 1
    return text[:kept].rstrip() + "…"


@dataclass(frozen=True, slots=True)
class _Area:
    """A rectangle, by its left upper and its right lower corner."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Area) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def draw(shown: Picture, key: str, *, hooks: Hooks | None = None) -> str:
    """The picture as an SVG element with the id ``key``. With ``hooks`` its boxes are links, else it is an image."""
    sizes = {node: _box_size(box, shown.lines) for node, box in shown.boxes.items()}
    roots = sorted(shown.boxes, key=lambda node: shown.boxes[node].role != "topic")
    layout = lay_out(
        sizes,
        [(line.start, line.end) for line in shown.lines],
        roots=[node for node in roots if shown.boxes[node].role == "topic"],
        gaps=_gaps(shown.lines),
    )
    colours = colours_of(shown)
    names = [f' class="{name}"' for name in hooks.lines] if hooks else [""] * len(shown.lines)
    links = hooks.boxes if hooks else {}
    areas = {node: _area(layout, sizes, node) for node in shown.boxes}
    loops = any(line.start == line.end for line in shown.lines)
    width = max(layout.size[0] + 2 * _MARGIN + (130 if loops else 0), 360.0)
    body = [
        *_lines(shown, layout, areas, width, names),
        *(_box(box, areas[node], colours, links.get(node)) for node, box in shown.boxes.items()),
    ]
    legend, height = _legend(shown, colours, width, layout.size[1] + 2 * _MARGIN)
    told = f"Working memory: {len(shown.boxes)} nodes, {len(shown.lines)} edges"
    kind = "group" if hooks else "img"
    return (
        f'<svg id="{key}" class="kgllm-memory" xmlns="http://www.w3.org/2000/svg" '
        f'role="{kind}" aria-label="{told}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'style="max-width:100%;min-width:{min(width, 0.62 * width + 60):.0f}px;height:auto" '
        f'font-family="system-ui,sans-serif" font-size="{_SIZE:g}">'
        f"<style>{theme('#' + key)}{_style(key)}</style>"
        f'<rect class="p" width="100%" height="100%" rx="8" fill="#fff"/>{"".join(body)}{legend}</svg>'
    )


def _style(key: str) -> str:
    rules = {
        ".p": "fill:var(--paper)",
        ".i": "fill:var(--ink)",
        ".d": "fill:var(--dim)",
        ".e": "stroke:var(--dim)",
        ".f": "stroke:var(--ink)",
        ".r": "stroke:var(--rule)",
    }
    return "".join(f"#{key} {name}{{{rule}}}" for name, rule in rules.items())


def _box_size(box: Box, lines: Sequence[Line]) -> Point:
    between = Counter(
        line.end if line.start == box.node else line.start for line in lines if box.node in (line.start, line.end)
    )
    side_by_side = max(between.values(), default=1)
    text = max(text_width(box.label, _SIZE) * _BOLDER, text_width(_some(box), _SMALL))
    least = _TALLER if box.members else _TALL
    return min(_WIDEST, max(_LEAST, text + 34)), max(least, _PER_LINE * side_by_side)


def _some(box: Box) -> str:
    return ", ".join(box.members[:3]) + (", …" if len(box.members) > 3 else "")


def _degrees(lines: Sequence[Line]) -> Counter[Node]:
    return Counter(end for line in lines for end in (line.start, line.end))


def _fan(line: Line, degrees: Mapping[Node, int]) -> float:
    """In how much of the way between two columns a line leaves the others of its end; the rest is for its label."""
    return _FAN + min(80.0, 3.0 * max(degrees[line.start], degrees[line.end]))


def _gaps(lines: Sequence[Line]) -> dict[tuple[Node, Node], float]:
    degrees = _degrees(lines)
    gaps: dict[tuple[Node, Node], float] = {}
    for line in lines:
        ends = line.start, line.end
        wanted = text_width(_line_label(line), _SMALL) + 24 + _fan(line, degrees)
        gaps[ends] = max(gaps.get(ends, 0.0), wanted)
    return gaps


def _line_label(line: Line) -> str:
    return fitted(", ".join(line.labels), _SMALL, 130)


def _area(layout: Layout, sizes: Mapping[Node, Point], node: Node) -> _Area:
    x, y = layout.places[node]
    width, height = layout.widths[node], sizes[node][1]
    return _Area(x - width / 2 + _MARGIN, y - height / 2 + _MARGIN, x + width / 2 + _MARGIN, y + height / 2 + _MARGIN)


def colours_of(shown: Picture) -> dict[URIRef, str]:
    """The colours of the commonest classes, those first; all others share the grey."""
    counts = Counter(box.cls for box in shown.boxes.values() if box.cls is not None)
    ordered = sorted(counts, key=lambda cls: (-counts[cls], shown.class_labels[cls], cls))
    return dict(zip(ordered, PALETTE, strict=False))


def _box(box: Box, area: _Area, colours: Mapping[URIRef, str], link: str | None) -> str:
    colour = OTHER_COLOUR if box.cls is None else colours.get(box.cls, OTHER_COLOUR)
    is_bold = box.role in {"topic", "answer"}
    width, height = area.right - area.left, area.bottom - area.top
    middle = (area.top + area.bottom) / 2
    corner = 3 if box.role in {"topic", "literal"} else 13
    frame = (
        f'class="f" stroke="#1a202c" stroke-width="{2 if box.role == "topic" else 2.6}"'
        if is_bold
        else (
            'class="r" stroke="#d5dae1" stroke-width="1.2"'
            if box.role == "literal"
            else f'stroke="{colour}" stroke-width="1.2"'
        )
    )
    rect = f'<rect x="{area.left:.1f}" y="{area.top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{corner}"'
    behind = (
        f'<rect x="{area.left + 4:.1f}" y="{area.top + 4:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{corner}" fill="none" stroke="{colour}"/>'
        if box.members
        else ""
    )
    has_mark = box.role != "literal"
    x = area.left + (26 if has_mark else 10)
    room = area.right - x - 7
    weight = ' font-weight="600"' if is_bold else ""
    base = middle - 4 if box.members else middle + 4
    label = _safe(fitted(box.label, _SIZE * (_BOLDER if is_bold else 1), room))
    text = f'<text class="i" fill="#1a202c" x="{x:.1f}" y="{base:.1f}"{weight}>{label}</text>'
    if box.members:
        text += (
            f'<text class="d" fill="#566070" font-size="{_SMALL:g}" x="{x:.1f}" y="{middle + 12:.1f}">'
            f"{_safe(fitted(_some(box), _SMALL, room))}</text>"
        )
    fill = f'fill="{colour}" fill-opacity="0.14"' if box.role != "literal" else 'fill="none"'
    mark = _mark(box.role, area.left + 14, middle, colour) if has_mark else ""
    inside = f'<title>{_tooltip(box)}</title>{behind}{rect} class="p" fill="#fff"/>{rect} {fill} {frame}/>{mark}{text}'
    return f"<g>{inside}</g>" if link is None else f"<a {link}>{inside}</a>"


def _safe(text: str) -> str:
    return escaped(text, cap=None)


def _tooltip(box: Box) -> str:
    told = ROLES.get(box.role, "")
    if box.members:
        names = ", ".join(box.members[:100]) + (", …" if len(box.members) > 100 else "")
        return escaped(f"{box.label}{f' ({told})' if told else ''}: {names}", cap=4_000)
    iri = "" if isinstance(box.node, Literal) else f" <{box.node}>"
    return escaped(f"{box.label}{iri}{f' ({told})' if told else ''}", cap=1_000)


def _mark(role: str, x: float, y: float, colour: str) -> str:
    """The shape of a role: a diamond, a star, a triangle, or a dot."""
    shapes = {
        "topic": "0,-7 7,0 0,7 -7,0",
        "answer": "0,-8 2,-2.6 7.6,-2.5 3.2,1 4.8,6.5 0,3.3 -4.8,6.5 -3.2,1 -7.6,-2.5 -2,-2.6",
        "concept": "0,-6 6,5 -6,5",
    }
    look = f'class="f" fill="{colour}" stroke="#1a202c" stroke-width="0.8"'
    if role in shapes:
        return f'<polygon points="{shapes[role]}" transform="translate({x:.1f} {y:.1f})" {look}/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {look}/>'


def _lines(
    shown: Picture, layout: Layout, areas: Mapping[Node, _Area], width: float, names: Sequence[str]
) -> Iterator[str]:
    """The lines as curves from side to side, and their labels where there is room for them."""
    ports = _ports(shown.lines, areas)
    degrees = _degrees(shown.lines)
    taken = list(areas.values())
    labels: list[str] = []
    for number, line in enumerate(shown.lines):
        start, end = ports[number]
        bends = [(x + _MARGIN, y + _MARGIN) for x, y in layout.bends.get((line.start, line.end), ())]
        points = [start, *bends, end]
        out, into = _sides(areas[line.start], areas[line.end])
        is_at_end = degrees[line.start] > degrees[line.end]
        first, last = _straight(points, out, into, _fan(line, degrees), is_at_end)
        curved = [first, *points[1:-1], last]
        dash = ' stroke-dasharray="5 3"' if line.is_entailed else ""
        x, y = end
        tip = f"{x:.1f},{y:.1f} {x + 7 * into:.1f},{y - 3.5:.1f} {x + 7 * into:.1f},{y + 3.5:.1f}"
        told = escaped(", ".join(f"{label} <{p}>" for label, p in zip(line.labels, line.properties, strict=True)))
        yield (
            f"<g{names[number]}><title>{told}{' (entailed)' if line.is_entailed else ''}</title>"
            f'<path class="e" d="{_curve(curved, out, into, start, end)}" fill="none" stroke="#566070" '
            f'stroke-width="1.2"{dash}/>'
            f'<polygon class="d" points="{tip}" fill="#566070"/></g>'
        )
        text = _line_label(line)
        for place in _label_places(points, curved, out, into, text, is_at_end):
            half = text_width(text, _SMALL) / 2
            area = _Area(place[0] - half, place[1] - 6.5, place[0] + half, place[1] + 6.5)
            if area.left > 2 and area.right < width - 2 and not any(map(area.meets, taken)):
                taken.append(area)
                labels.append(
                    f'<g{names[number]}><rect class="p" x="{area.left:.1f}" y="{area.top:.1f}" '
                    f'width="{2 * half:.1f}" height="13" fill="#fff"/>'
                    f'<text class="d" x="{place[0]:.1f}" y="{place[1] + 3.5:.1f}" text-anchor="middle" '
                    f'font-size="{_SMALL:g}" fill="#566070">{_safe(text)}</text></g>'
                )
                break
    yield from labels


def _sides(start: _Area, end: _Area) -> tuple[int, int]:
    """On which side a line leaves, and on which it comes in: 1 for the right one, -1 for the left one."""
    if start.right < end.left:
        return 1, -1
    if end.right < start.left:
        return -1, 1
    return 1, 1


def _ports(lines: Sequence[Line], areas: Mapping[Node, _Area]) -> list[tuple[Point, Point]]:
    """Where each line leaves and comes in: on the side of a box in the order of the other ends, so that few cross."""
    sides: dict[tuple[Node, int], list[tuple[float, int, bool]]] = {}
    for number, line in enumerate(lines):
        out, into = _sides(areas[line.start], areas[line.end])
        start, end = areas[line.start], areas[line.end]
        sides.setdefault((line.start, out), []).append((end.top + end.bottom, number, False))
        sides.setdefault((line.end, into), []).append((start.top + start.bottom, number, True))
    found: dict[tuple[int, bool], Point] = {}
    for (node, side), members in sides.items():
        area = areas[node]
        room = area.bottom - area.top - 10
        step = min(_PER_LINE - 2, room / max(1, len(members) - 1))
        for place, (_, number, is_end) in enumerate(sorted(members)):
            y = (area.top + area.bottom) / 2 + (place - (len(members) - 1) / 2) * step
            found[number, is_end] = (area.right if side > 0 else area.left, y)
    return [(found[number, False], found[number, True]) for number in range(len(lines))]


def _controls(start: Point, end: Point, out: int, into: int) -> tuple[Point, Point]:
    reach = max(26.0, abs(end[0] - start[0]) / 2)
    return (start[0] + out * reach, start[1]), (end[0] + into * reach, end[1])


def _straight(points: Sequence[Point], out: int, into: int, fan: float, is_at_end: bool) -> tuple[Point, Point]:
    """The points from which and to which a line is curved: beyond, beside its label, it is straight."""
    start, end = points[0], points[-1]
    if out == into:
        return start, end
    if is_at_end:
        return start, (end[0] + into * max(0.0, abs(end[0] - points[-2][0]) - fan), end[1])
    return (start[0] + out * max(0.0, abs(points[1][0] - start[0]) - fan), start[1]), end


def _curve(points: Sequence[Point], out: int, into: int, start: Point, end: Point) -> str:
    """A smooth path; between two points that an edge passes by a column at, it is straight."""
    path = f"M{start[0]:.1f} {start[1]:.1f}L{points[0][0]:.1f} {points[0][1]:.1f}"
    for number, (one, other) in enumerate(pairwise(points)):
        if number % 2:
            path += f"L{other[0]:.1f} {other[1]:.1f}"
        else:
            (x1, y1), (x2, y2) = _controls(one, other, out, into)
            path += f"C{x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f} {other[0]:.1f} {other[1]:.1f}"
    return path + f"L{end[0]:.1f} {end[1]:.1f}"


def _label_places(
    points: Sequence[Point], curved: Sequence[Point], out: int, into: int, text: str, is_at_end: bool
) -> Iterator[Point]:
    """Where a label may stand, the best place first: by the end that fewer lines come to, else along the curve."""
    half = text_width(text, _SMALL) / 2
    at_end = (points[-1][0] + into * (half + 12), points[-1][1])
    at_start = (points[0][0] + out * (half + 8), points[0][1])
    yield from (at_end, at_start) if is_at_end else (at_start, at_end)
    for start, end in (curved[-2:], curved[:2]):
        one, other = _controls(start, end, out, into)
        for t in (0.5, 0.35, 0.65, 0.2, 0.8):
            s = 1 - t
            x, y = (
                s**3 * start[axis] + 3 * s * s * t * one[axis] + 3 * s * t * t * other[axis] + t**3 * end[axis]
                for axis in (0, 1)
            )
            for aside in (0.0, -9.0, 9.0, -15.0, 15.0):
                yield x, y + aside


def _legend(shown: Picture, colours: Mapping[URIRef, str], width: float, top: float) -> tuple[str, float]:
    """What the colours, shapes and lines mean, in rows below the picture; and where it ends."""
    entries: list[tuple[str, str]] = []
    boxes = shown.boxes.values()
    for cls, colour in colours.items():
        entries.append(
            (f'<rect x="-6" y="-6" width="12" height="12" rx="3" {_swatch(colour)}/>', shown.class_labels[cls])
        )
    others = {box.role for box in boxes if box.cls not in colours} - {"literal", "concept"}
    if others and colours:
        entries.append((f'<rect x="-6" y="-6" width="12" height="12" rx="3" {_swatch(OTHER_COLOUR)}/>', "other"))
    for role, told in ROLES.items():
        if any(box.role == role for box in boxes):
            mark = (
                _mark(role, 0, 0, "none")
                if role != "literal"
                else ('<rect class="r" x="-8" y="-6" width="16" height="12" rx="2" fill="none" stroke="#d5dae1"/>')
            )
            entries.append((mark, told))
    dash = '<path class="e" d="M-10 0H10" stroke="#566070" stroke-width="1.2"{}/>'
    if any(line.is_entailed for line in shown.lines):
        entries.append((dash.format(' stroke-dasharray="5 3"'), "follows by the ontology"))
    if any(box.members for box in boxes):
        stack = '<rect class="e" x="-9" y="-6" width="14" height="9" rx="4" fill="none" stroke="#566070"/>'
        entries.append((stack + stack.replace('x="-9" y="-6"', 'x="-6" y="-3"'), "several nodes in one"))
    parts: list[str] = []
    x, y = _MARGIN, top + 8
    for mark, told in entries:
        text = fitted(told, 11, 170)
        needed = 24 + text_width(text, 11) + 14
        if x > _MARGIN and x + needed > width:
            x, y = _MARGIN, y + 20
        parts.append(
            f'<g transform="translate({x + 10:.1f} {y:.1f})">{mark}'
            f'<text class="d" fill="#566070" font-size="11" x="14" y="4">{_safe(text)}</text></g>'
        )
        x += needed
    line = f'<path class="r" d="M{_MARGIN} {top - 6:.1f}H{width - _MARGIN:.1f}" stroke="#d5dae1"/>' if parts else ""
    return f'<g class="kgllm-legend">{line}{"".join(parts)}</g>', (y + 16 if parts else top)


def _swatch(colour: str) -> str:
    return f'fill="{colour}" fill-opacity="0.75" stroke="{colour}"'
