"""The language model's engine and every fault that a server is known for, each with the one way in which it ends."""

from __future__ import annotations

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import pytest

from kgllm.engines.openai import OpenAIServer
from kgllm.protocols import Completion
from tests.asked_model import BOTH, NONE, QUESTION, RIGHT, SCHEMA, Call, completes, fails, model_of, streamed
from tests.fault_server import (
    DONE,
    GOOD,
    LAST,
    Handler,
    address_of_nothing,
    chunk,
    completion,
    hangs,
    hangs_up,
    left,
    raw,
    reply,
    says,
    serving,
    streams,
    streams_well,
)

CUT = raw("Content-Length: 999\r\n", json.dumps(completion()).encode()[:40])


# What is tried again, and how often


@BOTH
def test_a_server_that_never_answered_is_given_up_at_once(call: Call) -> None:
    model = OpenAIServer(address_of_nothing(), model="tiny", timeout_s=60)
    with fails("no model server answers at .*\nwhy: .*\ntry: start one: vllm serve tiny", within_s=2):
        call(model)


def test_sixteen_who_ask_at_once_wait_no_longer_for_a_server_that_is_not_there_than_one() -> None:
    def ends(model: OpenAIServer) -> str:
        with fails("no model server answers", within_s=3):
            completes(model)
        return "in time"

    with ThreadPoolExecutor(16) as threads:
        models = [OpenAIServer(address_of_nothing(), model="tiny")] * 16
        assert list(threads.map(ends, models)) == ["in time"] * 16


@BOTH
@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_failure_is_tried_twice_more(call: Call, status: int) -> None:
    failure = says({"error": {"message": "Internal error"}}, status=status)
    well = says(completion()) if call is completes else streams_well()
    with serving(failure, failure, well) as server:
        assert call(model_of(server)) == RIGHT
    with serving(failure) as server:
        with fails(rf"failed \({status}\)\nwhy: Internal error\ntry: look into the server's log", within_s=3):
            call(model_of(server))
        assert len(server.requests) == 3


@BOTH
def test_what_the_server_does_not_do_is_not_tried_again(call: Call) -> None:
    with serving(says("{}", status=501)) as server:
        with fails(r"failed \(501\)", within_s=3):
            call(model_of(server))
        assert len(server.requests) == 1


@BOTH
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_at_the_date_it_names(call: Call, status: int) -> None:
    free_at = int(time.time()) + 2
    busy = says("{}", status=status, Retry_After=formatdate(free_at, usegmt=True))
    with serving(busy, says(completion()) if call is completes else streams_well()) as server:
        assert call(model_of(server)) == RIGHT
    assert free_at <= time.time() < free_at + 2


@BOTH
@pytest.mark.parametrize("asked_for", ["0", "soon", "-1", ""])
def test_a_busy_server_that_names_no_pause_is_asked_till_it_is_free(call: Call, asked_for: str) -> None:
    busy = [says("{}", status=503, Retry_After=asked_for)] * 3
    with serving(*busy, says(completion()) if call is completes else streams_well()) as server:
        assert call(model_of(server)) == RIGHT


@BOTH
def test_a_server_busy_beyond_the_deadline_is_told_without_waiting_for_it(call: Call) -> None:
    with serving(says("{}", status=429, Retry_After="3600")) as server:
        with fails(r"too busy \(429\)\nwhy: .*\ntry: ask fewer", within_s=3):
            call(model_of(server))
        assert len(server.requests) == 1


@BOTH
def test_a_connection_that_ends_before_the_reply_is_made_again(call: Call) -> None:
    with serving(hangs_up, hangs_up, says(completion()) if call is completes else streams_well()) as server:
        assert call(model_of(server)) == RIGHT
    with serving(hangs_up) as server:
        with fails("broke off before its answer was whole\nwhy: Server disconnected", within_s=3):
            call(model_of(server))
        assert len(server.requests) == 3


def test_a_reply_cut_in_the_middle_is_asked_for_again() -> None:
    with serving(CUT, says(completion())) as server:
        assert completes(model_of(server)) == RIGHT
    with serving(CUT) as server:
        with fails("broke off", within_s=3):
            completes(model_of(server))
        assert len(server.requests) == 3


def test_what_is_no_answer_is_not_asked_for_again() -> None:
    with serving(says('{"choices": [')) as server:
        with fails("application/json that is no JSON object", within_s=3):
            completes(model_of(server))
        assert len(server.requests) == 1


@BOTH
def test_a_model_not_served_is_told_at_once(call: Call) -> None:
    with serving(says({"error": {"message": "The model `nobody` does not exist."}}, status=404)) as server:
        with fails("does not serve nobody\nwhy: it serves tiny\ntry: --model tiny", within_s=3):
            call(OpenAIServer(server.base_url, model="nobody"))
        assert len(server.requests) == 1


