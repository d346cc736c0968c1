"""``ramster top``: a cluster seen from one of its nodes, live in a terminal.

Covers: asking, keeping what rates need, the picture as lines, the terminal. Does not cover: what a
node counts (``ramster/figures.py``). Only ``app`` needs Textual.
"""
