"""Fit the probability of ``kgllm.confidence`` on training questions and false premises, and measure it on others.

    python benchmarks/confidence.py [DATA] [--train NAME,…] [--dev NAME,…] [--limit N] [--hardware TEXT] [--out FILE]

DATA is a folder of data sets, ../shared/data by default. Each of ``--train`` has questions.train.jsonl.gz with gold
SPARQL, from which false premises are made too (``false_premises``). A logistic regression over the signs of the plan
that answered says how likely its first result is right. Sets weigh the same, so do the kinds of false premises of each,
all of which weigh a third of its questions. The threshold is the greatest multiple of 0.05 that costs no set more
than 1.5 points of hits@1 on its training questions. Printed, and written to FILE: coefficients, threshold, and for each
of ``--dev``, on whose questions nothing was fitted, the Brier score, the expected calibration error (ten bins of equal
width: Guo et al., On Calibration of Modern Neural Networks, ICML 2017), and hits@1, wrong and answered without the
threshold and with it.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

import kgllm
from kgllm.answer import Answer
from kgllm.assistant import Assistant
from kgllm.confidence import SIGNS
from kgllm.evaluate import score
from kgllm.link import link
from kgllm.names import normalise
from kgllm.plan_embedded import EmbeddedPlanner
from kgllm.questions import Gold, Question, read_questions
from kgllm.recall import recall
from kgllm.risk import risk_coverage
from kgllm.similarity import Vocabulary
from kgllm.terms import URIRef, local_name, n3
from kgllm.words import content_tokens, stem, tokenize

SEED, PER_SET, PREMISES, PENALTY, LOST = 7, 600, 150, 0.02, 0.015
PREMISES_WEIGHT = 1 / 3
TRAIN = "metaqa,pathquestion,wc2014"
DEV = "metaqa,pathquestion,wc2014,ck25,cwd,mondial,spider4sparql/*"
FORMS = (
    *("what is the {0} of {1}", "{1}'s {0}?", "which {0} does {1} have"),
    *("what {0} has {1}", "who is the {0} of {1}?", "when was the {0} of {1}?"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a question: the signs of the plan that answered it, none if it was described or abstained from."""

    question: str
    kind: str
    signs: tuple[float, ...]
    confidence: float
    answered: bool
    right: bool
    wrong: bool


@dataclass(frozen=True, slots=True)
class Foreign:
    """Names of nodes and labels of properties of other graphs."""

    names: Sequence[str]
    properties: Sequence[str]


def opened(folder: Path) -> Assistant:
    """The assistant over a data set."""
    graphs = sorted([*folder.glob("graph.*"), *folder.glob("labels.nt*")])
    source: Any = graphs if len(graphs) > 1 else graphs[0]
    return kgllm.open(source, ontology=sorted(folder.glob("ontology*.ttl")), planner="embedded")


def asked(kg: Assistant, questions: Sequence[Question]) -> Iterator[Asked]:
    """What the first plan that finds something is worth, as ``Assistant.ask`` takes it."""
    planner = EmbeddedPlanner(Vocabulary(kg.index))
    for question in questions:
        links = link(question.text, vocabulary=planner.vocabulary)
        for plan in planner.proposals(links):
            recalled = recall(plan.query, question=question.text, links=[], index=kg.index)
            if not (recalled.is_empty or recalled.is_groundless):
                scores = score(Answer(question.text, "", rows=recalled.rows, query=plan.query), question.gold)
                worth = (scores.hit_at_1 > 0, scores.wrong > 0)
                yield Asked(question.text, question.kind or "", plan.signs, plan.confidence, True, *worth)
                break
        else:
            yield Asked(question.text, question.kind or "", (), 0.0, False, False, False)


def some_nodes(kg: Assistant, chance: random.Random) -> list[tuple[URIRef, str]]:
    """Nodes with their names, up to 40 of each class."""
    found: list[tuple[URIRef, str]] = []
    for cls in sorted(kg.index.ontology.classes):
        rows = kg.index.store.select(f"SELECT ?x WHERE {{ ?x a {n3(cls)} }}").rows
        nodes = sorted(x for (x,) in rows if isinstance(x, URIRef))
        found += [(x, kg.index.label(x)) for x in chance.sample(nodes, min(40, len(nodes)))]
    return found


def stems(text: str) -> set[str]:
    """The stems of its words that say something."""
    return {stem(token.lower) for token in content_tokens(tokenize(text))}


def had(kg: Assistant, node: URIRef) -> list[URIRef]:
    """The properties that a node has, in either direction."""
    either = f"{{ {n3(node)} ?p ?o }} UNION {{ ?s ?p {n3(node)} }}"
    return [
        p for (p,) in kg.index.store.select(f"SELECT DISTINCT ?p WHERE {{ {either} }}").rows if isinstance(p, URIRef)
    ]


