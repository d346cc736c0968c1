"""Benchmarks that any developer can run; ``make bench`` runs them all (``run.py``)."""
