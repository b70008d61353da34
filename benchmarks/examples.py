"""What solved questions in the prompt are worth to a language model: the same questions, asked without and with them.

    python benchmarks/examples.py NAME DATA --index DIR --base-url URL [--learn 1000] [--questions 100] [--out FILE]

DATA is a folder with graph.ttl.gz, ontology.ttl, questions.train.jsonl.gz and questions.dev.jsonl. A sample of the
training questions is solved, and what is solved stands beside the index while a sample of the others is asked; of these
none is ever an example. Sentences are rendered by code, so that only the planning counts. DIR is an index of the
benchmark's own. With ``--out`` the figures are added to a JSON file under NAME.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kgllm
from kgllm import Answer
from kgllm.evaluate import evaluate
from kgllm.lessons import Lessons
from kgllm.questions import question_texts
from kgllm.solved import distinct, write_solved
from kgllm.tuning.from_questions import tune


def sampled(file: Path, count: int, folder: Path) -> Path:
    """A sample of a file's questions, always the same."""
    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rt", encoding="utf-8") as lines:
        found = list(lines)
    random.Random(1).shuffle(found)
    sample = folder / f"{file.name.partition('.gz')[0]}"
    sample.write_text("".join(found[:count]), encoding="utf-8")
    return sample


def figures(kg: kgllm.Assistant, questions: Path, folder: Path) -> dict[str, Any]:
    """The scores of one run, and how many plans a question took."""
    out = folder / "predictions.jsonl"
    began = time.monotonic()
    report = evaluate(kg, questions, out=out)
    seconds = round(time.monotonic() - began)
    rounds = [json.loads(line).get("rounds", 0) for line in out.read_text(encoding="utf-8").splitlines()]
    found = {key: report["overall"][key] for key in ("hits@1", "f1", "abstained", "wrong")}
    found |= {kind: scores["hits@1"] for kind, scores in report["by_kind"].items()}
    found |= {"errors": report["errors"], "invented_iris": report["invented_iris"]}
    return found | {
        "answered with the first plan": round(sum(count == 1 for count in rounds) / len(rounds), 3),
        "prompt tokens a question": report["prompt_tokens"]["p50"],
        "seconds": seconds,
    }


def unanswered(_: Lessons, questions: Sequence[str]) -> Iterator[Answer]:
    """No answers: what lessons would be worth is not measured here."""
    return (Answer(question, "", abstained=True) for question in questions)


def main() -> None:
    """Solve, ask without and with examples, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("name")
    parser.add_argument("data", type=Path)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model")
    parser.add_argument("--learn", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--in-flight", type=int, default=4, help="on a CPU few, or each waits too long")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    graph, ontology = arguments.data / "graph.ttl.gz", arguments.data / "ontology.ttl"
    options: dict[str, Any] = {"ontology": ontology, "index": arguments.index, "log": False}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train = sampled(arguments.data / "questions.train.jsonl.gz", arguments.learn, folder)
        dev = sampled(arguments.data / "questions.dev.jsonl", arguments.questions, folder)
        with kgllm.open(graph, planner="embedded", **options) as kg:
            # What the lessons would be worth is not measured here.
            learned = tune(
                kg.workspace, train, ask=lambda _, texts: (Answer(text, "", abstained=True) for text in texts)
            )
            solved = distinct(learned.examples)
        asked = set(question_texts(dev))
        found: dict[str, Any] = {
            "learned from": arguments.learn,
            "solved, distinct": len(solved),
            "of them asked": sum(one.question in asked for one in solved),
            "questions": arguments.questions,
            "machine": f"{platform.machine()}, Python {platform.python_version()}, kgllm {kgllm.__version__}",
        }
        written = write_solved(arguments.index, solved)
        try:
            for told, examples in (("without", False), ("with", True)):
                model = {"base_url": arguments.base_url, "model": arguments.model, "planner": "model"}
                model |= {"in_flight": arguments.in_flight}
                with kgllm.open(graph, examples=examples, strict=True, no_cache=True, **model, **options) as kg:
                    assert kg.model is not None
                    found |= {"model": kg.model.name, told: figures(kg, dev, folder)}
                print(json.dumps(found, indent=1), flush=True)
        finally:
            written.unlink()
    if arguments.out:
        known = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        arguments.out.write_text(json.dumps(known | {arguments.name: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
