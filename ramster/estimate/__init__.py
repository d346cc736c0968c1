"""What zcache would give for memory or files that are there now: ``ramster estimate``.

Read next: ``sampling.py`` (which pages), ``process_memory.py`` and ``files.py`` (where they come
from), ``prediction.py`` (what they come to), ``report.py`` (how it is said).
"""

__all__: list[str] = []