def false_premises(kg: Assistant, questions: Sequence[Question], foreign: Foreign, number: int) -> list[Question]:
    """Questions to which the graph has no answer, of four kinds, ``number`` of each.

    Another node in the place of the one that is asked about, if the gold query then finds nothing; a name of another
    graph in its place; a property that a node does not have, nor one whose name has a word in common; a property of
    another graph.
    """
    chance = random.Random(SEED)
    nodes = some_nodes(kg, chance)
    relations = [prop for prop in kg.index.ontology.relations() if prop.count]
    made: dict[str, list[str]] = {kind: [] for kind in ("other node", "other name", "not had", "other property")}
    for question in chance.sample(list(questions), len(questions)):
        sparql = question.sparql or ""
        topics = {iri for iri in re.findall(r"<([^>]*)>", sparql) if kg.index.described([URIRef(iri)])}
        topics -= {str(iri) for iri in (*kg.index.ontology.classes, *kg.index.ontology.properties)}
        before, named, after = question.text.partition(kg.index.label(URIRef(min(topics, default=""))))
        if len(topics) != 1 or not named:
            continue
        node, name = chance.choice(nodes)
        used = set(re.findall(r"\w+:(\w+) ", sparql))
        other = set().union(*(stems(kg.index.label(p)) for p in had(kg, node) if local_name(p) not in used))
        asked_for = set().union(*(stems(p.label) for p in relations if local_name(p.iri) in used))
        if (
            other.isdisjoint(asked_for)
            and not kg.index.store.select(sparql.replace(f"<{min(topics)}>", n3(node)), limit=1).rows
        ):
            made["other node"].append(before + name + after)
        name = chance.choice(foreign.names)
        if not kg.index.names.exact([normalise(name)]):
            made["other name"].append(before + name + after)
        if min(len(made["other node"]), len(made["other name"])) >= number:
            break
    own = set().union(
        *(stems(prop.label) for prop in relations), *(stems(c.label) for c in kg.index.ontology.classes.values())
    )
    others = [label for label in foreign.properties if own.isdisjoint(stems(label))]
    while len(made["not had"]) < number:
        (node, name), prop = chance.choice(nodes), chance.choice(relations)
        words = set().union(*(stems(kg.index.label(p)) for p in had(kg, node)))
        if words.isdisjoint(stems(prop.label)) and len(kg.index.names.exact([normalise(name)])[normalise(name)]) == 1:
            made["not had"].append(chance.choice(FORMS).format(prop.label.lower(), name))
    for _ in range(number):
        label, (_, name) = chance.choice(others), chance.choice(nodes)
        made["other property"].append(chance.choice(FORMS).format(label.lower(), name))
    return [Question(0, text, Gold(()), kind) for kind, texts in made.items() for text in texts[:number]]


def collected(data: Path, names: Sequence[str]) -> dict[str, tuple[list[Asked], list[Asked]]]:
    """For each data set what became of its training questions, and of the false premises made from others of them."""
    graphs = {name: opened(data / name) for name in names}
    chance = random.Random(SEED)
    own = {
        name: Foreign(
            [label for _, label in some_nodes(kg, chance)],
            [prop.label for prop in kg.index.ontology.relations() if prop.count],
        )
        for name, kg in graphs.items()
    }
    found = {}
    for name, kg in graphs.items():
        questions = read_questions(data / name / "questions.train.jsonl.gz", kg.index.store)
        random.Random(SEED).shuffle(questions)
        rest = [of for other, of in own.items() if other != name]
        foreign = Foreign([n for of in rest for n in of.names], [p for of in rest for p in of.properties])
        premises = false_premises(kg, questions[PER_SET:], foreign, PREMISES)
        found[name] = (list(asked(kg, questions[:PER_SET])), list(asked(kg, premises)))
        kg.close()
    return found


