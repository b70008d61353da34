"""The ceiling of any planner: how often all that a gold query names is among the candidates for its question."""

from __future__ import annotations

import re

__all__ = ["unescaped"]

_TOKEN = re.compile(
    r"""(?P<kept>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|<[^<>\s]*>|[?$]\w+)|(?P<prefix>[\w.-]*):(?P<local>(?:[\w.%:-]|\\.)*)"""
)
_ESCAPE = re.compile(r"\\(.)")
_PREFIX = re.compile(r"\bPREFIX\s+([\w.-]*):\s*<([^<>\s]*)>", re.IGNORECASE)


def unescaped(sparql: str) -> str:
    """A query whose prefixed names hold no backslash: those that do are written out, which rdflib does not undo."""
    prefixes = dict(_PREFIX.findall(sparql))

    def written_out(match: re.Match[str]) -> str:
        local = match["local"] or ""
        if match["kept"] or "\\" not in local or match["prefix"] not in prefixes:
            return match[0]
        local = _ESCAPE.sub(r"\1", local)
        return f"<{prefixes[match['prefix']]}{local}>"

    return _TOKEN.sub(written_out, sparql)
