"""What a machine lacks for each feature, and how to put it right: ``ramster doctor``.

Read next: ``findings.py`` (what a check says), ``examination.py`` (all checks, bounded in time),
then the checks by topic; ``machine.py`` is how they read /proc and /sys.
"""

__all__: list[str] = []