def examples(sets: Sequence[tuple[list[Asked], list[Asked]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The signs, shape (answers, signs), whether each is right, and its weight; the weights sum to 1."""
    groups: list[tuple[float, list[Asked]]] = []
    for questions, premises in sets:
        kinds = list(dict.fromkeys(answer.kind for answer in premises))
        groups.append((1.0, [answer for answer in questions if answer.signs]))
        of_kind = [[answer for answer in premises if answer.signs and answer.kind == kind] for kind in kinds]
        groups += [(PREMISES_WEIGHT / len(kinds), answers) for answers in of_kind]
    parts = [(answer, weight / len(answers)) for weight, answers in groups for answer in answers]
    signs = np.array([answer.signs for answer, _ in parts])
    weights = np.array([weight for _, weight in parts])
    return signs, np.array([answer.right for answer, _ in parts]), weights / weights.sum()


def fitted(sets: Sequence[tuple[list[Asked], list[Asked]]]) -> np.ndarray:
    """Intercept and weights of the logistic regression, with an L2 penalty on the weights of standardised signs."""
    signs, right, weights = examples(sets)
    mean, spread = signs.mean(axis=0), signs.std(axis=0) + 1e-6
    ones = np.column_stack([np.ones(len(signs)), (signs - mean) / spread])

    def loss(beta: np.ndarray) -> float:
        margin = np.where(right, 1, -1) * (ones @ beta)
        return float(weights @ np.logaddexp(0, -margin) + PENALTY * 0.5 * beta[1:] @ beta[1:])

    beta = minimize(loss, np.zeros(ones.shape[1]), method="L-BFGS-B").x
    scaled = beta[1:] / spread
    return np.array([beta[0] - scaled @ mean, *scaled])


def chance_of(beta: np.ndarray, answer: Asked) -> float:
    """The probability that an answer is right; that of a description is its own."""
    return float(1 / (1 + np.exp(-beta[0] - np.array(answer.signs) @ beta[1:]))) if answer.signs else answer.confidence


def threshold(beta: np.ndarray, sets: Sequence[tuple[list[Asked], list[Asked]]]) -> float:
    """The greatest multiple of 0.05 that takes no more than its share of the questions from any set's right answers."""
    steps = np.arange(0.05, 1.0, 0.05).round(2)
    right = [(np.array([chance_of(beta, a) for a in questions if a.right]), len(questions)) for questions, _ in sets]
    return max((float(s) for s in steps if all((c < s).sum() <= LOST * n for c, n in right)), default=0.0)


def measured(answers: Sequence[Asked], beta: np.ndarray, least: float) -> dict[str, Any]:
    """How well the probabilities are calibrated, and what the threshold costs and saves."""
    given = [(chance_of(beta, answer), answer) for answer in answers if answer.answered]
    chances, right = np.array([c for c, _ in given]), np.array([a.right for _, a in given], dtype=float)
    bins = np.minimum((chances * 10).astype(int), 9)
    gaps = [abs(float((chances[bins == b] - right[bins == b]).sum())) for b in set(bins.tolist())]
    n = len(answers)
    curve = risk_coverage([(c, a.wrong) for c, a in given], n)
    of_answered = risk_coverage([(c, a.wrong) for c, a in given], len(given))["points"]
    return {
        "n": n,
        "brier": round(float(((chances - right) ** 2).mean()), 4),
        "calibration_error": round(sum(gaps) / len(given), 4),
        "hits@1": [
            round(sum(a.right for _, a in given) / n, 4),
            round(sum(a.right for c, a in given if c >= least) / n, 4),
        ],
        "wrong": [
            round(sum(a.wrong for _, a in given) / n, 4),
            round(sum(a.wrong for c, a in given if c >= least) / n, 4),
        ],
        "answered": [round(len(given) / n, 4), round(sum(c >= least for c, _ in given) / n, 4)],
        "aurc": curve["aurc"],
        "risk_of_answered": {f"{p['coverage']:.1f}": p["risk"] for p in of_answered},
    }


def refused(answers: Sequence[Asked], beta: np.ndarray, least: float) -> dict[str, float]:
    """The share of false premises of each kind that is not answered."""
    kinds = dict.fromkeys(answer.kind for answer in answers)
    return {
        kind: round(
            float(np.mean([chance_of(beta, a) < least or not a.answered for a in answers if a.kind == kind])), 4
        )
        for kind in kinds
    }


def main() -> None:
    """Fit, measure, print, and write what the arguments name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--train", default=TRAIN)
    parser.add_argument("--dev", default=DEV)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--hardware", default="")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    sets = collected(options.data, options.train.split(","))
    beta = fitted(list(sets.values()))
    least = threshold(beta, list(sets.values()))
    print(f"{beta[0]:7.2f}  intercept")
    for sign, weight in zip(SIGNS, beta[1:], strict=True):
        print(f"{weight:7.2f}  {sign}")
    print(f"threshold {least:.2f}")
    report: dict[str, Any] = {
        "command": "python benchmarks/confidence.py",
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        ).stdout.strip(),
        "hardware": options.hardware,
        "seed": SEED,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        "coefficients": dict(zip(("intercept", *SIGNS), np.round(beta, 2).tolist(), strict=True)),
        "threshold": least,
        "false_premises_refused": {name: refused(premises, beta, least) for name, (_, premises) in sets.items()},
        "train": {name: measured(questions, beta, least) for name, (questions, _) in sets.items()},
        "dev": {},
    }
    print(json.dumps(report["false_premises_refused"]))
    for pattern in options.dev.split(","):
        for folder in sorted(f.parent for f in options.data.glob(f"{pattern}/questions.dev.jsonl")):
            with opened(folder) as kg:
                questions = read_questions(folder / "questions.dev.jsonl", kg.index.store, limit=options.limit)
                name = str(folder.relative_to(options.data))
                report["dev"][name] = measured(list(asked(kg, questions)), beta, least)
            print(name, json.dumps(report["dev"][name]), flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