@BOTH
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "This model's maximum context length is 16384 tokens. However, you requested 20000."}),
        (400, {"message": "The decoder prompt (length 20000) is longer than the maximum model length of 16384."}),
        (400, {"message": "Input tokens exceed the configured limit.", "code": "context_length_exceeded"}),
        (400, {"message": "The input (20000 tokens) is longer than the model's context length (16384 tokens)."}),
        (400, {"message": "the request exceeds the available context size (16384 tokens), try increasing it"}),
        (413, {"message": "The prompt is longer than the context window."}),
    ],
    ids=["vllm", "vllm-v1", "openai", "sglang", "llama.cpp", "proxy"],
)
def test_a_prompt_too_long_is_told_in_the_servers_words(call: Call, status: int, error: dict[str, str]) -> None:
    with serving(says({"error": error}, status=status), owner="somebody") as server, fails("too long", within_s=3):
        call(model_of(server))


def test_a_failure_that_speaks_of_context_is_no_prompt_too_long() -> None:
    told = {"error": {"message": "context length of the KV cache"}}
    with serving(says(told, status=501)) as server, fails(r"failed \(501\)", within_s=3):
        completes(model_of(server))


# Restarts


def test_all_of_64_in_flight_come_back_after_a_restart() -> None:
    waiting = threading.Semaphore(0)

    def caught_by_the_restart(handler: Handler, _: dict[str, Any]) -> None:
        waiting.release()
        hangs(handler, {})

    with serving(caught_by_the_restart) as server:
        model = model_of(server, timeout_s=30)
        with ThreadPoolExecutor(64) as threads:
            found = [threads.submit(completes, model) for _ in range(64)]
            for _ in range(64):
                assert waiting.acquire(timeout=20)
            server.stop()
            time.sleep(2)
            assert not any(each.done() for each in found)
            server.script = [says(completion())]
            server.start()
            back = time.monotonic()
            assert [each.result(timeout=20) for each in found] == [RIGHT] * 64
            assert time.monotonic() - back < 10
    assert len(server.requests) == 128


def test_each_of_64_in_flight_ends_by_the_deadline_where_the_server_does_not_come_back() -> None:
    waiting = threading.Semaphore(0)

    def caught_by_the_end(handler: Handler, _: dict[str, Any]) -> None:
        waiting.release()
        hangs(handler, {})

    def ends(model: OpenAIServer) -> str:
        with fails(
            "answered before, and is gone\nwhy: .*deadline of 8 s\ntry: look into .*vllm serve tiny", within_s=10
        ):
            completes(model)
        return "in time"

    with serving(caught_by_the_end) as server:
        model = model_of(server, timeout_s=8)
        with ThreadPoolExecutor(64) as threads:
            found = [threads.submit(ends, model) for _ in range(64)]
            for _ in range(64):
                assert waiting.acquire(timeout=7)
            server.stop()
            assert [each.result(timeout=20) for each in found] == ["in time"] * 64


def test_a_server_that_restarted_between_two_questions_answers_the_second() -> None:
    with serving(says(completion())) as server:
        model = model_of(server)
        assert completes(model) == RIGHT
        server.stop()
        restart = threading.Timer(1, server.start)
        restart.start()
        assert completes(model) == RIGHT
        restart.join()


# Time


@BOTH
def test_silence_ends_at_the_deadline(call: Call) -> None:
    with serving(hangs) as server, fails(r"no whole answer in 0\.5 s\nwhy: .*\ntry: ask fewer", within_s=2.5):
        call(model_of(server, timeout_s=0.5))


def test_a_stream_without_a_first_token_ends_long_before_the_deadline() -> None:
    head_alone = streams(chunk(), *[": still here"] * 100, pause_s=0.1)
    for silent in (hangs, head_alone):
        with serving(silent) as server:
            with fails(r"wrote nothing in 0\.5 s\nwhy: it took the request.*\ntry: .*first_token_s", within_s=2.5):
                streamed(model_of(server, timeout_s=60, first_token_s=0.5))
            assert len(server.requests) == 1


def test_a_stream_that_began_in_time_may_take_longer_than_its_first_token_may() -> None:
    events = [chunk(letter) for letter in GOOD]
    slow = streams(*events, chunk(finish_reason="stop"), LAST, DONE, pause_s=0.05)
    with serving(slow) as server:
        assert streamed(model_of(server, first_token_s=0.5)) == RIGHT


