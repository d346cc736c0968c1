"""The demo: real files through a real front-end into a small node, and back, compared byte for
byte.

Read next: ``sample.py`` (the data), ``nodes.py`` (processes), ``workload.py`` (write, read,
compare), ``report.py`` (the table).
"""
