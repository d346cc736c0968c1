"""Chaos in containers: a verifying workload on five nodes while they are killed, cut and squeezed.

``python -m tests.chaos --help``, or ``make chaos MINUTES=10 REPLICAS=2 SEED=7``.
"""
