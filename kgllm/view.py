"""The view of an exploration in a notebook: an anywidget, whose other half is ``static/view.js`` over Cytoscape.js."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kgllm.display import counted, term_text, web_address
from kgllm.drawing import OTHER_COLOUR, PALETTE, fitted, text_width, theme
from kgllm.errors import BackendError, InputError, KgllmError
from kgllm.exploration import COUNTED, Exploration, Group
from kgllm.lookup import Facts, show
from kgllm.memory import WorkingMemoryGraph
from kgllm.ontology import RDF_TYPE
from kgllm.opening import over
from kgllm.pages import answer_html, memory_html, unique
from kgllm.spreading import spread
from kgllm.terms import BNode, Literal, Node, Triple, URIRef, clean, local_name, readable

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise BackendError(
        "a view to explore needs anywidget, which cannot be imported",
        why=str(error),
        try_next="pip install 'kgllm[notebook]'",
    ) from None

if TYPE_CHECKING:
    from kgllm.answer import Answer
    from kgllm.assistant import Assistant

__all__ = ["GraphView", "view_of"]

_STATIC = files("kgllm") / "static"
_SIZE, _WIDEST, _LEAST, _PADDING, _HEIGHT = 12.0, 190.0, 46.0, 11.0, 30.0  # pixels: letters, and boxes
_HITS = 8


def view_of(kg: Assistant | None, begun: str | WorkingMemoryGraph, *, height: int) -> GraphView:
    """The view that begins at a node of a graph, or with a memory."""
    if isinstance(begun, str):
        return GraphView(Exploration.at(_graph(kg), begun), height=height)
    if not isinstance(begun, WorkingMemoryGraph):
        raise InputError(
            f"a {type(begun).__name__} is no node to begin at",
            try_next="give an IRI, a CURIE or a name; others are found with the view's search box",
        )
    return GraphView(Exploration(kg, begun), height=height)


def _graph(kg: Assistant | None) -> Assistant:
    if kg is None:
        raise InputError("there is no graph to explore")
    return kg


def _module() -> str:
    """The script of the widget as one module, as anywidget takes it: Cytoscape.js, then what is built on it."""
    library, own = ((_STATIC / name).read_text(encoding="utf-8") for name in ("cytoscape.min.js", "view.js"))
    return (
        "const cytoscape = (() => { const module = { exports: {} }, exports = module.exports;\n"
        f"{library}\nreturn module.exports; }})();\n{own}"
    )


class GraphView(anywidget.AnyWidget):
    """A part of a graph to walk in. ``memory`` is what is shown, ``ask`` answers from that alone.

    In its place a notebook without a kernel shows a picture.
    """

    _esm = _module()
    _css = theme(".kgllm-view") + (_STATIC / "view.css").read_text(encoding="utf-8")
    shown = traitlets.Dict().tag(sync=True)  # nodes, edges, classes and properties, as view.js draws them
    hidden = traitlets.List(traitlets.Unicode()).tag(sync=True)  # ids of classes and properties
    places = traitlets.Dict().tag(sync=True)  # of a node's id its x, y and whether it is pinned
    height = traitlets.Int(560).tag(sync=True)  # in pixels

    def __init__(self, explored: Exploration, *, height: int = 560) -> None:
        super().__init__(height=height)
        self._explored = explored
        self._ids: dict[Any, str] = {}
        self._terms: dict[str, Any] = {}
        self._colours: dict[URIRef, str] = {}
        self._work: Mapping[str, Callable[[Any], Mapping[str, Any]]] = {
            "add": self._add,
            "ask": self._answer,
            "connect": self._connect,
            "expand": self._expand,
            "facts": self._facts,
            "hide": self._hide,
            "search": self._search,
            "turtle": self._turtle,
            "undo": self._undo,
        }
        self._draw()
        self.on_msg(self._asked)

    @traitlets.observe("places")
    def _keep_places(self, change: Any) -> None:
        """Keep the places that the browser had not heard of when a box was moved there."""
        if lost := change.old.keys() - change.new.keys():
            self.places = change.new | {key: change.old[key] for key in lost}

    @property
    def memory(self) -> WorkingMemoryGraph:
        """What is shown, as a memory: without what is hidden by its class or property."""
        return self._explored.memory(hidden=self._hidden_terms)

    def ask(self, question: str) -> Answer:
        """Answer a question from what is shown alone. Raises ``QuestionError`` where nothing is shown."""
        kg = _graph(self._explored.kg)
        part = self._explored.part(hidden=self._hidden_terms)
        try:
            answer = over(kg, part).ask(question)
        finally:
            part.close()
        answer.memory.kg = kg
        return answer

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data:
            memory = self.memory
            data["text/plain"] = repr(self)
            data["text/html"] = memory_html(memory, key=unique(memory.question, *memory.triples()))
        return bundle

    def __repr__(self) -> str:
        return f"<GraphView {counted(len(self._explored.nodes), 'node')}, {counted(len(self._explored.facts), 'fact')}>"

    @property
    def _hidden_terms(self) -> set[URIRef]:
        return {self._terms[one] for one in self.hidden if one in self._terms}

    def _asked(self, _: Any, message: Mapping[str, Any], __: Any) -> None:
        """Do what the person at the view wants, and tell it how that came out."""
        wanted = str(message.get("do"))
        reply: Mapping[str, Any]
        try:
            if self._explored.kg is not None and self._explored.kg.closed:
                raise InputError(
                    "the graph of this view is closed", try_next="open it with kgllm.open and explore again"
                )
            reply = self._work[wanted](message) if wanted in self._work else {"error": f"{wanted} is nothing to do"}
        except KgllmError as error:
            reply = {"error": clean(error.what), "next": clean(error.try_next or error.why or "")}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {clean(str(error))}", "next": "this is a fault of kgllm"}
        self.send({"do": wanted, "number": message.get("number"), **reply})

    def _term(self, message: Mapping[str, Any], key: str = "node") -> Any:
        """The term of an id that the browser was given; ``InputError`` for any other."""
        term = self._terms.get(str(message.get(key)))
        if term is None:
            raise InputError("that is no longer shown")
        return term

    def _node(self, message: Mapping[str, Any], key: str = "node") -> URIRef:
        term = self._term(message, key)
        if not isinstance(term, URIRef):
            what = "a value" if isinstance(term, Literal) else "a node without an IRI"
            raise InputError(f"{what} has no facts of its own to look up")
        return term

    def _grown(self, grow: Callable[[], int], said: str) -> Mapping[str, Any]:
        before = len(self._explored.facts)
        count = grow()
        facts = len(self._explored.facts) - before
        self._draw()
        if count:
            return {"note": f"{said}: {count:,} more"}
        return {"note": f"{said}: all were shown, {counted(facts, 'fact')} more" if facts else f"{said}: nothing new"}

    def _expand(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        term = self._term(message)
        if isinstance(term, Group):
            return self._grown(lambda: self._explored.open(term), f"{self._word(term.property)} opened")
        node = self._node(message)
        return self._grown(lambda: self._explored.expand(node), f"{self._label(node)} expanded")

    def _add(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        node = self._node(message)
        self._explored.add(node)
        self._draw()
        return {"note": f"{self._label(node)} shown", "node": self._id(node)}

    def _hide(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        gone = [self._terms[one] for one in message.get("nodes", ()) if one in self._terms]
        self._explored.hide(gone)
        self._draw()
        return {"note": f"{counted(len(gone), 'node')} hidden; undo brings them back"}

    def _connect(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        ends = self._node(message, "from"), self._node(message, "to")
        found = self._explored.connect(*ends)
        self._draw()
        names = " and ".join(map(self._label, ends))
        way = [self._edge_id(triple) for triple in found]
        note = f"{names}: {counted(len(found), 'fact')} between them" if found else f"no path between {names}"
        return {"note": note, "way": way}

    def _undo(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        self._explored.undo()
        self._draw()
        return {"note": "undone"}

    def _search(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        text = str(message.get("text", "")).strip()
        kg = _graph(self._explored.kg)
        hits = [hit for hit in kg.search(text, k=_HITS) if hit.kind != "property"] if text else []
        described = kg.index.described(hit.iri for hit in hits)
        types = {hit.iri: described[hit.iri].types[:2] if hit.iri in described else () for hit in hits}
        labels = kg.index.labels(term for iri, classes in types.items() for term in (iri, *classes))
        self._explored.labels |= {iri: label for iri, label in labels.items() if iri not in self._explored.labels}
        found = []
        for hit in hits:
            kinds = ", ".join(map(self._word, types[hit.iri])) or ("" if hit.iri in described else hit.kind)
            found.append({**self._end(hit.iri), "kind": kinds})
        return {"hits": found}

    def _facts(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """A node's facts from the live graph; those of a memory without one from the memory."""
        node, kg = self._node(message), self._explored.kg
        view = show(kg.workspace, f"<{node}>") if kg is not None else None
        if view is None:
            around = [fact.triple for fact in self._explored.facts if node in (fact.triple[0], fact.triple[2])]
            groups = [(s == node, Facts(p, (o if s == node else s,), 1)) for s, p, o in around]
            description, kinds = "", [self._explored.classes[node]] if node in self._explored.classes else []
        else:
            groups = [(True, facts) for facts in view.outgoing] + [(False, facts) for facts in view.incoming]
            description, kinds = view.description, list(view.types)
            self._explored.labels |= {n: name for n, name in view.labels.items() if n not in self._explored.labels}
        said = {self._explored.labels.get(node, ""), description}  # above the list already
        return {
            "of": self._end(node),
            "description": clean(description, cap=600),
            "kinds": [self._word(cls) for cls in kinds],
            "groups": [
                {
                    "outgoing": is_outgoing,
                    "property": self._word(facts.property),
                    "ends": [self._end(end) for end in facts.nodes],
                    "more": facts.count - len(facts.nodes),
                }
                for is_outgoing, facts in groups
                if not (is_outgoing and (facts.property == RDF_TYPE or set(map(str, facts.nodes)) <= said))
            ],
        }

    def _answer(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        question = str(message.get("question", ""))
        answer = self.ask(question)
        ids = [self._ids[node] for node in answer.results if node in self._ids]
        return {"html": answer_html(answer, key=unique(question, answer.text)), "results": ids, "note": answer.text}

    def _turtle(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"text": self.memory.serialize("turtle")}

    def _end(self, term: Any) -> Mapping[str, Any]:
        """A term as the panel lists it: a node with an id to show it by, a value as text."""
        if isinstance(term, URIRef):
            written = {"iri": term_text(term, self._explored.namespaces), "link": web_address(term)}
            return {"id": self._id(term), "label": self._label(term), **written}
        return {"label": "(no name)" if isinstance(term, BNode) else clean(str(term), cap=600)}

    def _draw(self) -> None:
        """Tell the browser what is shown."""
        explored = self._explored
        counts = Counter(explored.classes[node] for node in explored.nodes if node in explored.classes)
        for cls in sorted(counts, key=lambda cls: (-counts[cls], cls)):  # a class keeps the colour that it once had
            self._colours.setdefault(cls, PALETTE[len(self._colours)] if len(self._colours) < len(PALETTE) else "")
        nodes = [self._box(node) for node in explored.nodes]
        edges = []
        for fact in explored.facts:
            s, p, o = fact.triple
            edges.append(self._line(self._edge_id(fact.triple), s, p, o) | {"entailed": fact.rule is not None})
        for group in explored.groups:
            nodes.append(self._group_box(group))
            ends = (group.node, group) if group.is_outgoing else (group, group.node)
            edges.append(self._line(f"{self._id(group)}e", ends[0], group.property, ends[1]))
        self._place(nodes, edges)
        properties = Counter(edge["property"] for edge in edges)
        self.shown = {
            "nodes": nodes,
            "edges": edges,
            "classes": [
                {"id": self._id(cls), "label": self._word(cls), "count": counts[cls], "colour": self._colour(cls)}
                for cls in sorted(counts, key=lambda cls: (-counts[cls], self._word(cls)))
            ],
            "properties": [
                {"id": key, "label": self._word(self._terms[key]), "count": count}
                for key, count in properties.most_common()
            ],
            "canUndo": explored.can_undo,
            "isLive": explored.kg is not None,
            "note": explored.note,
        }

    def _place(self, nodes: Sequence[Mapping[str, Any]], edges: Sequence[Mapping[str, Any]]) -> None:
        """Find places for what comes, back where it was if it was shown before; others give way, but for the pinned."""
        shown = {node["id"] for node in self.shown.get("nodes", ())}
        if all(node["id"] in shown for node in nodes):
            return
        known = {key: place for key, place in self.places.items() if isinstance(place, list | tuple)}
        pinned = {key for key, (_, _, is_pinned) in known.items() if is_pinned}
        places = spread(
            {node["id"]: (node["width"], _HEIGHT) for node in nodes},
            [(edge["source"], edge["target"]) for edge in edges],
            old={key: (x, y) for key, (x, y, _) in known.items()},
            fixed=pinned,
        )
        placed = {key: [round(x), round(y), key in pinned] for key, (x, y) in places.items()}
        self.places = {**self.places, **placed}

    def _box(self, node: Node) -> dict[str, Any]:
        cls = self._explored.classes.get(node)
        return {
            "id": self._id(node),
            **_sized(self._label(node)),
            "name": self._label(node),
            "kind": "literal" if isinstance(node, Literal) else "node",
            "cls": self._id(cls) if cls is not None else "",
            "colour": self._colour(cls),
            "role": self._explored.role(node),
        }

    def _group_box(self, group: Group) -> dict[str, Any]:
        kind = "nodes" if group.cls is None else f"× {self._word(group.cls)}"
        count = f"{group.count - group.taken:,}" if group.count < COUNTED else f"over {COUNTED - group.taken:,}"
        return {
            "id": self._id(group),
            **_sized(f"{count} {kind}"),
            "name": f"{count} {kind}: {self._said_of(group)}",
            "kind": "group",
            "cls": self._id(group.cls) if group.cls is not None else "",
            "colour": self._colour(group.cls),
        }

    def _said_of(self, group: Group) -> str:
        """What the members of a group have to do with its node: "Germany, has city", or "located in, Germany"."""
        parts = [self._label(group.node), self._word(group.property), "…"]
        return " → ".join(parts if group.is_outgoing else reversed(parts))

    def _edge_id(self, triple: Triple) -> str:
        return "-".join(map(self._id, triple))

    def _line(self, key: str, start: Node | Group, prop: URIRef, end: Node | Group) -> dict[str, Any]:
        label = fitted(self._word(prop), 10, 120)
        ends = {"source": self._id(start), "target": self._id(end)}
        named = {"label": label, "name": self._word(prop), "property": self._id(prop)}
        return {"id": key, **ends, **named, "entailed": False}

    def _colour(self, cls: URIRef | None) -> str:
        return (self._colours.get(cls) if cls is not None else None) or OTHER_COLOUR

    def _label(self, term: Any) -> str:
        if isinstance(term, Literal):
            return clean(str(term)) or "(empty)"
        if isinstance(term, BNode) and term not in self._explored.labels:
            return "(no name)"
        return clean(self._explored.labels.get(term) or local_name(str(term)).replace("_", " ")) or "(no name)"

    def _word(self, term: URIRef) -> str:
        """What a class or property is called."""
        return clean(self._explored.labels.get(term) or readable(local_name(str(term)))) or "(no name)"

    def _id(self, term: Node | Group) -> str:
        """A name for a term that needs no escaping anywhere."""
        key = term.key() if isinstance(term, Group) else term
        name = self._ids.setdefault(key, f"t{len(self._ids)}")
        self._terms[name] = term
        return name


def _sized(label: str) -> dict[str, Any]:
    """A label as it fits into a box, and the width of that box."""
    shown = fitted(label, _SIZE, _WIDEST)
    return {"label": shown, "width": round(max(_LEAST, text_width(shown, _SIZE) + 2 * _PADDING))}
