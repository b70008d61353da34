"""Ask one question, and print why the answer is what it is: python examples/ask_and_explain.py "Who …?"

From the words of the question to the graph's terms, from these to a query, from the query to triples, from the triples
to the statements of the answer.
"""

import sys
from pathlib import Path

import kgllm

ROOT = Path(__file__).parents[1]
QUESTION = "Which astronauts were born in Ohio and walked on the Moon?"

with kgllm.open(
    ROOT / "examples/spaceflight.ttl",
    ontology=ROOT / "ontologies/spaceflight-ontology.ttl",
    shapes=ROOT / "ontologies/spaceflight-shapes.ttl",
) as kg:
    answer = kg.ask(sys.argv[1] if len(sys.argv) > 1 else QUESTION)

print(answer.question)
print(f"\nAnswer: {answer}   (confidence {answer.confidence:.2f}, {answer.timings_ms['total']:.0f} ms)")

print("\nWords of the question, and what they were tied to:")
for link in sorted(answer.memory.links, key=lambda link: -link.score):
    print(f"  {link.score:.2f}  {link.span:12} {link.kind:9} {answer.namespaces.curie(link.iri)}")

print(f"\nQuery:\n{answer.sparql}")

print("\nStatements, and the triples each rests on:")
for claim in answer.claims:
    print(f"  {claim.verdict}: {claim.text}")
    for s, p, o in claim.evidence:
        print(f"    {s.n3()} {p.n3()} {o.n3()} .")

print("\nAgainst the ontology and the shapes:", [v.message for v in answer.violations] or "nothing wrong")
