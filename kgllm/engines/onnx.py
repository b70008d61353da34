"""The embedder that answers a question: an exported model under ONNX Runtime, ready in half a second, without PyTorch.

A folder that ``SentenceTransformersEmbedder.export`` wrote holds ``model.onnx`` (pooling and normalisation inside),
``tokenizer.json`` (with truncation), and ``embedder.json`` (what the model is).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgllm.errors import EmbedderError
from kgllm.protocols import Progress, Vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["CARD_FILE", "MODEL_FILE", "TOKENIZER_FILE", "OnnxEmbedder", "embed_in_batches"]

MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
CARD_FILE = "embedder.json"

LONGEST_TEXT = 4_000
"""Characters. One text of a megabyte made its batch of 64 short ones a hundred times slower."""

TOKENS_PER_BATCH = 1_024
"""Padded tokens. 2.4 times the speed of batches of 64 texts on two cores, as a batch stays in the cache."""

_WINDOW = 8_192  # texts sorted by length together: the gain of sorting all, with bounded memory and an even pace


class OnnxEmbedder:
    """Texts to unit vectors by an exported model. Usable from several threads.

    Raises ``EmbedderError`` if the folder holds no export that ONNX Runtime can load.
    """

    name: str
    identity: str
    dimension: int

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it looks its maker's server up, and leaves an id on disk
        onnxruntime: Any = import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _processors()
        options.log_severity_level = 3
        try:
            card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
            self.name = str(card["name"])
            self.identity = str(card["identity"])
            self.dimension = int(card["dimension"])
            self._padding_id = int(card["padding_id"])
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
            self._session = onnxruntime.InferenceSession(
                str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # tokenizers and ONNX Runtime raise bare exceptions of their own
            raise EmbedderError(
                f"the embedding model in {folder} cannot be loaded",
                why=str(error).splitlines()[0] if str(error) else type(error).__name__,
                try_next="build the index anew: kgllm index --rebuild",
            ) from error

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Unit vectors of shape (len(texts), dimension), row by row the texts'. A blank text gets a zero vector."""
        return embed_in_batches(
            texts, encode=self._encode, tokenizer=self._tokenizer, dimension=self.dimension, progress=progress
        )

    def _encode(self, texts: list[str]) -> Vectors:
        encodings = self._tokenizer.encode_batch(texts)
        tokens = np.full((len(texts), max(map(len, encodings))), self._padding_id, dtype=np.int64)
        mask = np.zeros_like(tokens)
        for row, encoding in enumerate(encodings):
            tokens[row, : len(encoding)] = encoding.ids
            mask[row, : len(encoding)] = 1
        (vectors,) = self._session.run(None, {"input_ids": tokens, "attention_mask": mask})
        return np.asarray(vectors, dtype=np.float32)


def embed_in_batches(
    texts: Sequence[str],
    *,
    encode: Callable[[list[str]], Vectors],
    tokenizer: Tokenizer,
    dimension: int,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    progress: Progress | None = None,
) -> Vectors:
    """What ``Embedder.embed`` promises, from an ``encode`` that takes one batch of texts that are not blank.

    Raises ``EmbedderError`` naming the text whose vector is not finite.
    """
    vectors = np.zeros((len(texts), dimension), dtype=np.float32)
    special = tokenizer.num_special_tokens_to_add(False)
    done = 0
    for start in range(0, len(texts), _WINDOW):
        window = [_tidy(text) for text in texts[start : start + _WINDOW]]
        lengths = np.array([len(encoding) for encoding in tokenizer.encode_batch(window, add_special_tokens=False)])
        done += int(np.count_nonzero(lengths == 0))
        if progress is not None:
            progress("embed", done, len(texts))
        for rows in _batches(lengths, special=special, tokens_per_batch=tokens_per_batch):
            batch = [window[row] for row in rows]
            vectors[start + rows] = _unit(encode(batch), texts=batch)
            done += len(rows)
            if progress is not None:
                progress("embed", done, len(texts))
    return vectors


def _tidy(text: str) -> str:
    """The text cut to the longest one embedded, without the lone surrogates that no tokenizer takes."""
    return text[:LONGEST_TEXT].encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _batches(lengths: NDArray[np.int64], *, special: int, tokens_per_batch: int) -> Iterator[NDArray[np.int64]]:
    """The rows that have tokens of their own, longest first, in batches that fit when padded to their longest."""
    order = np.argsort(-lengths, kind="stable")
    order = order[: np.count_nonzero(lengths)]
    start = 0
    while start < len(order):
        size = max(1, tokens_per_batch // (int(lengths[order[start]]) + special))
        yield order[start : start + size]
        start += size


def _unit(vectors: Vectors, *, texts: list[str]) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > 0)))
    if len(wrong):
        raise EmbedderError(
            f"the embedding model gave no usable vector for the text {texts[wrong[0]][:80]!r}",
            try_next="leave that text out of the graph, or choose another embedding model",
        )
    return np.asarray(vectors / norms, dtype=np.float32)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # what this process may use, where the system says
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