def test_a_drip_ends_at_the_deadline_with_what_it_gave() -> None:
    got: list[str | Completion] = []
    with serving(streams(*[chunk(" ")] * 100, pause_s=0.1)) as server, fails(r"no whole answer in 1 s", within_s=2):
        got.extend(model_of(server, timeout_s=1).stream(QUESTION, schema=SCHEMA, max_tokens=20))
    dripping = raw("Content-Length: 999\r\n", b" ", times=100, pause_s=0.1)
    with serving(dripping) as server, fails(r"no whole answer in 1 s", within_s=2):
        completes(model_of(server, timeout_s=1))


def test_an_interrupt_ends_a_question_at_once() -> None:
    gone = threading.Event()

    def silent(handler: Handler, _: dict[str, Any]) -> None:
        if left(handler, within_s=30):
            gone.set()

    main = threading.main_thread().ident
    assert main is not None
    for call in (completes, streamed):
        gone.clear()
        with serving(silent) as server:
            threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                call(model_of(server, timeout_s=60))
            assert time.monotonic() - began < 10
            assert gone.wait(5), "the server was left to work on it"


# Servers other than vLLM


def refuses_schemas(handler: Handler, request: dict[str, Any]) -> None:
    if request["response_format"]["type"] == "json_schema":
        message = "'response_format' of type 'json_schema' is not supported with this model."
        return reply(handler, {"error": {"message": message}}, status=400)
    return (streams_well() if request["stream"] else says(completion()))(handler, request)


@BOTH
def test_a_server_that_refuses_schemas_is_asked_for_json_and_told_the_schema_in_words(call: Call) -> None:
    with serving(refuses_schemas, owner="somebody") as server:
        model = model_of(server)
        assert [call(model), call(model)] == [RIGHT, RIGHT]
        formats = [request["response_format"]["type"] for request in server.requests]
        assert formats == ["json_schema", "json_object", "json_object"]
        first, question = server.requests[-1]["messages"]
        assert first["role"] == "system"
        assert first["content"].startswith("Use the handles.\n\nAnswer with one JSON object")
        assert first["content"].endswith(json.dumps(SCHEMA))
        assert question == {"role": "user", "content": "Who?"}


def test_a_model_that_obeys_a_schema_told_in_words_is_not_seen_to_be_held_to_it() -> None:
    def obeys(handler: Handler, request: dict[str, Any]) -> None:
        if request["response_format"]["type"] == "json_schema":
            return reply(handler, "{}", status=422)
        return reply(handler, completion('{"word": "zq7"}'))

    with serving(obeys, owner="somebody") as server:
        found = model_of(server).probe()
        assert not found.enforced
        assert "refuses a schema" in found.detail


def test_a_schema_that_vllm_refuses_is_not_dropped() -> None:
    with serving(refuses_schemas, owner="vllm") as server:
        with fails(r"refused the request \(400\)\nwhy: 'response_format'", within_s=3):
            completes(model_of(server))
        assert len(server.requests) == 1


def test_a_server_that_refuses_any_request_is_not_taken_for_one_that_refuses_schemas() -> None:
    told = [says({"error": {"message": f"max_tokens is wrong, {number}"}}, status=400) for number in (1, 2)]
    with serving(*told, says(completion()), owner="somebody") as server:
        model = model_of(server)
        with fails(r"refused the request \(400\)\nwhy: max_tokens is wrong, 1", within_s=3):
            completes(model)
        assert completes(model) == RIGHT
        assert server.requests[-1]["response_format"]["type"] == "json_schema"


def refuses_template_settings(handler: Handler, request: dict[str, Any]) -> None:
    if "chat_template_kwargs" in request:
        message = "chat_template is not supported for Mistral tokenizers. (parameter=chat_template)"
        return reply(handler, {"error": {"message": message}}, status=400)
    return (streams_well() if request["stream"] else says(completion()))(handler, request)


@BOTH
def test_a_vllm_whose_tokenizer_takes_no_template_settings_is_asked_without_them(call: Call) -> None:
    with serving(refuses_template_settings, owner="vllm") as server:
        model = model_of(server)
        assert [call(model), call(model)] == [RIGHT, RIGHT]
        sent = ["chat_template_kwargs" in request for request in server.requests]
        assert sent == [True, False, False]
        assert all(request["response_format"]["type"] == "json_schema" for request in server.requests)


@pytest.mark.parametrize("written", ["It is n1.", f"```json\n{GOOD}\n```", f"{GOOD} {GOOD}"])
def test_a_server_that_ignores_the_schema_gives_no_answer_and_is_found_out(written: str) -> None:
    with serving(says(completion(written)), owner="somebody") as server:
        model = model_of(server)
        assert completes(model) == NONE
        assert not model.probe().enforced
