"""From questions with known answers a planner learns what people call the relations of its graph.

Each question is solved: the first of its readings that gives the gold answer is the right one, whether the gold came
with a query or without. Which unknown word says which relation that no other word says is then found as translations
are, by IBM's first model (Brown et al., Computational Linguistics 19(2), 1993). What is learned is kept only if it
helps with a fifth of the questions that it was not learned from.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from kgllm.ceiling import read_gold
from kgllm.errors import KgllmError
from kgllm.evaluate import right_first
from kgllm.index import Index
from kgllm.lessons import Lesson, Lessons
from kgllm.link import Links, link
from kgllm.phrases import masked, shape
from kgllm.plan_embedded import EmbeddedPlanner, Ranked
from kgllm.questions import Question, read_questions
from kgllm.roots import root
from kgllm.scoring import Scorer
from kgllm.similarity import IS_NAMED, Vocabulary
from kgllm.solved import SolvedQuestion, distinct, read_solved, solved_question, write_solved
from kgllm.stages import right_readings
from kgllm.terms import URIRef
from kgllm.tuning.sparql_to_query import compiled
from kgllm.words import is_function_word

if TYPE_CHECKING:
    from kgllm.answer import Answer
    from kgllm.workspace import Workspace

Ask: TypeAlias = "Callable[[Lessons, list[str]], Iterable[Answer | KgllmError]]"
"""Answers questions with some lessons alone."""

__all__ = ["Tuned", "tune"]

_ROUNDS = 12  # of the expectation and maximisation of the model, which hardly moves after them
_LEAST, _SURE = 3, 0.6  # questions that a word is in, and the share of them in which it says the relation
_LOOKED_AT = 4  # readings that find something, among which others may be right beside the first
_HELD_OUT = 5  # every fifth
_FEWEST = 20  # questions held out, without which nothing can be told of what helps
_NOTHING = ""  # what a word says that says no relation


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was learned from how many questions, ``solved`` of which have a reading that gives the gold.

    ``examples`` are those of them with a query, of all that differ in more than their names.
    ``before`` and ``after`` are the shares of the ``held_out`` questions whose first answer was right, without and with
    lessons from the others; both ``None`` where too few were held out to tell.
    """

    lessons: Lessons
    questions: int
    solved: int
    held_out: int
    before: float | None
    after: float | None
    examples: tuple[SolvedQuestion, ...] = ()

    def write(self, folder: Path) -> None:
        """Keep the lessons and the examples in an index's folder; examples that the user accepted stay."""
        accepted = [one for one in read_solved(folder) if one.accepted_by == "user"]
        write_solved(folder, distinct([*accepted, *self.examples]))
        self.lessons.write(folder)

    def to_json(self) -> dict[str, Any]:
        """As JSON data; the wordings are counted."""
        words = [
            {"word": lesson.word, "property": lesson.property, "sure": round(lesson.sure, 3), "count": lesson.count}
            for lesson in self.lessons.words
        ]
        counts = {"questions": self.questions, "solved": self.solved, "held_out": self.held_out}
        measured = {"before": self.before, "after": self.after}
        kept = {"wordings": len(self.lessons.wordings), "examples": len(self.examples)}
        return {**counts, **measured, "words": words, **kept}


@dataclass(frozen=True, slots=True)
class _Solved:
    """A question's masked wordings with the shapes of its right readings; by the first, words unknown and steps unsaid.

    Some readings are right by chance; the other questions of a wording tell which.
    """

    shapes: tuple[tuple[str, str], ...]
    words: tuple[str, ...]
    unsaid: tuple[str, ...]


