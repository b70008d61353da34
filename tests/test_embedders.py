"""The embedded embedders: where models come from, which are refused, and what an export holds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kgllm.engines.sentence_transformers as module
from kgllm import Assistant
from kgllm.engines.onnx import OnnxEmbedder
from kgllm.engines.sentence_transformers import DEFAULT_MODEL, DEFAULT_WEIGHTS_SHA256, SentenceTransformersEmbedder
from kgllm.errors import EmbedderError

TEXTS = ["Moon", "Who commanded the first landing?", "one two three " * 200]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two layers with random weights, and the default's tokenizer."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny") / "model"
    shutil.copytree(
        module._folder_of(DEFAULT_MODEL), folder, ignore=shutil.ignore_patterns("*.safetensors", "README.md")
    )
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    BertModel(config).save_pretrained(folder)
    set_pooling(folder, "mean")
    return folder


def set_pooling(folder: Path, mode: str) -> None:
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"embedding_dimension": 32, "pooling_mode": mode}))


@pytest.mark.parametrize("mode", ["mean", "cls", "max"])
def test_an_export_gives_the_vectors_of_its_model(tiny: Path, tmp_path: Path, mode: str) -> None:
    shutil.copytree(tiny, tmp_path / "model")
    set_pooling(tmp_path / "model", mode)
    embedder = SentenceTransformersEmbedder(str(tmp_path / "model"))
    embedder.export(tmp_path)
    exported = OnnxEmbedder(tmp_path)
    assert (exported.name, exported.identity, exported.dimension) == (embedder.name, embedder.identity, 32)
    assert np.min(np.sum(exported.embed(TEXTS) * embedder.embed(TEXTS), axis=1)) > 0.9999


def test_an_export_that_differs_is_refused_and_removed(tiny: Path, tmp_path: Path) -> None:
    embedder = SentenceTransformersEmbedder(str(tiny))
    embedder._model.prompts, embedder._model.default_prompt_name = {"query": "query: "}, "query"  # outside the graph
    with pytest.raises(EmbedderError, match="cannot be exported"):
        embedder.export(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_default_is_named_with_its_weights() -> None:
    assert SentenceTransformersEmbedder().identity == f"{DEFAULT_MODEL} sha256:{DEFAULT_WEIGHTS_SHA256}"


def test_other_weights_under_the_default_name_are_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_folder_of", lambda model: tiny)
    with pytest.raises(EmbedderError, match="not the expected ones"):
        SentenceTransformersEmbedder()


def test_two_models_have_two_identities(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "other")
    weights = tmp_path / "other" / "model.safetensors"
    flipped = bytearray(weights.read_bytes())
    flipped[-1] ^= 1
    weights.write_bytes(flipped)
    assert module._weights_sha256(tiny) != module._weights_sha256(tmp_path / "other")


def test_pickled_weights_are_refused(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(EmbedderError, match="no model weights in safetensors"):
        SentenceTransformersEmbedder(str(tmp_path / "model"))


def test_a_model_with_code_of_its_own_is_refused(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny, tmp_path / "model")
    (tmp_path / "model" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: ...\n")
    (tmp_path / "model" / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "evil.Evil"}]')
    with pytest.raises(EmbedderError, match="cannot be loaded"):
        SentenceTransformersEmbedder(str(tmp_path / "model"))
    assert not (tmp_path / "ran").exists()


def test_a_model_that_is_nowhere_says_what_to_do_offline(tmp_path: Path) -> None:
    code = (
        "from kgllm.engines.sentence_transformers import SentenceTransformersEmbedder as E\n"
        "from kgllm.errors import EmbedderError\n"
        "try: E('nobody/no-such-model')\n"
        "except EmbedderError as error: print(error)\n"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "neither a folder, nor cached" in said.stdout
    assert "try: leave the model out" in said.stdout


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "embedder.json"])
def test_a_folder_without_a_whole_export_is_refused(tiny: Path, tmp_path: Path, name: str) -> None:
    SentenceTransformersEmbedder(str(tiny)).export(tmp_path)
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(EmbedderError, match="cannot be loaded"):
        OnnxEmbedder(tmp_path)


def test_a_question_is_embedded_without_the_training_stack(tiny: Path, tmp_path: Path) -> None:
    SentenceTransformersEmbedder(str(tiny)).export(tmp_path)
    code = (
        "import sys; from pathlib import Path; from kgllm.engines.onnx import OnnxEmbedder\n"
        f"OnnxEmbedder(Path({str(tmp_path)!r})).embed(['Who?'])\n"
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


def test_importing_the_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, kgllm.engines.sentence_transformers, kgllm.engines.onnx\n"
        "print(sorted({'torch', 'onnxruntime', 'tokenizers'} & set(sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"


def test_embedding_leaves_no_id_on_disk_and_looks_nobody_up(demo: Assistant, tmp_path: Path) -> None:
    (folder,) = demo.workspace.folder.glob("gen-*/embedder")
    code = f"import pathlib, kgllm.engines.onnx as o; o.OnnxEmbedder(pathlib.Path({str(folder)!r})).embed(['a'])"
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", f"{code}; import time; time.sleep(1.5)"], env=environment, check=True)
    assert not list(tmp_path.rglob("*onnxruntime*"))
