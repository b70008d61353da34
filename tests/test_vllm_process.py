"""A model in a process of its own, whose vLLM is a stand-in of thirty lines; tests/vllm runs the real one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kgllm.engines.vllm_process import VllmProcess
from kgllm.errors import ModelServerError
from kgllm.opening import make_model
from kgllm.protocols import Completion, LanguageModel, Message, Usage
from kgllm.settings import Settings

Run = Callable[..., VllmProcess]
SCHEMA = {"type": "object"}

# Its reply to "say X" is X; to anything else the number of words. Every call prints to standard output, as vLLM does.
STAND_IN = """
import os, sys, time
from types import SimpleNamespace as Of
print("noise at import")
os.write(1, b"noise of a library in C\\n")
class LLM:
    def __init__(self, model, **options):
        if model == "broken":
            print("torch.OutOfMemoryError: 3 GiB are not there", file=sys.stderr)
            raise RuntimeError("Engine core initialization failed. See root cause above.")
        self.options, self.model_config, self.calls = options, Of(max_model_len=512), 0
    def chat(self, conversations, params, **how):
        self.calls += 1
        print("noise of a call", how)
        texts = [turns[-1]["content"] for turns in conversations]
        if any(text == "too long" for text in texts): raise ValueError("it has 513 tokens")
        if any(text == "die" for text in texts): os._exit(3)
        if any(text == "hang" for text in texts): time.sleep(60)
        if any(text == "fail" for text in texts): raise RuntimeError("EngineDead")
        if any(text == "wait" for text in texts): time.sleep(0.3)
        def reply(text, each):
            counts = '{"words": %d, "call": %d}' % (len(text.split()), self.calls)
            reason = "stop" if each.max_tokens > 5 else "length"
            said = Of(text=text.removeprefix("say ") if text[:4] == "say " else counts, finish_reason=reason)
            said.token_ids = [1]
            return Of(prompt_token_ids=[1, 2], num_cached_tokens=1, outputs=[said])
        return [reply(text, each) for text, each in zip(texts, params, strict=True)]
    def get_tokenizer(self):
        def template(turns, **_): return " ".join(turn["role"] + " " + turn["content"] for turn in turns)
        return Of(encode=lambda text, **_: text.split(), apply_chat_template=template)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Starts models under the stand-in, and ends them."""
    package = tmp_path / "vllm"
    package.mkdir()
    (package / "__init__.py").write_text(STAND_IN)
    (package / "exceptions.py").write_text("class VLLMValidationError(Exception): ...\n")
    (package / "sampling_params.py").write_text(
        "from types import SimpleNamespace\nSamplingParams = StructuredOutputsParams = SimpleNamespace\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started: list[VllmProcess] = []

    def start(model: str = "tiny", **how: Any) -> VllmProcess:
        started.append(VllmProcess(model, **how))
        return started[-1]

    yield start
    for process in started:
        process.close()


def asks(model: LanguageModel, *texts: str, max_tokens: int = 9) -> list[Completion]:
    return model.complete([[Message("user", text)] for text in texts], schema=SCHEMA, max_tokens=max_tokens)


def pid(model: VllmProcess) -> int:
    return model._children[0]._process.pid


def test_completions_come_in_order_whatever_vllm_prints(run: Run) -> None:
    model: LanguageModel = run()
    assert [each.value["words"] for each in asks(model, "a", "a b", "a b c")] == [1, 2, 3]
    assert asks(model, "a")[0].usage == Usage(2, 1, 1)
    assert asks(model) == []


def test_what_is_cut_or_no_json_is_none(run: Run) -> None:
    model = run()
    assert [each.value for each in asks(model, "say no JSON", "say NaN", 'say {"a": 1}')] == [None, None, {"a": 1}]
    assert asks(model, "a", max_tokens=5)[0].value is None


def test_it_streams_the_whole_text_and_counts_tokens(run: Run) -> None:
    model = run()
    text, completion = model.stream([Message("user", "say {}")], schema=SCHEMA, max_tokens=9)
    assert (text, completion) == ("{}", Completion({}, Usage(2, 1, 1)))
    assert model.tokens("one two") == 2
    assert model.tokens([Message("user", "one two")]) == 3
    assert model.context_length() == 512


def test_what_threads_ask_meanwhile_is_one_batch(run: Run) -> None:
    model = run()
    model.context_length()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(asks, model, "wait")
        time.sleep(0.1)
        calls = {each[0].value["call"] for each in pool.map(lambda _: asks(model, "a"), range(8))}
    assert first.result()[0].value["call"] == 1
    assert calls == {2}


def test_one_that_is_refused_does_not_lose_the_others_of_its_batch(run: Run) -> None:
    model = run()
    model.context_length()
    with ThreadPoolExecutor(3) as pool:
        pool.submit(asks, model, "wait")
        time.sleep(0.1)
        refused, answered = pool.submit(asks, model, "too long"), pool.submit(asks, model, "a b")
    assert answered.result()[0].value["words"] == 2
    with pytest.raises(ModelServerError, match=r"refused the request to tiny\nwhy: ValueError: it has 513 tokens"):
        refused.result()


def test_without_vllm_it_says_what_to_install() -> None:
    with pytest.raises(ModelServerError, match=r"no vLLM that can be imported\n.*\ntry: pip install 'kgllm\[vllm\]'"):
        asks(VllmProcess("tiny"), "a")


def test_a_model_that_cannot_be_loaded_is_told_with_the_cause_in_the_log(run: Run) -> None:
    with pytest.raises(ModelServerError, match=r"cannot run broken\nwhy: .*OutOfMemoryError: 3 GiB are not there"):
        run("broken").context_length()


@pytest.mark.parametrize(
    ("text", "match"),
    [("die", r"ended\nwhy: its exit status is 3"), ("fail", r"cannot run tiny\nwhy: RuntimeError: EngineDead")],
)
def test_a_process_that_fails_is_an_error_and_the_next_call_starts_another(run: Run, text: str, match: str) -> None:
    model = run()
    with pytest.raises(ModelServerError, match=match):
        asks(model, text)
    assert asks(model, "a b")[0].value["words"] == 2


def test_a_process_that_is_killed_is_an_error_at_once(run: Run) -> None:
    model = run()
    model.context_length()
    threading.Timer(0.3, os.kill, (pid(model), signal.SIGKILL)).start()
    began = time.monotonic()
    with pytest.raises(ModelServerError, match=r"process of vLLM that ran tiny ended\nwhy: it was killed"):
        asks(model, "hang")
    assert time.monotonic() - began < 3


def test_a_batch_that_hangs_is_ended_at_its_deadline(run: Run) -> None:
    model = run(timeout_s=0.7)
    model.context_length()
    child = pid(model)
    with pytest.raises(ModelServerError, match=r"did not answer with tiny within 0\.7 s"):
        asks(model, "hang")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_closing_ends_the_process(run: Run) -> None:
    model = run()
    model.context_length()
    child = pid(model)
    model.close()
    model.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_options_are_vllm_s_and_nothing_starts_before_the_first_call(run: Run) -> None:
    model = run(options={"dtype": "float32"})
    assert model._children == []
    assert '"dtype": "float32"' in model._command[-1]
    assert '"disable_any_whitespace": true' in model._command[-1]


@pytest.mark.parametrize(("base_url", "model"), [("vllm:Qwen/Qwen3.5-4B", None), ("vllm:", "Qwen/Qwen3.5-4B")])
def test_a_base_url_of_vllm_is_a_process(tmp_path: Path, base_url: str, model: str | None) -> None:
    made = make_model(Settings(cache_dir=tmp_path, base_url=base_url, model=model))
    assert isinstance(made, VllmProcess)
    assert made.name == "Qwen/Qwen3.5-4B"
