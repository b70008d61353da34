"""Answer a file of questions, and write a table to look through, the least sure first.

python examples/batch_to_csv.py examples/questions.jsonl > answers.csv
"""

import csv
import json
import sys
from pathlib import Path

import kgllm

ROOT = Path(__file__).parents[1]
file = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "examples/questions.jsonl"
questions = [json.loads(line)["question"] for line in file.read_text(encoding="utf-8").splitlines()]

with kgllm.open(
    ROOT / "examples/spaceflight.ttl", ontology=ROOT / "ontologies/spaceflight-ontology.ttl", timeout_s=10
) as kg:
    answers = kg.ask_many(questions)

table = csv.writer(sys.stdout)
table.writerow(["confidence", "question", "answer", "results", "facts", "wrong in the graph or memory"])
for answer in sorted(answers, key=lambda answer: answer.confidence):
    table.writerow(
        [
            f"{answer.confidence:.2f}",
            answer.question,
            answer.text,
            " ".join(term.n3() for term in answer.results),
            len(answer.facts),
            "; ".join(violation.message for violation in answer.violations),
        ]
    )
print(f"{sum(a.abstained for a in answers)} of {len(answers)} questions the graph does not answer", file=sys.stderr)
