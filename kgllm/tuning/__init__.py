"""Tuning: what a graph's own questions teach the planner, the embedding model, or a language model."""
