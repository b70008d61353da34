"""What a machine has, read from whatever nvidia-smi prints, and the command that it is told."""

from __future__ import annotations

import re
import shlex
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kgllm.hardware import Hardware, find_hardware, serve_command

Smi = Callable[[str], str]
ALWAYS = {
    "--enable-prefix-caching",
    "--enable-prompt-tokens-details",
    '{"backend":"xgrammar","disable_any_whitespace":true}',
    '{"enable_thinking": false}',
    "127.0.0.1",
    "$OPENAI_API_KEY",
}


@pytest.fixture
def smi(tmp_path: Path) -> Smi:
    """A program in the place of nvidia-smi."""

    def program(script: str) -> str:
        file = tmp_path / "nvidia-smi"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return str(file)

    return program


@pytest.mark.parametrize(
    ("gpus", "model", "others"),
    [
        ((), "Qwen/Qwen3.5-2B", {"16384"}),
        ((8_188,), "Qwen/Qwen3.5-2B", {"16384"}),
        ((12_288,), "Qwen/Qwen3.5-4B", {"16384"}),
        ((24_564,), "Qwen/Qwen3.5-9B", {"32768"}),
        ((81_559,), "Qwen/Qwen3.6-27B", {"32768"}),
        ((24_564, 24_564), "Qwen/Qwen3.5-9B", {"-tp", "2", "32768"}),
        ((49_140, 49_140), "Qwen/Qwen3.6-27B", {"-tp", "2", "32768"}),
        ((24_564, 24_564, 8_188), "Qwen/Qwen3.5-9B", {"-tp", "2"}),
        ((24_564, 8_188), "Qwen/Qwen3.5-4B", {"-tp", "2"}),
        ((1_024,), "Qwen/Qwen3.5-2B", {"vllm.entrypoints.openai.api_server"}),
    ],
    ids=["cpu", "8", "12", "24", "80", "2x24", "2x48", "2x24-and-8", "24-and-8", "too-small"],
)
def test_the_model_is_the_largest_that_fits(gpus: tuple[int, ...], model: str, others: set[str]) -> None:
    words = shlex.split(serve_command(Hardware(tuple(("a GPU", mebibytes) for mebibytes in gpus))))
    assert {model, *others, *ALWAYS} <= set(words)
    assert ("-tp" in words) == (len(gpus) > 1)


def test_a_cpu_is_served_by_the_module_that_its_build_has() -> None:
    assert serve_command(Hardware()).startswith("python -m vllm.entrypoints.openai.api_server --model ")
    assert serve_command(Hardware((("a GPU", 24_564),))).startswith("vllm serve Qwen/")


def test_gpus_are_read_with_their_names_and_memories(smi: Smi) -> None:
    found = find_hardware(command=smi("echo 'NVIDIA H100 80GB HBM3, 81559'; echo ' NVIDIA L4 , 23034 '"))
    assert found == Hardware((("NVIDIA H100 80GB HBM3", 81_559), ("NVIDIA L4", 23_034)))
    assert str(found) == "NVIDIA H100 80GB HBM3 with 80 GiB, NVIDIA L4 with 22 GiB"


@pytest.mark.parametrize(
    ("script", "remark"),
    [
        ("echo 'NVIDIA-SMI has failed'; exit 9", "failed with exit status 9"),
        ("echo 'Segmentation fault, [N/A]'; printf '\\377\\000, 1e9\\n'", "named no GPU"),
        ("true", "named no GPU"),
        ("kill -SEGV $$", "failed with exit status -11"),
    ],
)
def test_nonsense_is_no_gpu(smi: Smi, script: str, remark: str) -> None:
    found = find_hardware(command=smi(script))
    assert found.gpus == ()
    assert remark in found.remark


def test_a_card_without_a_memory_is_left_out(smi: Smi) -> None:
    assert find_hardware(command=smi("echo 'A, [N/A]'; echo 'B, 8188'")).gpus == (("B", 8_188),)


def test_one_that_hangs_is_ended(smi: Smi) -> None:
    began = time.monotonic()
    found = find_hardware(command=smi("echo 'A, 8188'; sleep 60"), timeout_s=0.2)
    assert time.monotonic() - began < 3
    assert found == Hardware(remark="nvidia-smi did not answer within 0.2 s")


def test_none_is_no_gpu(tmp_path: Path) -> None:
    assert find_hardware(command=str(tmp_path / "nvidia-smi")) == Hardware()
    assert str(Hardware()) == "no GPU"


def test_every_line_of_the_command_continues_the_one_before() -> None:
    lines = serve_command(Hardware()).splitlines()
    assert all(re.search(r" \\$", line) for line in lines[:-1])
