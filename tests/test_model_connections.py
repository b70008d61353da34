"""The connections of the language model's engine: how many there are, who shares them, and that they end."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kgllm.protocols import Message
from tests.asked_model import BOTH, RIGHT, SCHEMA, Call, completes, fails, model_of
from tests.fault_server import (
    AtOnce,
    Handler,
    completion,
    hangs,
    left,
    reply,
    says,
    serving,
)


def test_temperature_and_seed_are_sent_as_they_were_given() -> None:
    with serving(says(completion())) as server:
        completes(model_of(server, temperature=0.7, seed=11))
        completes(model_of(server))
    first, second = server.requests
    assert (first["temperature"], first["seed"]) == (0.7, 11)
    assert (second["temperature"], "seed" in second) == (0, False)


def test_questions_one_after_the_other_share_a_connection() -> None:
    with serving(says(completion())) as server:
        model = model_of(server)
        assert [completes(model) for _ in range(5)] == [RIGHT] * 5
        assert server.connections == 1


def test_questions_of_all_threads_together_are_bounded() -> None:
    at_once = AtOnce()

    def slow(handler: Handler, request: dict[str, Any]) -> None:
        with at_once:
            time.sleep(0.05)
        says(completion())(handler, request)

    with serving(slow) as server, ThreadPoolExecutor(12) as threads:
        model = model_of(server, max_in_flight=4)
        assert list(threads.map(completes, [model] * 24)) == [RIGHT] * 24
    assert at_once.most == 4


def test_what_a_server_serves_is_asked_once_for_all_who_ask_at_once() -> None:
    with serving(says(completion())) as server, ThreadPoolExecutor(16) as threads:
        assert list(threads.map(completes, [model_of(server)] * 16)) == [RIGHT] * 16
        assert server.listings == 1


def test_a_closed_or_forgotten_model_leaves_no_thread_and_the_next_question_opens_it_again() -> None:
    before = set(threading.enumerate())

    def threads_of_the_model() -> list[threading.Thread]:
        new = set(threading.enumerate()) - before
        return [thread for thread in new if thread.name == "kgllm-connections"]

    with serving(says(completion())) as server:
        model = model_of(server)
        assert threads_of_the_model() == [], "a thread before the first question"
        completes(model)
        assert len(threads_of_the_model()) == 1
        model.close()
        model.close()
        assert threads_of_the_model() == []
        assert completes(model) == RIGHT
        [thread] = threads_of_the_model()
        del model
        gc.collect()
        thread.join(5)
        assert not thread.is_alive()


def test_a_program_that_forgets_to_close_a_model_ends_without_a_word() -> None:
    with serving(says(completion())) as server:
        program = (
            "from kgllm.engines.openai import OpenAIServer\nfrom kgllm.protocols import Message\n"
            f"model = OpenAIServer({server.base_url!r}, model='tiny')\n"
            "model.complete([[Message('user', '?')]], schema={}, max_tokens=9)"
        )
        done = subprocess.run(
            [sys.executable, "-W", "default", "-c", program], capture_output=True, text=True, timeout=30, check=True
        )
    assert done.stderr == ""


@BOTH
def test_a_question_whose_model_is_closed_ends(call: Call) -> None:
    with serving(hangs) as server:
        model = model_of(server, timeout_s=60)
        threading.Timer(0.5, model.close).start()
        with fails("closed before it had answered", within_s=3):
            call(model)


def test_the_first_fault_of_a_batch_ends_the_others() -> None:
    gone = threading.Semaphore(0)

    def one_of_them(handler: Handler, request: dict[str, Any]) -> None:
        if request["messages"][0]["content"] == "fail":
            time.sleep(0.2)
            reply(handler, "{}", status=404)
        elif left(handler, within_s=30):
            gone.release()

    with serving(one_of_them) as server, fails("no such address", within_s=3):
        conversations = [[Message("user", text)] for text in ("wait", "fail", "wait")]
        model_of(server, timeout_s=60).complete(conversations, schema=SCHEMA, max_tokens=20)
    assert all(gone.acquire(timeout=5) for _ in range(2))
