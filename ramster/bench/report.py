"""A report on disk: one HTML page, and each chart as SVG and PNG.

Covers: the files. Does not cover: what is in them (``report_model.py``, ``charts.py``,
``report_html.py``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ramster.bench.charts import as_png, as_svg, colours
from ramster.bench.report_html import page
from ramster.bench.report_model import build
from ramster.bench.results import Result
from ramster.errors import BenchError

__all__ = ["write_report"]

_ALONE = "<style>svg{color:#1c1e21}@media(prefers-color-scheme:dark){svg{color:#e6e8eb}}</style>"
"""For an SVG that is looked at by itself."""


def write_report(results: Sequence[Result], folder: Path, threshold_percent: float) -> Path:
    """Write ``report.html`` and ``charts/`` into a folder, replacing an older report; returns the
    page's path. Raises BenchError; MissingExtraError without the extra ``bench``."""
    report = build(results, threshold_percent)
    palette = colours(report.names)
    svgs = {}
    try:
        (folder / "charts").mkdir(parents=True, exist_ok=True)
        for section in report.sections:
            for chart in section.charts:
                key = (section.name, chart.workload, chart.figure.name)
                svgs[key] = as_svg(chart, palette, " ".join(key))
                place = folder / "charts" / _file_name(key)
                alone = re.sub(r"(<svg [^>]*>)", lambda tag: tag[1] + _ALONE, svgs[key], count=1)
                place.with_suffix(".svg").write_text(alone, encoding="utf-8")
                place.with_suffix(".png").write_bytes(as_png(chart, palette))
        path = folder / "report.html"
        path.write_text(page(report, svgs), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"{folder}: the report cannot be written: {error.strerror}") from error
    return path


def _file_name(key: tuple[str, str, str]) -> str:
    configuration, workload, figure = (re.sub(r"[^A-Za-z0-9_-]", "-", part) for part in key)
    return "_".join(dict.fromkeys((configuration, workload, figure)))
