"""The language model's engine while it streams: what it gives piece by piece, and how a stream can break."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import Any

import pytest

from kgllm.protocols import Completion
from tests.asked_model import NONE, QUESTION, RIGHT, SCHEMA, completes, fails, model_of, streamed
from tests.fault_server import (
    DONE,
    GOOD,
    LAST,
    Handler,
    Script,
    chunk,
    completion,
    left,
    raw,
    says,
    serving,
    streams,
    streams_well,
)


def test_a_stream_gives_its_text_piece_by_piece_and_then_the_whole() -> None:
    with serving(streams_well()) as server:
        *pieces, whole = model_of(server).stream(QUESTION, schema=SCHEMA, max_tokens=20)
        assert (pieces, whole) == (['{"no', 'de":', ' "n1', '"}'], RIGHT)
        [request] = server.requests
        assert (request["stream"], request["stream_options"]) == (True, {"include_usage": True})
        assert request["response_format"]["json_schema"]["schema"] == SCHEMA


def test_a_piece_is_there_before_the_next_is_sent() -> None:
    read = threading.Event()

    def waits(handler: Handler, request: dict[str, Any]) -> None:
        streams(chunk('{"node"'))(handler, request)
        read.wait(3)
        handler.wfile.write(f"data: {json.dumps(chunk(': 1}', finish_reason='stop'))}\n\ndata: [DONE]\n\n".encode())

    with serving(waits) as server:
        reply = model_of(server).stream(QUESTION, schema=SCHEMA, max_tokens=20)
        assert next(reply) == '{"node"'
        read.set()
        assert list(reply) == [": 1}", Completion({"node": 1})]


@pytest.mark.parametrize(
    "script",
    [
        streams_well(finish_reason="length"),
        streams_well("The node is n1."),
        streams_well(f"```json\n{GOOD}\n```"),
        streams_well(""),
        streams_well(model="another"),
        streams(chunk('{"node": '), chunk('"n1"}', model="another"), chunk(finish_reason="stop"), LAST, DONE),
    ],
    ids=["cut", "prose", "fenced", "empty", "other-model", "two-models"],
)
def test_a_stream_of_what_is_no_answer_is_none_at_its_end(script: Script) -> None:
    with serving(script) as server:
        assert streamed(model_of(server)) == NONE


BEGUN = (chunk(), chunk('{"node": '))


@pytest.mark.parametrize(
    ("script", "match"),
    [
        (streams(*BEGUN), r"broke off.*\n.*without the \[DONE\]"),
        (streams(*BEGUN, chunk('"n1"}', finish_reason="stop"), LAST), r"broke off.*\n.*without the \[DONE\]"),
        (streams(*BEGUN, chunk('"n1"}'), LAST, DONE), r"broke off.*\n.*without the finish_reason"),
        (streams(*BEGUN, {"error": {"message": "EngineCore died"}}, DONE), "broke off.*\nwhy: EngineCore died"),
        (streams(*BEGUN, chunk(finish_reason="stop"), chunk('"n1"}'), DONE), "no part of one answer"),
        (streams(*BEGUN, {"model": "tiny", "choices": chunk()["choices"] * 2}, DONE), "no part of one answer"),
        (streams(*BEGUN, "<html>", DONE), "no JSON object\nwhy: <html>"),
        (streams(*BEGUN, ": " + "x" * (2 << 20), DONE), "broke off.*\nwhy: .*exceeded"),
        (streams(*BEGUN, *[chunk(" " * (1 << 19))] * 20, DONE), "more than 8 MiB"),
    ],
    ids=["cut", "no-DONE", "no-reason", "error", "goes-on", "two", "html", "endless-event", "endless"],
)
def test_a_stream_that_breaks_is_an_error_and_never_an_answer(script: Script, match: str) -> None:
    got: list[str | Completion] = []
    with serving(script) as server:
        with fails(match, within_s=3):
            for piece in model_of(server).stream(QUESTION, schema=SCHEMA, max_tokens=20):
                got.append(piece)
        assert got[0] == '{"node": '
        assert all(isinstance(piece, str) for piece in got)
        assert len(server.requests) == 1, "what was begun was begun again"


def test_a_stream_that_broke_before_its_first_text_is_asked_for_again() -> None:
    with serving(streams(chunk()), streams({"error": "died"}), streams_well()) as server:
        assert streamed(model_of(server)) == RIGHT


@pytest.mark.parametrize(
    "script",
    [
        says(completion()),
        says("<html>", media_type="text/html"),
        raw("Content-Encoding: gzip\r\n", b"\x1f\x8b", media_type="text/event-stream"),
    ],
    ids=["not-streamed", "html", "zipped"],
)
def test_what_is_no_stream_is_an_error(script: Script) -> None:
    with serving(script) as server, fails("that is no stream of events", within_s=3):
        streamed(model_of(server))


def test_a_stream_read_no_further_ends_its_request() -> None:
    gone = threading.Event()

    def begins(handler: Handler, request: dict[str, Any]) -> None:
        streams(*BEGUN)(handler, request)
        if left(handler, within_s=30):
            gone.set()

    with serving(begins) as server:
        model = model_of(server, timeout_s=60, max_in_flight=1)
        for piece in model.stream(QUESTION, schema=SCHEMA, max_tokens=20):
            assert piece == '{"node": '
            break
        gc.collect()
        assert gone.wait(5)
        server.script = [says(completion())]
        assert completes(model) == RIGHT, "its place was not given back"


def test_a_stream_can_be_read_where_a_loop_already_runs() -> None:
    async def notebook_cell() -> Completion:
        return streamed(model)

    with serving(streams_well()) as server:
        model = model_of(server)
        assert asyncio.run(notebook_cell()) == RIGHT
