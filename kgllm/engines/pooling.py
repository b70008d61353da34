"""The other two roles of a model server: it turns texts into vectors, and it scores texts against a question.

vLLM calls both pooling. The embedder takes any server with OpenAI's ``/v1/embeddings``; the reranker takes vLLM's
``/score``, which a cross-encoder answers with its score and an embedding model with a cosine.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgllm.engines.model_server import ModelServer, only_model, side_by_side
from kgllm.engines.onnx import LONGEST_TEXT
from kgllm.errors import BackendError, EmbedderError, ModelServerError, SettingsError
from kgllm.protocols import Progress, Vectors

__all__ = ["ServedEmbedder", "ServedReranker"]

TEXTS_PER_REQUEST = 64  # of 4,096 dimensions they are 1.4 MB; larger requests were no faster
_PROBES = ("Who commanded the first crewed landing on the Moon?", "bread")
_MOST = 1e30  # of an honest number; what is larger overflows when it is squared
_LEAST_COSINE = 0.999  # of one model's vectors in float16 and in float32 it is 0.999998


@dataclass(frozen=True, slots=True)
class _Role:
    """What a server is asked for, with the fault and the options to speak of."""

    fault: type[BackendError]
    base_url_option: str
    model_option: str


_EMBEDS = _Role(EmbedderError, "--embed-base-url", "--embed-model")
_RERANKS = _Role(ModelServerError, "--rerank-base-url", "--rerank-model")


class _PoolingServer:
    """A server in one of the roles. ``name`` is the model asked for, or the only one that the server lists."""

    def __init__(
        self,
        role: _Role,
        base_url: str,
        *,
        model: str | None,
        api_key: str | None,
        timeout_s: float,
        max_in_flight: int,
    ) -> None:
        try:
            self._server = ModelServer(
                base_url, model=model, api_key=api_key, timeout_s=timeout_s, max_in_flight=max_in_flight
            )
        except SettingsError as error:
            hint = f"{role.base_url_option} http://localhost:8001/v1, and the key in OPENAI_API_KEY"
            raise SettingsError(error.what, why=error.why, try_next=hint) from None
        self.base_url = self._server.base_url
        self.root = self.base_url.removesuffix("/v1")
        self._role = role
        self.name: str = model or self._only_model()
        self._server.model = self.name

    def _only_model(self) -> str:
        with self._faults():
            served = self._server.run(self._server.describe())
        return only_model(served, self.base_url, option=self._role.model_option, fault=self._role.fault)

    def ask(
        self, url: str, requests: Sequence[Mapping[str, Any]], *, ended: Callable[[int], None] = lambda _: None
    ) -> list[dict[str, Any]]:
        """The answer to each request, in order; asked side by side, ``ended`` told the number of each as it ends."""

        async def every() -> list[dict[str, Any]]:
            served = await self._server.describe()
            # Others would refuse what they do not know; of them, a text that is too long comes back as an error.
            cut = {"truncate_prompt_tokens": -1} if served.is_vllm else {}

            async def one(number: int) -> dict[str, Any]:
                body = await self._server.call("POST", url, {"model": self.name, **requests[number], **cut})
                ended(number)
                return body

            return await side_by_side(map(one, range(len(requests))))

        with self._faults():
            return self._server.run(every())

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What goes wrong on the way, as the fault of this role."""
        try:
            yield
        except ModelServerError as error:
            hint = f"kgllm doctor; {self._role.base_url_option} and {self._role.model_option} name server and model"
            raise self._role.fault(error.what, why=error.why, try_next=hint) from error

    def refuse(self, why: str) -> BackendError:
        """The fault of an answer that is none."""
        return self._role.fault(
            f"{self.name} at {self.base_url} did not answer what it was asked",
            why=why,
            try_next=f"check that {self._role.base_url_option} serves a model of this kind; kgllm doctor tells",
        )


