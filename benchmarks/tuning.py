"""What lessons are worth: answers to questions that were not learned from, before and after ``kgllm tune``.

    python benchmarks/tuning.py NAME GRAPH ONTOLOGY TRAIN DEV [--questions 1500] [--out FILE]

A sample of the training questions is learned from, with their answers but without their queries; all of the others are
then asked twice. With ``--out`` the figures are added to a JSON file under NAME.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import tempfile
import time
from pathlib import Path

import kgllm
from kgllm.evaluate import evaluate
from kgllm.lessons import Lessons


def main() -> None:
    """Learn, ask before and after, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("name")
    for file in ("graph", "ontology", "train", "dev"):
        parser.add_argument(file, type=Path)
    parser.add_argument("--questions", type=int, default=1500)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with gzip.open(arguments.train, "rt", encoding="utf-8") as file:
        lines = [{key: value for key, value in json.loads(line).items() if key != "sparql"} for line in file]
    random.Random(1).shuffle(lines)
    with tempfile.TemporaryDirectory() as folder, kgllm.open(arguments.graph, ontology=arguments.ontology) as kg:
        sample = Path(folder) / "train.jsonl"
        sample.write_text("".join(json.dumps(line) + "\n" for line in lines[: arguments.questions]), encoding="utf-8")
        kg.index  # noqa: B018
        began = time.monotonic()
        tuned = kg.tune(sample, keep=False)
        seconds = round(time.monotonic() - began)
        found: dict[str, object] = {
            "learned from": arguments.questions,
            "seconds": seconds,
            "words": len(tuned.lessons.words),
        }
        found |= {"wordings": len(tuned.lessons.wordings), "held out": [tuned.before, tuned.after]}
        for told, lessons in (("before", Lessons()), ("after", tuned.lessons)):
            report = evaluate(kg.taught(lessons), arguments.dev)
            kinds = {kind: scores["hits@1"] for kind, scores in report["by_kind"].items()}
            found[told] = {key: report["overall"][key] for key in ("hits@1", "f1", "abstained", "wrong")} | kinds
            found[told] |= {"invented_iris": report["invented_iris"]}  # type: ignore[operator]
        found["first words"] = [[lesson.word, lesson.property, lesson.count] for lesson in tuned.lessons.words[:8]]
    print(json.dumps(found, indent=1))
    if arguments.out:
        known = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        arguments.out.write_text(json.dumps(known | {arguments.name: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
