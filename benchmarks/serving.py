"""How fast a model server answers kgllm's questions: in how long the first, how many at once, for how many tokens.

    python benchmarks/serving.py QUESTIONS.jsonl -g GRAPH [--ontology FILE] --base-url URL [--model NAME] [--out FILE]

Prints questions a second at 1, 4, 16 and 64 in flight, the time to the first token of the first and of the tenth plan
(the first compiles the schema's grammar), tokens a question and the share of the prompt that the server had in its
cache. The first says something only of a server started afresh, the last only of one that was started with
``--enable-prompt-tokens-details``.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import kgllm
from kgllm import Assistant
from kgllm.answer import Answer
from kgllm.briefing import PLAN_TOKENS
from kgllm.link import link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.plan_model import ModelPlanning
from kgllm.protocols import Completion, LanguageModel, Message
from kgllm.query_schema import plan_schema
from kgllm.questions import read_questions
from kgllm.similarity import Vocabulary

LEVELS = (1, 4, 16, 64)
FIRST_TOKENS = 10


def main() -> None:
    """Measure what the arguments name, and print it."""
    options = parsed()
    with kgllm.open(
        options.graph,
        ontology=options.ontology,
        planner="model",
        base_url=options.base_url,
        model=options.model,
        no_cache=True,
        **({"temperature": options.temperature} if options.temperature else {}),
    ) as kg:
        assert kg.model is not None
        texts = [question.text for question in read_questions(options.questions, kg.index.store, limit=options.limit)]
        report: dict[str, Any] = surroundings(kg.model.name, options.note)
        report |= {"questions": len(texts), "first_token_ms": first_tokens(kg, texts)}
        print(f"time to first token: {report['first_token_ms']}")
        report["in_flight"] = {}
        for level in options.levels:
            measured = asked(kg, texts, level)
            report["in_flight"][level] = measured
            print(f"{level:>3} in flight: {json.dumps(measured)}", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def first_tokens(kg: Assistant, texts: list[str]) -> dict[str, float]:
    """Milliseconds to the first token of the first plan, of the tenth, and the median of those after the first."""
    assert kg.model is not None
    planner = EmbeddedPlanner(Vocabulary(kg.index))
    briefing = kg._briefing
    spent = []
    for text in (texts * FIRST_TOKENS)[:FIRST_TOKENS]:
        links = link(text, vocabulary=planner.vocabulary)
        silent = Silent(kg.model)
        list(ModelPlanning(links, planner, briefing=briefing, model=silent).propose(None))
        started = time.perf_counter()
        pieces = kg.model.stream(silent.prompt, schema=plan_schema(briefing.pools), max_tokens=PLAN_TOKENS)
        next(pieces)
        spent.append((time.perf_counter() - started) * 1000)
        pieces.close()  # type: ignore[attr-defined]
    rounded = {"first": spent[0], "tenth": spent[-1], "median_after_first": statistics.median(spent[1:])}
    return {name: round(value, 1) for name, value in rounded.items()}


class Silent:
    """A model that keeps the first prompt that it is given and says nothing."""

    def __init__(self, model: LanguageModel) -> None:
        self.name = model.name
        self.prompt: list[Message] = []
        self.tokens = model.tokens
        self.context_length = model.context_length
        self.stream = model.stream

    def complete(self, conversations: Any, **_: Any) -> list[Completion]:
        """No JSON at all for each conversation."""
        self.prompt = self.prompt or list(conversations[0])
        return [Completion(None) for _ in conversations]


def asked(kg: Assistant, texts: list[str], in_flight: int) -> dict[str, Any]:
    """All questions, ``in_flight`` at a time: how long they take, and what they cost."""
    asking = Assistant(kg.workspace, model=kg.model, in_flight=in_flight)
    started = time.perf_counter()
    outcomes = list(asking.ask_each(texts))
    seconds = time.perf_counter() - started
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    prompt = [answer.usage.prompt_tokens for answer in answers]
    written = [answer.usage.completion_tokens for answer in answers]
    cached = sum(answer.usage.cached_tokens for answer in answers)
    return {
        "questions_per_second": round(len(texts) / seconds, 2),
        "completion_tokens_per_second": round(sum(written) / seconds, 1),
        "calls_per_question": round(sum(len(answer.exchanges) for answer in answers) / len(answers), 2),
        "prompt_tokens": spread(prompt),
        "completion_tokens": spread(written),
        "cached_share": round(cached / sum(prompt), 3),
        "latency_ms": spread([answer.timings_ms["total"] for answer in answers]),
        "faults": len(outcomes) - len(answers),
    }


def spread(values: list[Any]) -> dict[str, float]:
    """The median and the 95th percentile."""
    ordered = sorted(values)
    return {"p50": round(statistics.median(ordered), 1), "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1)}


def surroundings(model: str, note: str) -> dict[str, Any]:
    """What was measured on what."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    return {
        "commit": commit.strip(),
        "kgllm": kgllm.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "model": model,
        "hardware": note,
    }


def parsed() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("questions", type=Path)
    parser.add_argument("-g", "--graph", required=True, action="append")
    parser.add_argument("--ontology", action="append")
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model")
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--levels", type=lambda text: [int(n) for n in text.split(",")], default=list(LEVELS))
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--note", default="", help="the hardware, in words")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
