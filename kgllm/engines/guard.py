r"""The guard for SPARQL that somebody else wrote: it may read the graph, and nothing else.

One scan over tokens, made so that it never takes for text what an engine would take for a keyword: what it cannot
tokenise it refuses. Text filters alone are not enough (an engine decodes ``S\u0045RVICE``, another reads
``SERVICE:x`` as a keyword and a name), so the worker's sandbox holds as well.
"""

from __future__ import annotations

import re

from kgllm.errors import QueryRefusedError

__all__ = ["refuse_unless_read_only", "syntax_error"]

LENGTH, TOKENS, NESTING, PATH_STEPS = 64 * 1024, 4_096, 24, 32
"""A parser recurses without a bound and dies: at 976 nested functions, 2,265 groups, 8,437 path steps (8 MB stack)."""

_FORMS = frozenset({"SELECT", "ASK", "CONSTRUCT", "DESCRIBE"})
_DENIED = frozenset(
    "SERVICE FROM LOAD CLEAR DROP CREATE ADD MOVE COPY INSERT DELETE WITH USING INTO LATERAL".split()  # noqa: SIM905
)

_LETTER = r"[A-Za-z\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u02FF\u0370-\u037D\u037F-\u1FFF\u200C\u200D\u2070-\u218F\u2C00-\u2FEF\u3001-\uD7FF\uF900-\uFDCF\uFDF0-\uFFFD\U00010000-\U000EFFFF]"  # noqa: E501
_IN_NAME = rf"(?:{_LETTER}|[_0-9\-\u00B7\u0300-\u036F\u203F\u2040])"
_ESCAPED = r"%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%]"
# "<" is not tokenised with "#" and ">" behind it: a comparison and a comment here, an IRI to a lax engine.
_TOKEN = re.compile(
    rf"""(?P<space>[ \t\r\n]+|\#[^\r\n]*)
    |(?P<iri><[^<>"{{}}|^`\\\x00-\x20]*>)
    |(?P<string>\"\"\"(?:\"{{0,2}}(?:[^"\\]|\\.))*\"\"\"|'''(?:'{{0,2}}(?:[^'\\]|\\.))*'''
        |"(?:[^"\\\r\n]|\\.)*"(?!")|'(?:[^'\\\r\n]|\\.)*'(?!'))
    |(?P<variable>[?$](?:{_LETTER}|[_0-9])(?:{_LETTER}|[_0-9\u00B7\u0300-\u036F\u203F\u2040])*)
    |(?P<language>@[A-Za-z]+(?:-[A-Za-z0-9]+)*)
    |(?P<blank>_:(?:{_LETTER}|[_0-9])(?:(?:{_IN_NAME}|\.)*{_IN_NAME})?)
    |(?P<name>(?:{_LETTER}(?:(?:{_IN_NAME}|\.)*{_IN_NAME})?)?:
        (?:(?:{_LETTER}|[_:0-9]|{_ESCAPED})(?:(?:{_IN_NAME}|[.:]|{_ESCAPED})*(?:{_IN_NAME}|:|{_ESCAPED}))?)?)
    |(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<open>[({{\[])
    |(?P<close>[)}}\]])
    |(?P<step>/|\^(?!\^)|\|(?!\|))
    |(?P<stop>[.;,])
    |(?P<operator>\|\||&&|\^\^|<=|>=|!=|<(?![^<>\r\n]*\#[^<>\r\n]*>)|[=>!+\-*?])""",
    re.VERBOSE | re.DOTALL,
)
_CODE_POINT = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})")
_BREAKS_OUT = frozenset("\"'\\\r\n")
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def refuse_unless_read_only(sparql: str, *, length: int = LENGTH, tokens: int = TOKENS) -> None:
    """Return if the text is one SELECT, ASK, CONSTRUCT or DESCRIBE over the graph itself.

    Raises ``QueryRefusedError``, with the line and a caret under the place, for an update, ``SERVICE``, ``FROM``,
    ``LATERAL``, a code point escape that could hide one, or a query larger or deeper than parsers survive. That the
    text parses is not said: the engine says so. ``length`` is in characters.
    """
    if len(sparql) > length:
        raise QueryRefusedError(f"the query is longer than {length:,} characters", try_next="ask for less in one query")
    if unseen := _UNSEEN.search(sparql):
        raise _refused(sparql, unseen.start(), "a control character")
    form = ""
    seen = nesting = steps = place = 0
    while place < len(sparql):
        token = _TOKEN.match(sparql, place)
        if token is None:
            raise _refused(sparql, place, "this is not SPARQL from here on")
        kind, text = str(token.lastgroup), token.group()
        if kind != "space":
            seen += 1
        if seen > tokens:
            raise _refused(sparql, place, f"the query has more than {tokens:,} tokens")
        if kind == "string":
            _check_escapes(sparql, token.start(), text)
        elif kind == "word":
            if text.upper() in _DENIED:
                raise _refused(
                    sparql, place, f"{text.upper()} is not allowed: a query may read this graph, nothing else"
                )
            if not form and text.upper() not in {"PREFIX", "BASE"}:
                form = text.upper()
                if form not in _FORMS:
                    raise _refused(sparql, place, "a query begins with SELECT, ASK, CONSTRUCT or DESCRIBE")
        elif kind == "name":
            _check_name(sparql, place, text)
        nesting += (kind == "open") - (kind == "close")
        if nesting > NESTING:
            raise _refused(sparql, place, f"brackets nested more than {NESTING} deep")
        steps = 0 if kind == "stop" or text in "{}" else steps + (kind == "step")
        if steps > PATH_STEPS:
            raise _refused(sparql, place, f"a property path of more than {PATH_STEPS} steps")
        place = token.end()
    if not form:
        raise QueryRefusedError("the query is empty", try_next="begin with SELECT, ASK, CONSTRUCT or DESCRIBE")


