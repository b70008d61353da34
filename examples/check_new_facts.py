"""Sort statements that somebody proposes into those that fit the graph and those that don't, and say why.

Each is checked as if it joined the graph: python examples/check_new_facts.py
"""

from pathlib import Path

import kgllm

ROOT = Path(__file__).parents[1]
PREFIXES = """
@prefix space: <https://example.org/spaceflight/> .
@prefix sf: <https://example.org/spaceflight/ontology#> .
"""
PROPOSED = [
    "space:Neil_Armstrong sf:walkedOn space:Moon .",
    "space:Apollo_11 sf:milestone 'first footprints on another world' .",
    "space:Apollo_11 sf:commander space:Moon .",
    "space:Apollo_11 sf:launchDate 'a Wednesday' .",
    "space:Yuri_Gagarin sf:birthPlace space:Vostok_1 .",
]

with kgllm.open(
    ROOT / "examples/spaceflight.ttl",
    ontology=ROOT / "ontologies/spaceflight-ontology.ttl",
    shapes=ROOT / "ontologies/spaceflight-shapes.ttl",
) as kg:
    for statement in PROPOSED:
        report = kg.check((PREFIXES + statement).encode())
        print("fits   " if report.conforms else "REFUSED", statement)
        for violation in report.violations:
            if violation.blame == "memory":  # not a fault that the graph had before
                print(f"          {violation.constraint}: {violation.message}")
