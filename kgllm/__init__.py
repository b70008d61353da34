"""kgllm answers questions from a knowledge graph you own, and names the triples that every statement rests on."""

__version__ = "0.1.0"
