"""What one metric is: its name, its type, where its numbers are in the figures.

Covers: rows of the table and the usual ways to make them. Does not cover: which there are
(``node_rows.py`` and its neighbours), how they are served (``exposition.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ramster.figures import Figures

__all__ = ["MetricRow", "Samples", "by", "one"]

Samples: TypeAlias = Iterable[tuple[tuple[str, ...], Any]]
"""Label values, and a number, or the figures of a histogram (``Histogram.as_dict``)."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric: ``name`` as it is scraped, ``samples`` gives label values and numbers.

    A histogram's name is without the endings that its samples have.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Callable[[Figures], Samples]
    is_histogram: bool = False

    @property
    def is_counter(self) -> bool:
        """Counters end in ``_total``."""
        return self.name.endswith("_total")

    @property
    def type(self) -> Literal["counter", "gauge", "histogram"]:
        """Of Prometheus."""
        if self.is_histogram:
            return "histogram"
        return "counter" if self.is_counter else "gauge"

    @property
    def scraped_names(self) -> tuple[str, ...]:
        """The names of its samples."""
        if self.is_histogram:
            return tuple(f"{self.name}_{ending}" for ending in ("bucket", "sum", "count"))
        return (self.name,)


def one(name: str, text: str, *path: str) -> MetricRow:
    """A metric without labels: the figure at ``path``; absent where the figure is None."""

    def samples(figures: Figures) -> Samples:
        value = _at(figures, path)
        return () if value is None else (((), float(value)),)

    return MetricRow(name, text, (), samples)


def by(name: str, text: str, label: str, section: str, keys: dict[str, str]) -> MetricRow:
    """A metric with one label; ``keys``: label value -> key in the section."""

    def samples(figures: Figures) -> Samples:
        found = figures[section]
        return (
            () if found is None else (((value,), float(found[key])) for value, key in keys.items())
        )

    return MetricRow(name, text, (label,), samples)


def _at(figures: Figures, path: tuple[str, ...]) -> float | None:
    value: object = figures
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value[key]
    return value if isinstance(value, int | float) else None
