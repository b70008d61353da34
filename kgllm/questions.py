"""Questions whose answers are known: JSON Lines, QALD's JSON, and the YAML of the Text2SPARQL challenge."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from kgllm.errors import InputError, KgllmError, SourceNotFoundError
from kgllm.protocols import GraphStore
from kgllm.sources import near
from kgllm.terms import Literal, Term, URIRef, clean, parse_term
from kgllm.vocabularies import FALSE, TRUE

__all__ = ["Gold", "Question", "gold_of", "opened", "question_texts", "read_questions"]

_ASK = re.compile(r"\A(?:\s|#[^\n]*\n|(?:prefix\s+\S*\s*|base\s+)<[^>]*>)*ask\b", re.IGNORECASE)
_QALD = '{"questions": [{"id": 1, "question": [{"language": "en", "string": "…"}], "query": {"sparql": "…"}}]}'
_CHALLENGE = 'questions: [{id: 1, question: {en: "…"}, query: {sparql: "…"}}]'
_WAYS_OUT = {
    "line": ("each line is a question with its gold", '{"id": 1, "question": "…", "answer_nt": ["<http://…>"]}'),
    "qald": ("a question has its texts by language, and answers or a query", _QALD),
    "yaml": ("a question has its texts by language, and a query", _CHALLENGE),
}
"""What a question of each form has, and an example."""


@dataclass(frozen=True, slots=True)
class Gold:
    """The right answer: the terms of all its columns. With ``any_of`` one of them is enough.

    It ``names`` nodes where it is given as plain text, which tells no name from a string.
    """

    terms: tuple[Term, ...]
    columns: int = 1
    any_of: bool = False
    names: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its right answer, and the query that gives it where that is known."""

    id: str | int
    text: str
    gold: Gold
    kind: str | None = None
    sparql: str | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """A question as it stands in a file, whose gold may be left to its query."""

    id: str | int
    text: str
    gold: Gold | None
    kind: str | None
    sparql: str | None


def read_questions(
    file: Path,
    store: GraphStore,
    *,
    languages: Sequence[str] = ("en",),
    limit: int | None = None,
    kind: str | None = None,
) -> list[Question]:
    """The questions of a file, which may be compressed with gzip; ``limit`` and ``kind`` restrict them.

    A ``.json`` file is QALD's: ``questions``, each with texts by language, answers as SPARQL's JSON, and a query. A
    ``.yml`` or ``.yaml`` file is the Text2SPARQL challenge's: texts by language and a query, whose rows are the gold.
    Of several texts that in the first of the ``languages`` is taken, or else the first.

    Any other has a JSON object a line: a ``question``, perhaps ``id``, ``kind`` and ``"match": "any"``, and gold:
    N-Triples terms in ``answer_nt``, else ``rows`` of these or of plain text, else ``answers``, IRIs or plain text.
    ``sparql`` may be the query that gives it, and is enough.

    Raises ``InputError`` that names the first question which is none of this, or whose gold query fails in the store;
    or if there is no question of the kind. Raises ``SourceNotFoundError`` without file.
    """
    read = _questions(file, languages)
    chosen = [question for question in read if kind is None or question.kind == kind][:limit]
    if not chosen:
        kinds = ", ".join(sorted({question.kind for question in read if question.kind}))
        raise InputError(
            f"there is no question{f' of the kind {kind}' if kind else ''} in {file}",
            try_next=f"the kinds there are: {clean(kinds)}" if kinds else "",
        )
    return [_with_gold(question, store) for question in chosen]


def question_texts(file: Path, *, languages: Sequence[str] = ("en",)) -> list[str]:
    """The questions of a file without their gold, as ``read_questions`` reads them."""
    return [question.text for question in _questions(file, languages)]


def gold_of(sparql: str, store: GraphStore) -> Gold:
    """What a query finds: its rows, or a boolean. Raises what the store raises."""
    if _ASK.match(sparql):
        return Gold((TRUE if store.ask(sparql) else FALSE,))
    rows = store.select(sparql)
    return Gold(tuple(term for row in rows.rows for term in row if term is not None), max(1, len(rows.vars)))


def _with_gold(read: _Read, store: GraphStore) -> Question:
    try:
        gold = read.gold if read.gold is not None else gold_of(read.sparql or "", store)
    except KgllmError as error:
        raise InputError(
            f"the gold query of question {clean(str(read.id))} failed", why=str(error), try_next="is it for this graph?"
        ) from None
    return Question(read.id, read.text, gold, read.kind, read.sparql)


def _questions(file: Path, languages: Sequence[str]) -> list[_Read]:
    suffix = Path(file.stem if file.suffix == ".gz" else file.name).suffix
    with opened(file) as text:
        if suffix == ".json":
            return _of_whole(_json(text.read(), file), file, "qald", languages)
        if suffix in {".yml", ".yaml"}:
            return _of_whole(_yaml(text.read(), file), file, "yaml", languages)
        return list(_of_lines(text, file))


