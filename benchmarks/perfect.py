"""A perfect planner through the whole line, and what its plans cost to write.

    python benchmarks/perfect.py [DATA] [--limit N] [--sets NAME,NAME] [--base-url URL] [--out FILE]

The model is a script that knows the gold query of each question and writes it as a plan, in the handles that the prompt
offers; where one is missing, it abstains. So what is measured is all but a model's wisdom: candidates, schema, query,
recall and answer. With a server, its tokenizer counts the plans, and n-gram speculation is played through on them: how
many tokens a step would yield if a draft of four is looked up in the prompt (vLLM's ``ngram`` with
``prompt_lookup_max`` 4), which bounds what it can bring.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

import kgllm
from kgllm import Assistant
from kgllm.candidates import candidates, graph_terms, pools_for
from kgllm.evaluate import evaluate
from kgllm.link import link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.protocols import Completion, Message, Usage
from kgllm.query_json import write_query
from kgllm.query_schema import ABSTAIN, PlanError
from kgllm.questions import read_questions
from kgllm.similarity import Vocabulary
from kgllm.tuning.sparql_to_query import NotExpressibleError, compiled

SETS = ("metaqa", "pathquestion", "wc2014", "ck25", "cwd")
DRAFT, LONGEST, SHORTEST = 4, 4, 2  # tokens: of a draft, and of the n-gram by which it is looked up
ABSTAINS = {"plan": {"abstain": ABSTAIN}}


class Perfect:
    """A language model that is none: it writes the gold query of a question over the handles of its prompt."""

    name = "perfect (no language model)"

    def __init__(self, kg: Assistant, queries: Mapping[str, str]) -> None:
        self.planner = EmbeddedPlanner(Vocabulary(kg.index))
        self.pools = pools_for(kg.index)
        self.stable = graph_terms(kg.index.ontology, pools=self.pools)
        self.queries = queries
        self.written: list[tuple[list[Message], str]] = []

    def complete(
        self, conversations: Sequence[Sequence[Message]], *, schema: Mapping[str, Any], max_tokens: int
    ) -> list[Completion]:
        """The plan for each conversation; a second one is never better."""
        return [Completion(self._plan(conversation), Usage()) for conversation in conversations]

    def stream(
        self, conversation: Sequence[Message], *, schema: Mapping[str, Any], max_tokens: int
    ) -> Iterator[str | Completion]:
        """No words for an answer: code says it."""
        yield Completion({"claims": []})

    def tokens(self, prompt: str | Sequence[Message]) -> int | None:
        """Nobody counts."""
        return None

    def context_length(self) -> int | None:
        """There is no limit."""
        return None

    def _plan(self, conversation: Sequence[Message]) -> Any:
        question = json.loads(conversation[1].content.rpartition("Question:\n")[2])["question"]
        if len(conversation) > 2:
            return ABSTAINS
        links = link(question, vocabulary=self.planner.vocabulary)
        try:
            query = compiled(self.queries[question])
            handles = candidates(links, self.planner, pools=self.pools, stable=self.stable)
            plan = {"plan": write_query(query, handles)}
        except (NotExpressibleError, PlanError):
            return ABSTAINS
        self.written.append((list(conversation), json.dumps(plan, separators=(",", ":"))))
        return plan


class Tokenizer:
    """The tokenizer of a vLLM server."""

    def __init__(self, base_url: str) -> None:
        self.http = httpx2.Client(trust_env=False, timeout=60)
        self.root = base_url.rstrip("/").removesuffix("/v1")
        self.model = self.http.get(f"{self.root}/v1/models").json()["data"][0]["id"]

    def __call__(self, text: str) -> list[int]:
        """The tokens of a text."""
        request = {"model": self.model, "prompt": text, "add_special_tokens": False}
        return list(self.http.post(f"{self.root}/tokenize", json=request).json()["tokens"])


def steps(prompt: Sequence[int], written: Sequence[int]) -> int:
    """In how many steps a text is written if each may take over what followed its last tokens earlier."""
    taken, count = 0, 0
    while taken < len(written):
        known = [*prompt, *written[:taken]]
        draft: Sequence[int] = ()
        for size in range(LONGEST, SHORTEST - 1, -1):
            end = known[-size:]
            place = next((p for p in range(len(known) - size - 1, -1, -1) if known[p : p + size] == end), None)
            if place is not None:
                draft = known[place + size : place + size + DRAFT]
                break
        right = 0
        while right < len(draft) and taken + right < len(written) and draft[right] == written[taken + right]:
            right += 1
        taken += right + 1
        count += 1
    return count


def measured(folder: Path, limit: int, tokenizer: Tokenizer | None) -> dict[str, Any]:
    """The scores of the perfect planner on one data set, and the tokens of its plans."""
    file = folder / "questions.dev.jsonl"
    graphs = sorted([*folder.glob("graph.*"), *folder.glob("labels.nt*")])
    with kgllm.open(graphs, ontology=folder / "ontology.ttl", planner="embedded") as kg:
        queries = {q.text: q.sparql for q in read_questions(file, kg.index.store, limit=limit) if q.sparql}
        model = Perfect(kg, queries)
        report = evaluate(Assistant(kg.workspace, model=model, in_flight=1), file, limit=limit)
    found = {name: report["overall"][name] for name in ("n", "hits@1", "f1", "exact", "abstained", "wrong")}
    found |= {name: report[name] for name in ("invented_iris", "unsupported_claims", "errors")}
    if tokenizer is not None and model.written:
        plans = [(tokenizer("\n".join(m.content for m in prompt)), tokenizer(plan)) for prompt, plan in model.written]
        sizes = [len(plan) for _, plan in plans]
        found["plan_tokens"] = {"p50": statistics.median(sizes), "max": max(sizes)}
        found["tokens_per_step"] = round(sum(sizes) / sum(steps(prompt, plan) for prompt, plan in plans), 2)
    return found


def main() -> None:
    """Measure what the arguments name, and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--sets", default="")
    parser.add_argument("--base-url")
    parser.add_argument("--note", default="", help="the server's tokenizer, in words")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    spider = [f"spider4sparql/{path.parent.name}" for path in options.data.glob("spider4sparql/*/questions.dev.jsonl")]
    tokenizer = Tokenizer(options.base_url) if options.base_url else None
    results = {}
    for name in options.sets.split(",") if options.sets else [*SETS, *sorted(spider)]:
        results[name] = measured(options.data / name, options.limit, tokenizer)
        print(f"{name:<45} {json.dumps(results[name])}", flush=True)
    if options.out is not None:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
        report = {
            "commit": commit.stdout.strip(),
            "limit": options.limit,
            "tokenizer": options.note,
            "results": results,
        }
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
