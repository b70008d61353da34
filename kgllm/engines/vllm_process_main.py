"""The child side of ``VllmProcess``: requests on standard input, answers on standard output, a line of JSON each.

It runs as a file, ``vllm_process_main.py MODEL OPTIONS``, in whichever environment has vLLM, and so imports nothing but
the standard library and vLLM. Whatever these print goes to standard error.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
from importlib import import_module
from typing import Any

__all__: list[str] = []


def main(name: str, options: dict[str, Any]) -> None:
    """Load the model, say so, and answer until standard input ends."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, args=(requests.fileno(),), daemon=True).start()

    def reply(answer: dict[str, Any]) -> None:
        replies.write(json.dumps(answer).encode() + b"\n")
        replies.flush()

    try:
        vllm: Any = import_module("vllm")
    except ImportError as error:
        reply({"missing": str(error)})
        return
    try:
        model = vllm.LLM(name, **options)
    except Exception as error:  # whatever is wrong with the model, the options or the machine
        reply({"failed": _told(error)})
        return
    reply({"context_length": model.model_config.max_model_len})
    for line in requests:
        request = json.loads(line)
        try:
            if "conversations" in request:
                reply({"completions": _complete(model, request["conversations"])})
            else:
                reply({"tokens": _count(model, request["prompt"])})
        except Exception as error:  # the engine is dead, and says nothing more to anybody
            reply({"failed": _told(error)})
            return


def _complete(model: Any, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A completion each, in order; where vLLM refuses some of them, these have its reason instead."""
    params: Any = import_module("vllm.sampling_params")
    refusal: type[Exception] = import_module("vllm.exceptions").VLLMValidationError
    try:
        outputs = model.chat(
            [each["messages"] for each in asked],
            [
                params.SamplingParams(
                    temperature=0,
                    max_tokens=each["max_tokens"],
                    structured_outputs=params.StructuredOutputsParams(json=each["schema"]),
                )
                for each in asked
            ],
            use_tqdm=False,
            chat_template_kwargs={"enable_thinking": False},  # thoughts stand outside the schema, and cost their tokens
        )
    except (ValueError, refusal) as error:
        if len(asked) == 1:
            return [{"refused": _told(error)}]
        return [completion for each in asked for completion in _complete(model, [each])]
    return [
        {
            "text": output.outputs[0].text,
            "finish_reason": output.outputs[0].finish_reason,
            "usage": [
                len(output.prompt_token_ids or ()),
                len(output.outputs[0].token_ids),
                output.num_cached_tokens or 0,
            ],
        }
        for output in outputs
    ]


def _count(model: Any, prompt: str | list[dict[str, str]]) -> int:
    tokenizer = model.get_tokenizer()
    if isinstance(prompt, str):
        return len(tokenizer.encode(prompt))
    text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    return len(tokenizer.encode(text, add_special_tokens=False))


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _end_with_parent(requests: int) -> None:
    """Wait until the other end of the pipe is closed, as it is however the parent ends; then end the whole group."""
    hang_up = select.poll()
    hang_up.register(requests, 0)
    hang_up.poll()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
