"""What a check finds: the fields of a SHACL validation result, and whose fault it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias
from typing import Literal as OneOfStrings

from kgllm.terms import Node, Term, URIRef, n3

__all__ = ["NOT_CHECKED", "Severity", "Violation"]

NOT_CHECKED = "notChecked"
"""The constraint of a remark that says what was not checked to its end."""

Severity: TypeAlias = OneOfStrings["Violation", "Warning", "Info"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A finding, with the fields of ``sh:ValidationResult`` and whose fault it is."""

    focus: Node | None
    path: URIRef | None
    value: Term | None
    constraint: str
    severity: Severity
    message: str
    blame: OneOfStrings["data", "memory", "query"] = "memory"
    source: OneOfStrings["ontology", "shapes"] = "ontology"

    def to_json(self) -> dict[str, Any]:
        """As ``kgllm ask --json`` prints it."""
        return {
            "focus": n3(self.focus) if self.focus is not None else None,
            "path": n3(self.path) if self.path is not None else None,
            "value": n3(self.value) if self.value is not None else None,
            "constraint": self.constraint,
            "severity": self.severity,
            "message": self.message,
            "blame": self.blame,
        }
