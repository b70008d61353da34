"""What the language model's engine takes for an answer, and what not. How it bears faults: test_model_faults.py."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from kgllm.engines.openai import OpenAIServer
from kgllm.errors import ModelServerError, SettingsError
from kgllm.protocols import Completion, LanguageModel, Message, Usage
from tests.asked_model import SCHEMA
from tests.fault_server import (
    USAGE,
    AtOnce,
    FaultServer,
    Handler,
    Script,
    address_of_nothing,
    completion,
    hangs,
    raw,
    reply,
    says,
    serving,
)

TIMEOUT_S = 3


def asks(base_url: str, *, model: str | None = "tiny", count: int = 1, **how: Any) -> list[Completion]:
    """What the engine makes of the server, in time."""
    began = time.monotonic()
    how = {"timeout_s": TIMEOUT_S, **how}
    try:
        engine = OpenAIServer(base_url, model=model, **how)
        conversations = [[Message("user", f"question {number}")] for number in range(count)]
        return engine.complete(conversations, schema=SCHEMA, max_tokens=20)
    finally:
        assert time.monotonic() - began < how["timeout_s"] + 1


def test_a_good_answer_is_its_json_and_its_tokens() -> None:
    with serving(says(completion())) as server:
        assert asks(server.base_url) == [Completion({"node": "n1"}, Usage(30, 5, 16))]
        [request] = server.requests
        assert request["response_format"]["json_schema"]["schema"] == SCHEMA
        assert (request["temperature"], request["max_tokens"], "seed" in request) == (0, 20, False)


def test_it_is_a_language_model() -> None:
    engine: LanguageModel = OpenAIServer("http://localhost:8000", model="tiny")
    assert engine.name == "tiny"


@pytest.mark.parametrize(
    "body",
    [
        completion(finish_reason="length"),
        completion(None),
        completion(""),
        completion("The node is n1."),
        completion('{"node": NaN}'),
        completion("[" * 100_000),
        completion(model="another"),
        completion(model="tiny-mini"),
        {**completion(), "choices": []},
        {**completion(), "choices": completion()["choices"] * 2},
        {"usage": USAGE},
    ],
    ids=["cut", "null", "empty", "prose", "NaN", "deep", "other-model", "other-size", "no-choice", "two", "nothing"],
)
def test_what_is_no_whole_answer_of_the_model_asked_is_none_and_its_tokens_count(body: Any) -> None:
    with serving(says(body)) as server:
        assert asks(server.base_url) == [Completion(None, Usage(30, 5, 16))]


@pytest.mark.parametrize("name", ["tiny:latest", "tiny-2026-11-01", "alias"])
def test_a_model_may_answer_by_another_of_its_names(name: str) -> None:
    with serving(says(completion(model=name)), models=("tiny", "alias")) as server:
        assert asks(server.base_url)[0].value == {"node": "n1"}


def test_usage_that_is_none_counts_nothing() -> None:
    with serving(says({**completion(), "usage": {"prompt_tokens": "many", "prompt_tokens_details": None}})) as server:
        assert asks(server.base_url) == [Completion({"node": "n1"}, Usage())]


def test_conversations_run_side_by_side_and_come_back_in_order() -> None:
    at_once = AtOnce()

    def slow(handler: Handler, request: dict[str, Any]) -> None:
        number = int(request["messages"][0]["content"].split()[1])
        with at_once:
            time.sleep(0.02 * (4 - number % 4))
        reply(handler, completion(json.dumps({"number": number})))

    with serving(slow) as server:
        found = asks(server.base_url, count=8, max_in_flight=4)
    assert [each.value["number"] for each in found] == list(range(8))
    assert at_once.most == 4


def test_it_can_be_asked_where_a_loop_already_runs() -> None:
    async def notebook_cell() -> list[Completion]:
        return asks(server.base_url)

    with serving(says(completion())) as server:
        assert asyncio.run(notebook_cell())[0].value == {"node": "n1"}


def test_thinking_is_switched_off_for_vllm_alone() -> None:
    for owner, sent in [("vllm", {"enable_thinking": False}), ("somebody", None)]:
        with serving(says(completion()), owner=owner) as server:
            asks(server.base_url)
            assert server.requests[0].get("chat_template_kwargs") == sent


def test_the_only_model_is_found_and_of_two_one_must_be_chosen() -> None:
    with serving(says(completion())) as server:
        assert asks(server.base_url, model=None)[0].value == {"node": "n1"}
    match = "one has to be chosen: tiny, large"
    with serving(says(completion()), models=("tiny", "large")) as server, pytest.raises(ModelServerError, match=match):
        asks(server.base_url, model=None)


def test_a_server_that_lists_no_models_answers_all_the_same() -> None:
    with serving(says(completion()), models=()) as server:
        assert asks(server.base_url)[0].value == {"node": "n1"}
        with pytest.raises(ModelServerError, match="lists no model"):
            asks(server.base_url, model=None)


def test_tokens_and_their_limit_are_unknown_where_the_server_does_not_tell() -> None:
    with serving(says({"count": 3}), owner="vllm") as server:
        assert OpenAIServer(server.base_url, model="tiny").tokens("three tokens here") == 3
    with serving(says({"count": 3}), owner="somebody") as server:
        model = OpenAIServer(server.base_url, model="tiny")
        assert (model.tokens("three tokens here"), model.context_length()) == (None, None)


def test_a_server_behind_a_proxy_without_tokenize_is_asked_all_the_same() -> None:
    with serving(says({"error": {"message": "not found"}}, status=404), says(completion()), owner="vllm") as server:
        model = OpenAIServer(server.base_url, model="tiny")
        assert (model.tokens("three tokens here"), model.tokens("three")) == (None, None)
        assert len(server.requests) == 1
        assert model.complete([[Message("user", "?")]], schema=SCHEMA, max_tokens=9)[0].value == {"node": "n1"}


# What is no answer at all


def fails(*script: Script, match: str, **how: Any) -> FaultServer:
    with serving(*script) as server, pytest.raises(ModelServerError, match=match):
        asks(server.base_url, **how)
    return server


def test_a_page_of_html_is_an_error_whatever_its_status() -> None:
    fails(
        says("<html>Welcome</html>", media_type="text/html"), match=r"text/html that is no JSON.*\n.*Welcome.*\n.*/v1"
    )


def test_json_that_is_no_object_is_an_error() -> None:
    fails(says("[1]"), match="no JSON object")


@pytest.mark.parametrize("head", ["Content-Length: 999\r\n", "Connection: close\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_body_cut_in_the_middle_is_an_error(head: str) -> None:
    body = json.dumps(completion()).encode()[:40]
    chunked = b"%x\r\n%s\r\n" % (len(body), body) if "chunked" in head else body
    fails(raw(head, chunked), match="broke off|no JSON object")


def test_a_slow_drip_ends_at_the_deadline() -> None:
    fails(
        raw("Connection: close\r\n", b" ", pause_s=0.05, times=100), match=r"no whole answer in 0\.6 s", timeout_s=0.6
    )


def test_a_slow_drip_of_headers_ends_at_the_deadline() -> None:
    def drip(handler: Handler, _: dict[str, Any]) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(100):
            handler.wfile.write(b"X-%d: x\r\n" % number)
            time.sleep(0.05)

    fails(drip, match=r"no whole answer in 0\.6 s", timeout_s=0.6)


def test_silence_ends_at_the_deadline() -> None:
    fails(hangs, match=r"no whole answer in 0\.6 s", timeout_s=0.6)


def test_an_endless_body_ends_at_its_most_bytes() -> None:
    endless = raw("Connection: close\r\n", b" " * (1 << 20), times=1000)
    with serving(endless) as server, pytest.raises(ModelServerError, match="more than 8 MiB"):
        OpenAIServer(server.base_url, model="tiny").complete([[Message("user", "?")]], schema=SCHEMA, max_tokens=20)


def test_a_redirect_is_not_followed() -> None:
    with serving(says(completion())) as elsewhere:
        address = f"{elsewhere.base_url}/chat/completions"
        fails(says("", status=307, Location=address), match=f"sends on to {address}", api_key="secret")
        assert elsewhere.requests == []


def test_the_key_is_sent_to_the_server_and_kept_out_of_errors() -> None:
    told = {"error": {"message": "Incorrect API key provided: secret-1"}}
    server = fails(says(told, status=401), match="did not accept the key\nwhy: .* …\ntry: .*KEY", api_key="secret-1")
    assert server.headers[0]["authorization"] == "Bearer secret-1"


def test_a_model_not_served_is_told_with_those_that_are() -> None:
    gone = says({"error": {"message": "no such model"}}, status=404)
    fails(gone, match="does not serve nobody\nwhy: it serves tiny\ntry: --model tiny", model="nobody")


def test_a_server_that_fails_is_told_in_its_own_words() -> None:
    died = says({"error": {"message": "EngineCore encountered an issue.\x1b[31m"}}, status=500)
    fails(died, match=r"failed \(500\)\nwhy: EngineCore encountered an issue\.␛\[31m\n")


def test_a_busy_server_is_asked_again_after_the_pause_it_asks_for() -> None:
    with serving(says("{}", status=429, Retry_After="0.1"), says(completion())) as server:
        assert asks(server.base_url)[0].value == {"node": "n1"}
        assert len(server.requests) == 2


def test_a_server_busy_to_the_end_is_an_error_at_once_where_the_pause_is_longer() -> None:
    server = fails(says("{}", status=503, Retry_After="60"), match=r"too busy \(503\)")
    assert len(server.requests) == 1


def test_where_nothing_listens_the_error_says_how_to_start_a_server() -> None:
    address = address_of_nothing()
    with pytest.raises(ModelServerError, match=f"no model server answers at {address}\n.*\ntry: .*vllm serve tiny"):
        asks(address)


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://localhost", "http://", "http://me:secret@localhost"])
def test_an_address_that_is_none_is_refused_before_anything_is_sent(address: str) -> None:
    with pytest.raises(SettingsError, match="not the address of a model server") as refused:
        OpenAIServer(address, model="tiny")
    assert "secret" not in str(refused.value)


# Whether the schema is enforced


@pytest.mark.parametrize(
    ("body", "enforced", "detail"),
    [
        (completion('{"word": "zq8"}'), True, "wrote one of the words"),
        (completion("It is mild and sunny."), False, "wrote: It is mild and sunny."),
        (completion('{"weather": "mild"}'), False, "wrote: "),
        (completion('{"word":\r\r\r\r', finish_reason="length"), False, "disable_any_whitespace"),
        (completion('{"word": "zq8"}', model="other"), False, "tiny was asked, and other answered"),
        (completion(None), False, "no answer of one choice"),
    ],
    ids=["enforced", "prose", "other-json", "white-space", "other-model", "null"],
)
def test_a_probe_tells_whether_the_server_holds_to_a_schema(body: Any, enforced: bool, detail: str) -> None:
    with serving(says(body)) as server:
        found = OpenAIServer(server.base_url, model="tiny", timeout_s=TIMEOUT_S).probe()
        assert found.enforced is enforced
        assert detail in found.detail


def test_what_was_written_instead_of_json_is_kept_for_the_log() -> None:
    with serving(says(completion("The node is n1."))) as server:
        assert asks(server.base_url)[0].text == "The node is n1."