def syntax_error(sparql: str, message: str) -> QueryRefusedError:
    """The error of a query that Oxigraph's parser refused with ``message``, ``error at LINE:COLUMN: expected ...``."""
    place = re.match(r"error at (\d+):(\d+): (.*)", message, re.DOTALL)
    if place is None:
        return QueryRefusedError("the query does not parse", why=message[:300])
    line, column = int(place[1]), int(place[2])
    lines = sparql.split("\n")
    offset = sum(len(text) + 1 for text in lines[: line - 1]) + column - 1
    return _refused(sparql, offset, _expected(place[3]))


def _expected(message: str) -> str:
    """Oxigraph lists all that could have stood there; its own sentences are worth more than its character classes."""
    choices = re.sub(r"^expected (one of )?", "", message)
    if "Prefix not found" in choices:
        return "a prefix that the query does not declare"
    if sentence := re.search(r"The [A-Za-z ]{10,}", choices):
        return sentence.group()[0].lower() + sentence.group()[1:]
    words = [choice.strip('"') for choice in re.findall(r'"[^"\\]+"|\b[A-Z]{2,}\b', choices)]
    return "the query does not parse here" + (f": expected {', '.join(words[:6])}" if words else "")


def _check_escapes(sparql: str, place: int, text: str) -> None:
    for escape in _CODE_POINT.finditer(text):
        if chr(min(int(escape.group()[2:], 16), 0x10FFFF)) in _BREAKS_OUT:
            raise _refused(sparql, place + escape.start(), "an escape that some engines decode into the string's end")


def _check_name(sparql: str, place: int, text: str) -> None:
    """Oxigraph reads ``SERVICE:x`` as keyword and name, and a dot in a name could end a triple."""
    prefix, _, local = text.partition(":")
    parts = [*prefix.split("."), *local.split(".")[1:]]
    if denied := next((part for part in parts if part.upper() in _DENIED), None):
        raise _refused(
            sparql, place, f"{denied} in a name can be read as a keyword: rename the prefix, or write the IRI"
        )


def _refused(sparql: str, offset: int, reason: str) -> QueryRefusedError:
    before = sparql[:offset]
    line, start = before.count("\n") + 1, before.rfind("\n") + 1
    text = sparql[start:].split("\n", 1)[0]
    window = max(0, offset - start - 60)
    shown = "".join(character if character.isprintable() else " " for character in text[window : window + 100])
    caret = " " * (offset - start - window) + "^"
    return QueryRefusedError(
        f"line {line}, column {offset - start + 1}: {reason}\n  {shown}\n  {caret}",
        try_next="correct the query at the caret",
    )
