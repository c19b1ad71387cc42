"""Measurements, never part of the tests; each module writes its table to benchmarks/results."""