@contextmanager
def opened(file: Path) -> Iterator[IO[str]]:
    """A file of text to read, which may be compressed with gzip; what is wrong with it is an ``InputError``."""
    opener = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rt", encoding="utf-8") as text:
            yield text
    except FileNotFoundError:
        raise SourceNotFoundError(f"there is no file {file}", try_next=near(file)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read", why=str(error)) from None


@contextmanager
def _told(place: str, form: str) -> Iterator[None]:
    """What is wrong with a question is told with its place."""
    try:
        yield
    except (ValueError, RecursionError) as error:
        why, example = _WAYS_OUT[form]
        raise InputError(f"{place}: {clean(str(error))}", why=why, try_next=example) from None


# A JSON object a line


def _of_lines(lines: Iterable[str], file: Path) -> Iterator[_Read]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            with _told(f"{file}:{number}", "line"):
                read = _of_line(line, number)
            yield read


def _of_line(line: str, number: int) -> _Read:
    item = json.loads(line)
    if not isinstance(item, dict):
        raise ValueError("the line is not a JSON object")
    if not isinstance(text := item.get("question"), str):
        raise ValueError("there is no question")
    kind, sparql = item.get("kind"), _sparql(item.get("sparql"))
    return _Read(item.get("id", number), text, _gold(item, sparql), None if kind is None else str(kind), sparql)


def _gold(item: dict[str, Any], sparql: str | None) -> Gold | None:
    nt, rows, answers = (item.get(key) for key in ("answer_nt", "rows", "answers"))
    given = next((cells for cells in (nt, rows, answers) if cells is not None), None)
    if given is None and sparql is not None:
        return None
    if not isinstance(given, list):
        raise ValueError("there is no gold: answer_nt, rows or answers, each a list, or sparql")
    columns = 1
    if isinstance(rows, list):
        if not all(isinstance(row, list) for row in rows):
            raise ValueError("rows are lists of terms")
        columns = max((len(row) for row in rows), default=1)
    names = False
    if given is nt:
        if not all(isinstance(cell, str) for cell in nt):
            raise ValueError("answer_nt is a list of N-Triples terms")
        terms = [parse_term(cell) for cell in nt]
    else:
        cells = [cell for row in rows for cell in row] if given is rows else given
        told = [cell for cell in cells if cell is not None]
        terms = [_term(cell) for cell in told]
        names = any(isinstance(cell, str) and term == Literal(cell) for cell, term in zip(told, terms, strict=True))
    return Gold(tuple(terms), columns, item.get("match") == "any", names=names)


def _term(cell: Any) -> Term:
    """The term of an N-Triples text, of a bare IRI, or of a plain value."""
    if not isinstance(cell, str):
        return Literal(json.dumps(cell))
    try:
        return parse_term(cell)
    except ValueError:
        return URIRef(cell) if re.fullmatch(r"(https?://|urn:)\S+", cell) else Literal(cell)


# A file that is one document


def _json(text: str, file: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{file} is not JSON", why=str(error), try_next="a JSON object a line is a .jsonl file"
        ) from None


def _yaml(text: str, file: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is not YAML", why=str(error)) from None


def _of_whole(document: Any, file: Path, form: str, languages: Sequence[str]) -> list[_Read]:
    items = document.get("questions") if isinstance(document, dict) else None
    if not isinstance(items, list):
        why, example = _WAYS_OUT[form]
        raise InputError(f"{file} has no list of questions", why=why, try_next=example)
    of_item = _of_qald if form == "qald" else _of_challenge
    found = []
    for number, item in enumerate(items, start=1):
        with _told(f"{file}, question {number}", form):
            found.append(of_item(item, number, languages))
    return found


def _of_qald(item: Any, number: int, languages: Sequence[str]) -> _Read:
    texts = {
        text["language"]: text["string"]
        for text in _list(_object(item).get("question"))
        if isinstance(text, dict) and isinstance(text.get("language"), str) and isinstance(text.get("string"), str)
    }
    sparql = _sparql(_object(item.get("query") or {}).get("sparql"))
    answers = [_object(answer) for answer in _list(item.get("answers") or [])]
    gold = _of_results(answers) if answers else None
    if gold is None and sparql is None:
        raise ValueError("there are no answers and no query")
    return _Read(item.get("id", number), _in_first(texts, languages), gold, None, sparql)


def _of_challenge(item: Any, number: int, languages: Sequence[str]) -> _Read:
    texts = {str(tag): text for tag, text in _object(_object(item).get("question")).items() if isinstance(text, str)}
    if (sparql := _sparql(_object(item.get("query")).get("sparql"))) is None:
        raise ValueError("there is no query")
    return _Read(item.get("id", number), _in_first(texts, languages), None, None, sparql)


def _in_first(texts: Mapping[str, str], languages: Sequence[str]) -> str:
    """The text in the first language in which there is one."""
    if not texts:
        raise ValueError("there is no text of the question")
    return next((texts[tag] for tag in languages if tag in texts), next(iter(texts.values())))


def _of_results(answers: Sequence[Mapping[str, Any]]) -> Gold:
    """The gold of results in SPARQL's JSON (SPARQL 1.1 Query Results JSON Format, section 3)."""
    terms: list[Term] = []
    columns = 1
    for answer in answers:
        if isinstance(answer.get("boolean"), bool):
            terms.append(TRUE if answer["boolean"] else FALSE)
            continue
        names = _list(_object(answer.get("head") or {}).get("vars") or [])
        columns = max(columns, len(names))
        for binding in _list(_object(answer.get("results") or {}).get("bindings") or []):
            terms += list(_of_binding(_object(binding)))
    return Gold(tuple(terms), columns)


def _of_binding(binding: Mapping[str, Any]) -> Iterator[Term]:
    for cell in binding.values():
        kind, value = _object(cell).get("type"), cell.get("value")
        if not isinstance(value, str) or kind not in {"uri", "literal", "typed-literal"}:
            raise ValueError(f"no term: {json.dumps(cell)}")
        if kind == "uri":
            yield URIRef(value)
        else:
            datatype = URIRef(cell["datatype"]) if cell.get("datatype") else None
            yield Literal(value, lang=cell.get("xml:lang"), datatype=datatype, normalize=False)


def _sparql(text: Any) -> str | None:
    return text if isinstance(text, str) and text.strip() else None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"not an object: {json.dumps(value, default=str)[:60]}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"not a list: {json.dumps(value, default=str)[:60]}")
    return value