class ServedEmbedder:
    """An ``Embedder`` behind ``/v1/embeddings``: the model asked for, or the only one that the server lists.

    For the vectors of a sentence-transformers folder, all-MiniLM-L6-v2 for one, serve that folder itself with
    ``vllm serve FOLDER --runner pooling``: vLLM reads the pooling (mean) from its ``modules.json`` and
    ``1_Pooling/config.json``, the limit of 256 tokens from its ``sentence_bert_config.json``, normalises by itself, and
    is asked here to cut at that limit. In its default float16 no coordinate then differs by more than 0.0004;
    ``--dtype float32`` is closer still.

    ``base_url`` is the address that ends in ``/v1``, added where it has no path. ``timeout_s`` bounds each request of
    64 texts, ``max_in_flight`` of them run at once. Making one asks for two vectors, the ``probes`` by which the model
    is known again. Raises ``SettingsError`` for a bad address, ``EmbedderError`` for whatever else is wrong.
    """

    name: str
    identity: str
    dimension: int

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 120,
        max_in_flight: int = 4,
    ) -> None:
        self._server = _PoolingServer(
            _EMBEDS, base_url, model=model, api_key=api_key, timeout_s=timeout_s, max_in_flight=max_in_flight
        )
        self.base_url: str = self._server.base_url
        self.name = self._server.name
        self.identity = f"{self.name} of a server"
        [body] = self._server.ask(f"{self.base_url}/embeddings", [_to_embed(_PROBES)])
        probes = self._read(body, _PROBES, dimension=None)
        self.dimension = probes.shape[1]
        self.probes: list[list[float]] = [[round(float(x), 4) for x in row] for row in probes]

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Unit vectors of shape (len(texts), dimension), row by row the texts'. A blank text gets a zero vector.

        Blank is what has nothing to see; it is not sent. Nor is what stands beyond the first 4,000 characters.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        rows = [row for row, text in enumerate(texts) if _is_visible(text)]
        parts = [rows[start : start + TEXTS_PER_REQUEST] for start in range(0, len(rows), TEXTS_PER_REQUEST)]
        done = len(texts) - len(rows)

        def ended(number: int) -> None:
            nonlocal done
            done += len(parts[number])
            if progress is not None:
                progress("embed", done, len(texts))

        if progress is not None:
            progress("embed", done, len(texts))
        if not parts:
            return vectors
        batches = [[texts[row] for row in part] for part in parts]
        bodies = self._server.ask(f"{self.base_url}/embeddings", list(map(_to_embed, batches)), ended=ended)
        for part, batch, body in zip(parts, batches, bodies, strict=True):
            vectors[part] = self._read(body, batch, dimension=self.dimension)
        return vectors

    def gave(self, probes: Any) -> bool:
        """Whether the ``probes`` of an earlier embedder are this model's too: each pair's cosine is 0.999 or more."""
        mine, theirs = np.asarray(self.probes), np.asarray(probes)
        if mine.shape != theirs.shape:
            return False
        return bool(np.min(np.sum(mine * theirs, axis=1)) >= _LEAST_COSINE)

    def _read(self, body: Mapping[str, Any], texts: Sequence[str], *, dimension: int | None) -> NDArray[np.float64]:
        """The unit vectors of an answer that has exactly one for each text, all of one dimension."""
        vectors = [_vector(found) for found in _in_order(body, len(texts), "embedding")]
        if not vectors:
            raise self._server.refuse(f"{len(texts)} texts were sent, and no {len(texts)} vectors came back")
        sizes = {0 if vector is None else len(vector) for vector in vectors}
        if 0 in sizes or len(sizes) > 1 or (dimension is not None and sizes != {dimension}):
            wanted = f"{dimension} numbers" if dimension is not None else "numbers, always as many"
            raise self._server.refuse(f"every vector has to be of {wanted}, and not all are")
        stacked = np.vstack([vector for vector in vectors if vector is not None])
        norms = np.linalg.norm(stacked, axis=1, keepdims=True)
        wrong = np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > 0)))
        if len(wrong):
            raise EmbedderError(
                f"{self.name} gave no usable vector for the text {texts[wrong[0]][:80]!r}",
                try_next="leave that text out of the graph, or choose another embedding model",
            )
        return np.asarray(stacked / norms)


class ServedReranker:
    """A ``Reranker`` behind vLLM's ``/score``: the model asked for, or the only one that the server lists.

    ``vllm serve MODEL --runner pooling`` serves a cross-encoder, whose scores are what it was trained to give (most
    often in [0, 1]), or an embedding model, whose scores are cosines. ``timeout_s`` bounds each request of 64 texts.
    To name a model sends nothing. Raises ``SettingsError`` for a bad address, ``ModelServerError`` where the only model
    cannot be found out.
    """

    name: str

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 60,
        max_in_flight: int = 4,
    ) -> None:
        self._server = _PoolingServer(
            _RERANKS, base_url, model=model, api_key=api_key, timeout_s=timeout_s, max_in_flight=max_in_flight
        )
        self.base_url: str = self._server.base_url
        self.name = self._server.name

    def scores(self, question: str, texts: Sequence[str]) -> Vectors:
        """A score a text, shape (len(texts),), higher is better. Raises ``ModelServerError`` for any other answer."""
        batches = [texts[start : start + TEXTS_PER_REQUEST] for start in range(0, len(texts), TEXTS_PER_REQUEST)]
        if not batches:
            return np.zeros(0, dtype=np.float32)
        requests = [{"text_1": question[:LONGEST_TEXT], "text_2": _cut(batch)} for batch in batches]
        found: list[float] = []
        for batch, body in zip(batches, self._server.ask(f"{self._server.root}/score", requests), strict=True):
            scores = _in_order(body, len(batch), "score")
            if not scores or not all(map(_is_number, scores)):
                raise self._server.refuse(f"{len(batch)} texts were sent, and no {len(batch)} scores came back")
            found += scores
        return np.asarray(found, dtype=np.float32)


def _to_embed(batch: Sequence[str]) -> Mapping[str, Any]:
    # As base64 an answer has a quarter of the bytes that its numbers have in decimal, and is read 15 times as fast.
    return {"input": _cut(batch), "encoding_format": "base64"}


def _cut(batch: Sequence[str]) -> list[str]:
    return [text[:LONGEST_TEXT] for text in batch]


def _is_visible(text: str) -> bool:
    return any(character.isprintable() and not character.isspace() for character in text)


def _in_order(body: Mapping[str, Any], count: int, key: str) -> list[Any]:
    """What the items of ``data`` hold under the key, by ``index``; nothing unless that runs from 0 to ``count - 1``."""
    data = body.get("data")
    items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
    by_index = {item["index"]: item.get(key) for item in items if type(item.get("index")) is int}
    if len(items) != count or by_index.keys() != set(range(count)):
        return []
    return [by_index[number] for number in range(count)]


def _vector(found: Any) -> NDArray[np.float64] | None:
    """The numbers of one embedding, whichever way the server wrote it; ``None`` if it is none."""
    if isinstance(found, list):
        return np.array(found, dtype=np.float64) if found and all(map(_is_number, found)) else None
    if not isinstance(found, str):
        return None
    try:
        content = base64.b64decode(found, validate=True)
    except binascii.Error:
        return None
    return np.frombuffer(content, dtype="<f4").astype(np.float64) if len(content) % 4 == 0 else None


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and abs(value) < _MOST