def tune(workspace: Workspace, questions: Path, *, ask: Ask) -> Tuned:
    """Learn from a file of questions that ``eval`` reads, as if nothing had been learned before.

    Raises what ``read_questions`` and the store raise.
    """
    index, progress = workspace.index, workspace.progress
    asked = read_questions(questions, index.store, languages=workspace.settings.languages)
    planner = EmbeddedPlanner(Vocabulary(index))
    solved: list[_Solved | None] = []
    examples: list[SolvedQuestion | None] = []
    for number, question in enumerate(asked, start=1):
        links = link(question.text, vocabulary=planner.vocabulary)
        right = [ranked for _, ranked in right_readings(question, links, planner, last=_LOOKED_AT)]
        ranked = right[0] if right else None
        solved.append(_solve(right, links, planner) if right else None)
        examples.append(_example(question, ranked, links, index))
        progress("solve", number, len(asked))
    kept_examples = tuple(distinct(one for one in examples if one is not None))
    held = [question for number, question in enumerate(asked) if number % _HELD_OUT == _HELD_OUT - 1]
    kept = [one for number, one in enumerate(solved) if number % _HELD_OUT != _HELD_OUT - 1]
    found, all_found = [one for one in kept if one is not None], [one for one in solved if one is not None]
    if len(held) < _FEWEST:
        lessons = Lessons(_words(all_found), _wordings(all_found))
        return Tuned(lessons, len(asked), len(all_found), 0, None, None, kept_examples)
    words, wordings = _words(found), _wordings(found)
    options = [Lessons(), Lessons(words), Lessons((), wordings), Lessons(words, wordings)]
    shares = []
    for place, lessons in enumerate(options):
        shares.append(right_first(held, ask(lessons, [question.text for question in held])))
        progress("measure", place + 1, len(options))
    best = max(range(len(options)), key=lambda place: (shares[place], -place))
    with_words, with_wordings = bool(options[best].words), bool(options[best].wordings)
    chosen = Lessons(_words(all_found) if with_words else (), _wordings(all_found) if with_wordings else {})
    return Tuned(chosen, len(asked), len(all_found), len(held), shares[0], shares[best], kept_examples)


def _example(question: Question, ranked: Ranked | None, links: Links, index: Index) -> SolvedQuestion | None:
    """A question with the query of its gold, or with that of its right reading; ``None`` for neither."""
    query = read_gold(question, index.namespaces, compiled)
    if query is not None:
        found = solved_question(links, query, index=index, accepted_by="evaluation")
        if found is not None:
            return found
    return None if ranked is None else solved_question(links, ranked.query, index=index, accepted_by="evaluation")


def _solve(right: Sequence[Ranked], links: Links, planner: EmbeddedPlanner) -> _Solved:
    """What a question teaches by its right readings."""
    ranked = right[0]
    scorer = Scorer(links, planner.vocabulary)
    is_free = scorer.question.open(list(ranked.sketch.anchors()))
    is_known = scorer.similarities.matrix.max(axis=1, initial=0.0) >= IS_NAMED
    unsaid = list(ranked.sketch.steps())
    for number in np.flatnonzero(is_free & is_known):  # a word says one step: "the wife of his wife" has two
        said = (step for step in unsaid if scorer.similarities.of_step(step)[number] >= IS_NAMED)
        if (step := next(said, None)) is not None:
            unsaid.remove(step)
    words = tuple(
        word.lower
        for word, free, known in zip(scorer.words, is_free, is_known, strict=True)
        if free and not known and word.lower.isalpha() and not is_function_word(word.lower)
    )
    shapes = {(Lessons.key(masked(links, r.sketch, planner.ontology)), shape(r.sketch)): None for r in right}
    return _Solved(tuple(shapes), words, tuple(str(step.property) for step in unsaid))


def _words(solved: Sequence[_Solved]) -> tuple[Lesson, ...]:
    """The words that say a relation in most of the questions they are in, the commonest first."""
    pairs = [
        ([root(word) for word in one.words], [*one.unsaid, *([_NOTHING] if len(one.words) > len(one.unsaid) else [])])
        for one in solved
    ]
    likely: dict[tuple[str, str], float] = defaultdict(lambda: 1.0)
    counts: dict[tuple[str, str], float] = {}
    for _ in range(_ROUNDS):
        counts = defaultdict(float)
        for roots, said in pairs:
            for word in roots:
                total = sum(likely[word, one] for one in said)
                for one in said:
                    counts[word, one] += likely[word, one] / total
        sums: dict[str, float] = defaultdict(float)
        for (_, one), count in counts.items():
            sums[one] += count
        likely = defaultdict(float, {(word, one): count / sums[one] for (word, one), count in counts.items()})
    seen = Counter(word for roots, _ in pairs for word in roots)
    spelt: dict[str, Counter[str]] = defaultdict(Counter)
    for written in (word for one in solved for word in one.words):
        spelt[root(written)][written] += 1
    return tuple(
        Lesson(min(spelt[word], key=lambda w: (-spelt[word][w], w)), URIRef(said), count / seen[word], seen[word])
        for (word, said), count in sorted(counts.items(), key=lambda item: (-seen[item[0][0]], item[0]))
        if said != _NOTHING and seen[word] >= _LEAST and count / seen[word] >= _SURE
    )


def _wordings(solved: Sequence[_Solved]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in solved:
        for wording, form in one.shapes:
            counts[wording][form] += 1
    return {wording: dict(shapes) for wording, shapes in counts.items()}
