"""Where the parts are put together: a source, its ontology and shapes, the index folder, and the engines behind them.

Here it is decided which engine stands behind which protocol; a language model's is chosen in ``kgllm.opening``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from kgllm.engines.faiss import FaissIndex
from kgllm.engines.guard import refuse_unless_read_only
from kgllm.engines.onnx import CARD_FILE, MODEL_FILE, TOKENIZER_FILE, OnnxEmbedder
from kgllm.engines.oxigraph import OxigraphStore, graph_fingerprint
from kgllm.errors import DeadlineError, EmbedderError, IncompleteDataError, IndexMismatchError, InputError
from kgllm.generations import Generation, Generations
from kgllm.index import FORMAT, Index, IndexSettings, fill_generation
from kgllm.ontology import Ontology
from kgllm.ontology_reading import read_ontology, whole
from kgllm.protocols import Embedder, GraphStore, Progress, Rows
from kgllm.sources import Source, file_fingerprint
from kgllm.terms import BNode, Namespaces, Node, Triple, URIRef, local_name, ntriples
from kgllm.validate import ShapesCheck
from kgllm.violation import NOT_CHECKED, Violation
from kgllm.vocabularies import RDF_TYPE, RDFS_SUBCLASS

if TYPE_CHECKING:
    import rdflib

    from kgllm.engines.pooling import ServedEmbedder
    from kgllm.engines.sentence_transformers import SentenceTransformersEmbedder
    from kgllm.engines.shacl import Shapes

__all__ = ["Closeable", "Workspace"]

SMALL = 50_000  # nodes: what is indexed unasked; about four minutes of embedding on two cores
_NODES_PER_SECOND = 200


def _silent(stage: str, done: int, total: int) -> None:
    """A progress report that nobody wants."""


@runtime_checkable
class Closeable(Protocol):
    """What holds a process or a file."""

    def close(self) -> None:
        """Let it go."""


@dataclass(slots=True)
class _Opened:
    """What has been opened so far, to be closed again."""

    store: GraphStore | None = None
    index: Index | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    others: list[Closeable] = field(default_factory=list)


@dataclass(frozen=True)
class Workspace:
    """A graph and all that is known about where it lies and how it is to be read.

    ``folder`` holds the index, ``embedders`` the exports of models (beside it by default). ``is_own_folder`` says that
    the user named it: nothing there is replaced unasked. ``api_key`` is for a server that embeds.
    """

    source: Source | rdflib.Graph
    folder: Path
    ontology_files: tuple[Path, ...] = ()
    shapes_files: tuple[Path, ...] = ()
    settings: IndexSettings = field(default_factory=IndexSettings)
    is_own_folder: bool = False
    embedders: Path | None = None
    timeout_s: float = 30
    progress: Progress = _silent
    api_key: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What the source is called in messages."""
        return self.source.name if isinstance(self.source, Source) else "rdflib graph"

    @property
    def is_endpoint(self) -> bool:
        """Whether the graph is asked of a server rather than read here."""
        return isinstance(self.source, Source) and self.source.kind == "endpoint"

    @cached_property
    def _opened(self) -> _Opened:
        return _Opened()

    @cached_property
    def store(self) -> GraphStore:
        """The graph alone: the index's own store where it is up to date, else the endpoint, or the files in memory."""
        if self._opened.index is not None:
            return self._opened.index.store
        if self._opened.store is not None:  # a copy
            return self._opened.store
        is_kept = not self.is_endpoint and self.folder.exists()
        generation = self._generations.current(verify="sizes") if is_kept else None
        if generation is not None and self.mismatch(generation) is None:
            self._opened.store = self._open_store(generation)
        else:
            self._opened.store = self._load_store()
        return self._opened.store

    @cached_property
    def ontology(self) -> Ontology:
        """The ontology, from the index where one is open, else read now."""
        if self._opened.index is not None:
            return self._opened.index.ontology
        extra = self._ontology_store()
        try:
            return read_ontology([self.store, *([extra] if extra else [])], languages=self.settings.languages)
        finally:
            if extra is not None:
                extra.close()

    @cached_property
    def shapes(self) -> ShapesCheck | None:
        """The check against the user's shapes, ``None`` without any.

        They are read meanwhile: the first check waits for it, and raises ``RdfSyntaxError`` for broken ones.
        """
        if not self.shapes_files:
            return None
        from kgllm.engines.shacl import Shapes

        shapes = Shapes(self.shapes_files)
        self._opened.others.append(shapes)
        return _ShapesCheck(shapes, self)

    @cached_property
    def namespaces(self) -> Namespaces:
        """The prefixes of the data, then those of the ontology, then the well-known ones."""
        if self._opened.index is not None:
            return self._opened.index.namespaces
        extra = self._ontology_store()
        if extra is None:
            return Namespaces(self.store.prefixes())
        try:
            return Namespaces(extra.prefixes() | self.store.prefixes())
        finally:
            extra.close()

    @cached_property
    def index(self) -> Index:
        """The index, opened if it is up to date, built if there is none and the graph is small.

        Raises ``IndexMismatchError`` for a folder that the user named and that holds another graph's or model's index,
        ``InputError`` for a graph that is too large to be indexed unasked.
        """
        if self._opened.index is not None:  # a part has that of the whole
            return self._opened.index
        generation = self._generations.current(verify="sizes") if self.folder.exists() else None
        if generation is not None:
            mismatch = self.mismatch(generation) or self.other_model(generation)
            if mismatch is None:
                return self._open(generation)
            if self.is_own_folder:
                raise IndexMismatchError(
                    f"the index in {self.folder} does not match: {mismatch}",
                    why="answers from it would be about something else",
                    try_next="bring it up to date with kgllm index, or name another folder with --index",
                )
        nodes = self._count_nodes()
        if nodes > SMALL:
            minutes = max(1, round(nodes / _NODES_PER_SECOND / 60))
            raise InputError(
                f"{self.name} has {nodes:,} nodes and no index yet",
                why=f"building one takes about {minutes} minutes, so it is not done unasked",
                try_next="kgllm index with the same options, once",
            )
        return self._open(self.build())

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change when the graph, its ontology, or how they are read does.

        Of an endpoint only the number of triples is known.
        """
        self.index  # noqa: B018 - opened here, if it is not yet
        manifest = self._opened.manifest
        source = manifest["source"]
        known = [source.get("url", ""), source["fingerprint"], source["ontology"], manifest["settings"]]
        return hashlib.sha256(json.dumps([*known, manifest["model"]], sort_keys=True).encode()).hexdigest()[:16]

    def copied(self) -> tuple[Workspace, OxigraphStore]:
        """The same over a copy of the graph in memory, and that copy, which can be altered. Close the workspace.

        Raises ``InputError`` for an endpoint, whose triples are not here.
        """
        if self.is_endpoint:
            raise InputError(
                f"{self.name} is a SPARQL endpoint, of which no copy is made",
                why="what alters the graph does so in a copy of it",
                try_next="load a dump of it as a file",
            )
        copy = replace(self)
        copy._opened.store = store = self._load_copy()
        return copy, store

    def part(self, graph: rdflib.Graph) -> Workspace:
        """The same, with its index and ontology, but answered from a part of the graph alone. Close it.

        Shapes are left away: what a part does not show of a node is no violation.
        """
        index, part = self.index, replace(self, shapes_files=())
        part._opened.store = OxigraphStore.from_graph(graph, timeout_s=self.timeout_s)
        part._opened.index, part._opened.manifest = index.over(part._opened.store), self._opened.manifest
        return part

    def query(self, sparql: str, *, limit: int | None = None) -> Rows:
        """The rows of a foreign SELECT. Raises ``QueryRefusedError`` for one that would do more than read the graph."""
        refuse_unless_read_only(sparql)
        return self.store.select(sparql, timeout_s=self.timeout_s, limit=limit)

    def build(self, *, rebuild: bool = False) -> Generation:
        """Build the index, or bring it up to date; with ``rebuild`` even where nothing changed."""
        previous = self._generations.current(verify="sizes") if self.folder.exists() and not rebuild else None
        if previous is not None and self.mismatch(previous) is None and self.other_model(previous) is None:
            return previous
        self.progress("load the embedding model", 0, 1)
        embedder, exported = self._embedder()
        same_model = (
            previous is not None
            and previous.manifest["model"] == embedder.identity
            and self.other_model(previous) is None
        )
        extra = self._ontology_store()
        try:
            return self._generations.write(
                lambda folder: self._fill(
                    folder, embedder, exported, extra, previous.folder if previous is not None and same_model else None
                )
            )
        finally:
            if extra is not None:
                extra.close()

    @cached_property
    def _served(self) -> ServedEmbedder:
        from kgllm.engines.pooling import ServedEmbedder

        settings = self.settings
        return ServedEmbedder(settings.embed_base_url, model=settings.model or None, api_key=self.api_key)

    def _embedder(self) -> tuple[OnnxEmbedder | SentenceTransformersEmbedder | ServedEmbedder, Path | None]:
        """The embedder to build with, and the folder of its ONNX export, which is made once for each model.

        The export gives the same vectors 1.4 times as fast, and spares every index but the first the ten seconds that
        PyTorch takes to start. A model that cannot be exported embeds through sentence-transformers.
        """
        if self.settings.embed_base_url:
            return self._served, None
        from kgllm.engines.sentence_transformers import DEFAULT_MODEL, SentenceTransformersEmbedder, identity_of

        model = self.settings.model or DEFAULT_MODEL
        name = hashlib.sha256(identity_of(model).encode()).hexdigest()[:16]
        exports = Generations((self.embedders or self.folder.parent / "embedders") / name)
        made = exports.current(verify="hashes") if exports.folder.exists() else None
        if made is None:
            original = SentenceTransformersEmbedder(model)

            def export(folder: Path) -> Mapping[str, Any]:
                original.export(folder)
                return {"model": original.identity}

            try:
                made = exports.write(export)
            except EmbedderError:
                return original, None
        return OnnxEmbedder(made.folder), made.folder

    def close(self) -> None:
        """Close what was opened."""
        for part in (self._opened.index, self._opened.store, *self._opened.others):
            if part is not None:
                part.close()

    @cached_property
    def _generations(self) -> Generations:
        return Generations(self.folder)

    def _fill(
        self, folder: Path, embedder: Any, exported: Path | None, extra: GraphStore | None, previous: Path | None
    ) -> Mapping[str, Any]:
        source: dict[str, Any] = self._source_facts()
        if exported is not None:
            (folder / "embedder").mkdir()
            for name in (MODEL_FILE, TOKENIZER_FILE, CARD_FILE):
                shutil.copyfile(exported / name, folder / "embedder" / name)
        self.progress("load the graph", 0, 1)
        if self.is_endpoint:
            store = self.store
            source["fingerprint"] = self._endpoint_fingerprint
        else:
            given = self.source.files if isinstance(self.source, Source) else self.source
            built = OxigraphStore.build(given, folder / "kg")
            store = OxigraphStore.open(
                folder / "kg", source=self.name, prefixes=built.prefixes, timeout_s=self.timeout_s
            )
            source |= {"fingerprint": built.fingerprint, "triples": built.triples, "prefixes": built.prefixes}
        try:
            facts = fill_generation(
                folder,
                store=store,
                ontology_store=extra,
                settings=self.settings,
                embedder=embedder,
                previous=previous,
                progress=self.progress,
            )
        finally:
            if not self.is_endpoint:
                store.close()
        if extra is not None:
            source["prefixes"] = extra.prefixes() | source.get("prefixes", {})
        index = FaissIndex.build(np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False))
        (folder / "links.faiss").write_bytes(index.to_bytes())
        probes = {"probes": self._served.probes} if self.settings.embed_base_url else {}
        return {**facts, "source": source, "model": embedder.identity, "exported": exported is not None, **probes}

    def _open(self, generation: Generation) -> Index:
        folder, manifest = generation.folder, generation.manifest
        embedder: Embedder
        if self.settings.embed_base_url:
            embedder = self._served
        elif manifest["exported"]:
            embedder = OnnxEmbedder(folder / "embedder")
        else:
            from kgllm.engines.sentence_transformers import DEFAULT_MODEL, SentenceTransformersEmbedder

            embedder = SentenceTransformersEmbedder(self.settings.model or DEFAULT_MODEL)
        index = Index(
            folder,
            store=self._opened.store or self._open_store(generation),
            embedder=embedder,
            vectors=FaissIndex(
                np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False),
                links=(folder / "links.faiss").read_bytes(),
            ),
            ontology=Ontology.from_json((folder / "ontology.json").read_text(encoding="utf-8")),
            namespaces=Namespaces(manifest["source"].get("prefixes", {})),
        )
        self._opened.index, self._opened.manifest = index, manifest
        return index

    def _open_store(self, generation: Generation) -> GraphStore:
        if self.is_endpoint:
            return self.store
        return OxigraphStore.open(
            generation.folder / "kg",
            source=self.name,
            prefixes=generation.manifest["source"]["prefixes"],
            timeout_s=self.timeout_s,
        )

    def _load_store(self) -> GraphStore:
        if isinstance(self.source, Source) and self.source.url is not None:
            from kgllm.engines.endpoint import EndpointStore

            return EndpointStore(
                self.source.url,
                username=self.source.username,
                password=self.source.password,
                timeout_s=self.timeout_s,
            )
        return self._load_copy()

    def _load_copy(self) -> OxigraphStore:
        if isinstance(self.source, Source):
            return OxigraphStore.load(self.source.files, source=self.name, timeout_s=self.timeout_s)
        return OxigraphStore.from_graph(self.source, timeout_s=self.timeout_s)

    def _ontology_store(self) -> GraphStore | None:
        if not self.ontology_files:
            return None
        return OxigraphStore.load(self.ontology_files, source="the ontology", timeout_s=120)

    def _count_nodes(self) -> int:
        rows = whole(self.store, "SELECT (COUNT(DISTINCT ?s) AS ?n) WHERE { ?s ?p ?o }", self.timeout_s)
        return int(str(rows[0][0]))

    @cached_property
    def _endpoint_fingerprint(self) -> str | None:
        """The number of triples, counted once; ``None`` if the endpoint cannot count them in time."""
        try:
            rows = whole(self.store, "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }", self.timeout_s)
        except (DeadlineError, IncompleteDataError):
            return None
        return f"{rows[0][0]} triples"

    def _source_facts(self) -> dict[str, Any]:
        """Where the source lies, and what tells without reading it that it did not change."""
        facts: dict[str, Any] = {"name": self.name}
        if isinstance(self.source, Source) and self.source.url is not None:
            facts["url"] = self.source.url
        files = [*(self.source.files if isinstance(self.source, Source) else ()), *self.ontology_files]
        facts["files"] = {str(f): [f.stat().st_size, f.stat().st_mtime_ns] for f in files}
        facts["ontology"] = file_fingerprint(self.ontology_files) if self.ontology_files else ""
        return facts

    def mismatch(self, generation: Generation) -> str | None:
        """What makes an index another one than is asked for; ``None`` if nothing does."""
        manifest = generation.manifest
        if manifest.get("index_format") != FORMAT:
            return f"it was written by kgllm {manifest.get('kgllm')}, in another format"
        if (built := manifest["settings"]) != (asked := self.settings.to_json()):
            changed = [key for key in {**asked, **built} if asked.get(key) != built.get(key)]
            return "; ".join(
                f"{key} was {built.get(key) or 'the default'}, now {asked.get(key) or 'the default'}" for key in changed
            )
        facts, now = manifest["source"], self._source_facts()
        if facts.get("url") != now.get("url"):
            return f"it was made from {facts.get('url') or facts['name']}, not from {now.get('url') or now['name']}"
        if now.get("url") is not None:
            had, has = facts["fingerprint"], self._endpoint_fingerprint
            return None if had == has or None in (had, has) else f"the graph had {had}, now {has}"
        if isinstance(self.source, Source):
            if facts["files"] == now["files"] and self.source.files:
                return None
            fingerprint = file_fingerprint(self.source.files)
        else:
            fingerprint = graph_fingerprint(self.source)
        if fingerprint != facts["fingerprint"]:
            return f"the graph changed since it was made from {facts['name']}"
        return None if facts["ontology"] == now["ontology"] else "the ontology changed since it was made"

    def other_model(self, generation: Generation) -> str | None:
        """What makes the model of the embedding server another one than an index was made with; ``None`` if nothing.

        Beside its name it is known by its vectors, for a server gives a model whatever name it likes. Without such a
        server there is nothing to ask: an index carries its embedder.
        """
        if not self.settings.embed_base_url:
            return None
        built = generation.manifest["model"]
        if built != self._served.identity:
            return f"it was made with {built}, now it is {self._served.identity}"
        if not self._served.gave(generation.manifest.get("probes")):
            return f"the server gives other vectors for {self._served.name} than when it was made"
        return None


@dataclass(frozen=True, slots=True)
class _ShapesCheck:
    """Shapes as those who check see them, and the workspace whose ontology says which class is under which."""

    shapes: Shapes
    workspace: Workspace

    @property
    def reads(self) -> Sequence[str]:
        return self.shapes.reads

    def __call__(self, triples: Sequence[Triple], focus: set[Node] | None) -> list[Violation]:
        """The SHACL violations everywhere or at the IRIs in ``focus``; one remark if the check did not finish.

        A blank node has no name to fetch its facts by, so that what a part of a graph shows of one proves nothing.
        """
        data, timeout_s = ntriples([*triples, *self._superclasses(triples)]), self.workspace.timeout_s
        nodes = None if focus is None else [node for node in focus if isinstance(node, URIRef)]
        report = self.shapes.validate(data.encode(), focus=nodes, timeout_s=timeout_s)
        if report.conforms is None:
            message = f"the shapes were not checked within {timeout_s} s"
            return [Violation(None, None, None, NOT_CHECKED, "Info", message)]
        return [
            Violation(
                result.focus,
                result.path if isinstance(result.path, URIRef) else None,
                result.value,
                local_name(result.component),
                local_name(result.severity),  # type: ignore[arg-type]
                result.message,
                source="shapes",
            )
            for result in report.results
            if focus is None or not isinstance(result.focus, BNode)
        ]

    def _superclasses(self, triples: Sequence[Triple]) -> Iterator[Triple]:
        """What is above the classes of the data: all that SHACL asks of an ontology (section 3.2)."""
        ontology = self.workspace.ontology
        stated = {o for _, p, o in triples if p == RDF_TYPE and isinstance(o, URIRef)}
        above = {cls for one in stated for cls in ontology.superclasses(one)}
        for cls in above & ontology.classes.keys():
            yield from ((cls, RDFS_SUBCLASS, parent) for parent in ontology.classes[cls].parents)
