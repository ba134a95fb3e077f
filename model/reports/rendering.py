"""Rendering: text from the Jinja2 templates of this room, and what the reports have in common."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from model.inference.location import METRICS

WORST = "worst-{}.jpg"  # by number from 1: the frames of `worst` in metrics.json


def render(template: str, **values: Any) -> str:
    """Render a file of templates/. Values are escaped in .html files; elsewhere the template escapes them itself."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,  # a misspelt name raises instead of printing nothing
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": percent, "escape_markdown": escape_markdown}
    return environment.get_template(template).render(values)


def percent(fraction: float | None) -> str:
    """Return a fraction, 0 to 1, as per cent with one decimal, or a dash for None."""
    return "—" if fraction is None else f"{fraction:.1%}"


def escape_markdown(text: str) -> str:
    """Escape the characters that are markup in Markdown or that end a table's cell."""
    return re.sub(r"[\\|*_`<>\[\]$#]", r"\\\g<0>", text)


def metric_rows(metrics: dict[str, Any], frames: int, streams: int) -> list[tuple[str, str]]:
    """Return name and value of each metric of the whole. `frames`, `streams`: how many were evaluated."""
    return [
        ("frames right", f"{percent(metrics['accuracy_by_frame'])} of {frames}"),
        ("game among the top three", percent(metrics["top3_by_frame"])),
        ("streams right", f"{percent(metrics['accuracy_by_stream'])} of {streams}"),
        ("expected calibration error (ECE)", percent(metrics["ece"])),
        ("negative log-likelihood", f"{metrics['nll']:.3f}"),
    ]


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write metrics.json into `folder`. Raises OSError."""
    text = json.dumps(metrics, indent=1, ensure_ascii=False) + "\n"
    (folder / METRICS).write_text(text, encoding="utf-8")
