"""A planner of about ten million parameters, trained from nothing, served by a real vLLM, and measured.

    python benchmarks/planner_from_scratch.py train FOLDER [DATA] [--size 12m] [--epochs 5]
    python benchmarks/planner_from_scratch.py measure FOLDER [DATA] [--python .venv-vllm/bin/python] [--renamed]
                                              [--limit N] [--sets NAME,NAME] [--out FILE]

``train`` learns from the training questions of the data sets under DATA, one model for all of them, and writes it; its
record goes to ``--out``. ``measure`` has vLLM serve it, asks the dev questions with kgllm's own linking, and lets the
same weights plan once more without a schema: how many plans are none. With ``--renamed`` all nodes have names that
nobody has heard, in the graph and in the questions.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx2
import pyoxigraph as ox

import kgllm
from kgllm import Assistant
from kgllm.briefing import brief
from kgllm.engines.causal_lm import Training
from kgllm.evaluate import evaluate
from kgllm.link import link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.plan_model import ModelPlanning
from kgllm.protocols import Message, turns
from kgllm.query_json import parse_query
from kgllm.query_schema import PlanError
from kgllm.questions import read_questions
from kgllm.similarity import Vocabulary
from kgllm.tuning.language_model import apart, learn
from kgllm.tuning.training_data import Reader, TrainingExample, training_examples

SETS = ("metaqa", "pathquestion", "wc2014")
CONTEXT = 2048
LABEL = ox.NamedNode("http://www.w3.org/2000/01/rdf-schema#label")
SERVED = ("--enforce-eager", "--generation-config", "vllm", "--dtype", "float32")
CONSONANTS, VOWELS = "bdfgklmnprstvz", ("a", "e", "i", "o", "u", "ar", "en", "il", "os")
SYLLABLES = [first + second for first in CONSONANTS for second in VOWELS]


def main() -> None:
    """Train or measure, as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("what", choices=("train", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--size", default="12m")
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--python", type=Path, default=Path(".venv-vllm/bin/python"))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--renamed", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = trained(options) if options.what == "train" else measured(options)
    print(json.dumps(found, indent=1))
    if options.out:
        known = json.loads(options.out.read_text()) if options.out.exists() else {}
        options.out.write_text(json.dumps(known | found, indent=1) + "\n")


def trained(options: argparse.Namespace) -> dict[str, Any]:
    """Learn from the training questions of all sets."""
    began = time.monotonic()
    found: list[TrainingExample] = []
    counts = {}
    for name in options.sets.split(","):
        with opened(options.data / name) as kg:
            questions = read_questions(options.data / name / "questions.train.jsonl.gz", kg.index.store)
            of_set = training_examples(questions, EmbeddedPlanner(Vocabulary(kg.index)), Reader(CONTEXT), progress=told)
            counts[name] = {"questions": len(questions), "planned": sum(example is not None for example in of_set)}
            found += [example for example in of_set if example is not None]
    random.Random(0).shuffle(found)
    kept, held = apart(found)
    prepared = time.monotonic()
    training = replace(Training(), epochs=options.epochs)
    model, losses = learn(kept, held, options.folder, size=options.size, training=training, progress=told)
    seconds = {"prompts": round(prepared - began), "training": round(time.monotonic() - prepared)}
    shape = {"parameters": model.parameters(), "vocabulary": len(model.tokenizer), "context": model.context}
    return {
        "trained": {
            "sets": counts,
            "examples": len(kept),
            "distinct": len(set(kept)),
            "held out": len(held),
            **shape,
            "training": asdict(training),
            "losses": losses,
            "seconds": seconds,
            "processors": os.cpu_count(),
        }
    }


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """The dev questions through a real server, constrained, and their plans without a schema."""
    found: dict[str, Any] = {}
    with served(options.folder, options.python) as base_url, tempfile.TemporaryDirectory() as scratch:
        for name in options.sets.split(","):
            data = renamed(options.data / name, Path(scratch) / name) if options.renamed else options.data / name
            questions = data / "questions.dev.jsonl"
            with opened(data, planner="model", base_url=base_url, no_cache=True, in_flight=16) as kg:
                began = time.monotonic()
                report = evaluate(kg, questions, limit=options.limit)
                seconds = time.monotonic() - began
                kinds = {kind: scores["hits@1"] for kind, scores in report["by_kind"].items()}
                kept = ("n", "hits@1", "f1", "abstained", "wrong")
                scores = {key: report["overall"][key] for key in kept} | kinds
                scores |= {key: report[key] for key in ("invented_iris", "unsupported_claims", "errors")}
                scores |= {"ms_a_question": round(1000 * seconds / report["overall"]["n"])}
                found[name] = scores
                print(name, json.dumps(scores), flush=True)
                if not options.renamed:
                    found[name]["without_constraint"] = unconstrained(kg, questions, base_url, options.limit)
                    print(json.dumps(found[name]["without_constraint"]), flush=True)
    return {"renamed" if options.renamed else "dev": found}


def unconstrained(kg: Assistant, questions: Path, base_url: str, limit: int | None) -> dict[str, int]:
    """What the plans are that the model writes without a schema."""
    assert kg.model is not None
    planner = EmbeddedPlanner(Vocabulary(kg.index))
    briefing = brief(kg.index, kg.model)
    asked = read_questions(questions, kg.index.store, limit=limit)
    plannings = [
        ModelPlanning(link(q.text, vocabulary=planner.vocabulary), planner, briefing=briefing, model=kg.model)
        for q in asked
    ]
    with httpx2.Client(trust_env=False, timeout=120) as http, ThreadPoolExecutor(16) as pool:
        texts = list(pool.map(lambda p: written(http, base_url, p.prompt, briefing.plan_tokens), plannings))
    counts = {"n": len(texts), "no JSON": 0, "no plan": 0}
    for text, planning in zip(texts, plannings, strict=True):
        try:
            parse_query(json.loads(text)["plan"], planning.handles, kg.index.ontology)
        except PlanError:
            counts["no plan"] += 1
        except (ValueError, KeyError, TypeError):
            counts["no JSON"] += 1
    return counts


def written(http: httpx2.Client, base_url: str, prompt: Sequence[Message], tokens: int) -> str:
    """What the model writes after a prompt, held by nothing."""
    request = {"model": "planner", "messages": turns(prompt), "temperature": 0, "max_tokens": tokens}
    return str(http.post(f"{base_url}/chat/completions", json=request).json()["choices"][0]["message"]["content"])


def opened(data: Path, **options: Any) -> Assistant:
    """The graph of a data set."""
    return kgllm.open(data / "graph.ttl.gz", ontology=data / "ontology.ttl", **{"planner": "embedded", **options})


def renamed(data: Path, folder: Path) -> Path:
    """A copy of a data set in which every node has another name, made of syllables."""
    chance = random.Random(3)
    names: dict[str, str] = {}
    taken: set[str] = set()

    def new(label: str) -> str:
        while label not in names:
            words = ("".join(chance.choices(SYLLABLES, k=chance.randint(2, 3))).title() for _ in range(2))
            name = " ".join(words)
            if name not in taken:
                taken.add(name)
                names[label] = name
        return names[label]

    folder.mkdir(parents=True)
    with gzip.open(data / "graph.ttl.gz", "rb") as file:
        quads = list(ox.parse(file, ox.RdfFormat.TURTLE))
    triples = [
        ox.Triple(q.subject, q.predicate, ox.Literal(new(q.object.value)))
        if q.predicate == LABEL and isinstance(q.object, ox.Literal)
        else q.triple
        for q in quads
    ]
    with gzip.open(folder / "graph.ttl.gz", "wb") as file:
        ox.serialize(triples, file, ox.RdfFormat.TURTLE)
    shutil.copy(data / "ontology.ttl", folder)
    lines = []
    for line in (data / "questions.dev.jsonl").read_text(encoding="utf-8").splitlines():
        question = json.loads(line)
        topics = question["topic_label"]
        for label in sorted([topics] if isinstance(topics, str) else topics, key=len, reverse=True):
            question["question"] = question["question"].replace(label, names.get(label, label))
        lines.append(json.dumps(question))
    (folder / "questions.dev.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@contextmanager
def served(folder: Path, python: Path) -> Iterator[str]:
    """The base URL of a vLLM server of the model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}', *SERVED]
    command = [
        *(str(python.absolute()), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder.absolute())),
        *("--served-model-name", "planner", "--host", "127.0.0.1", "--port", str(port), *options),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tempfile.gettempdir())
        try:
            while True:
                if process.poll() is not None:
                    sys.exit(Path(log.name).read_text(errors="replace")[-4000:])
                try:
                    if httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200:
                        break
                except httpx2.TransportError:
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait()


def told(stage: str, done: int, total: int) -> None:
    """A line now and then."""
    if done % max(1, total // 20) == 0:
        print(f"{stage}: {done:,} of {total:,}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
