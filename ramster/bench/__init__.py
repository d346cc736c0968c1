"""Benchmarks that any developer can run: ``ramster bench``.

Configurations (``configurations.py``) name cases; a case is a workload with parameters on a
subject; each case is measured in a process of its own, round by round; results are compared and
shown.
"""

__all__: list[str] = []
