"""Fit the weights of ``kgllm.scoring`` on training questions.

    python benchmarks/planner.py NAME GRAPH ONTOLOGY QUESTIONS [NAME GRAPH ONTOLOGY QUESTIONS …]

Arguments come in fours, one for each data set. For each question the readings are run; one is right if its first column
is the gold set. The weights maximise the likelihood of the right readings under a softmax over a question's readings,
averaged over data sets, with an L2 penalty. Printed: the share of questions whose best reading is right, before and
after, and the weights scaled so that coverage has 0.5. Never give it questions that the planner is measured on.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

import kgllm
from kgllm.assistant import Assistant
from kgllm.features import FEATURES, WEIGHTS
from kgllm.link import link
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.scoring import Scorer
from kgllm.similarity import Vocabulary
from kgllm.terms import n3
from kgllm.words import bounds

SEED, PER_SET, READINGS, PENALTY = 7, 200, 80, 0.1
Example = tuple[np.ndarray, np.ndarray]


def examples(kg: Assistant, questions: Path) -> list[Example]:
    """The features of each question's readings, shape (readings, features), and which of them are right."""
    opener = gzip.open if questions.suffix == ".gz" else open
    with opener(questions, "rt", encoding="utf-8") as lines:
        asked = [json.loads(line) for line in lines]
    random.Random(SEED).shuffle(asked)
    planner = EmbeddedPlanner(Vocabulary(kg.index))
    collected = []
    for question in asked[:PER_SET]:
        links = link(question["question"], vocabulary=planner.vocabulary)
        limits = bounds(links.question)
        scorer = Scorer(links, planner.vocabulary, ignored=[(b.start, b.end) for b in limits])
        sketches = dict.fromkeys(planner.readings.sketches(links, scorer, limits))
        best = sorted((scorer.score(s) for s in sketches), key=lambda s: -s.score)[:READINGS]
        features, right = [], []
        for scored in scorer.add_meaning(best):
            try:
                sparql = scored.sketch.to_query(kg.index.ontology).to_sparql()
            except ValueError:
                continue
            found = {n3(row[0]) for row in kg.index.store.select(sparql, limit=500).rows if row[0] is not None}
            if found:
                features.append(scored.features)
                right.append(found == set(question["answer_nt"]))
        if any(right):
            collected.append((np.array(features), np.array(right)))
    return collected


def loss(weights: np.ndarray, sets: list[list[Example]]) -> float:
    """The mean negative log likelihood of the right readings, and the penalty."""
    total = PENALTY * 0.005 * float(weights @ weights)
    for examples_of_set in sets:
        for features, right in examples_of_set:
            scores = features @ weights
            chances = np.exp(scores - scores.max())
            total -= np.log(chances[right].sum() / chances.sum()) / len(examples_of_set) / len(sets)
    return float(total)


def share_right(weights: np.ndarray, examples_of_set: list[Example]) -> float:
    """The share of questions whose best reading is right."""
    return float(np.mean([right[np.argmax(features @ weights)] for features, right in examples_of_set]))


def main(arguments: list[str]) -> None:
    """Fit, and print what came of it."""
    sets: dict[str, list[Example]] = {}
    for name, graph, ontology, questions in zip(*[iter(arguments)] * 4, strict=True):
        with kgllm.open(graph, ontology=ontology, planner="embedded") as kg:
            sets[name] = examples(kg, Path(questions))
        before = share_right(WEIGHTS, sets[name])
        print(f"{name}: {len(sets[name])} questions with a right reading, best is right {before:.3f}")
    fitted = minimize(loss, WEIGHTS * 10, args=(list(sets.values()),), method="L-BFGS-B").x
    for name, of_set in sets.items():
        print(f"{name}: after fitting {share_right(fitted, of_set):.3f}")
    for feature, weight in zip(FEATURES, fitted * 0.5 / abs(fitted[0]), strict=True):
        print(f"{weight:7.2f}  {feature}")


if __name__ == "__main__":
    main(sys.argv[1:])
