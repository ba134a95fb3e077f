"""What is drawn of a trial: calibration, games, the unknown, the worst pictures. Imports matplotlib."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from model.evaluation.metrics import BINS, Evaluation

BLUE, ORANGE, GREY = "#2a6fbb", "#d9691e", "#8a8f98"
_DPI = 120
_COLUMNS = 6
_NAME_CHARACTERS = 28


def short(name: str, characters: int = _NAME_CHARACTERS) -> str:
    """`name`, cut where it would be too wide."""
    return name if len(name) <= characters else name[: characters - 1] + "…"


def png(figure: Figure) -> bytes:
    """The picture's file."""
    file = io.BytesIO()
    with warnings.catch_warnings():  # of a name in a script that the font lacks
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()


def reliability(evaluation: Evaluation) -> Figure:
    """How often the model is right when it prints a confidence, and how often it prints that one."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    places = (np.arange(BINS) + 0.5) / BINS
    filled = [step.frames > 0 for step in evaluation.bins]
    upper.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="as it should be")
    upper.bar(
        places[filled],
        [step.accuracy for step in evaluation.bins if step.frames],
        0.9 / BINS,
        color=BLUE,
        label="right",
    )
    upper.plot(
        [step.confidence for step in evaluation.bins if step.frames],
        [step.accuracy for step in evaluation.bins if step.frames],
        color=ORANGE, marker="o", markersize=5, linestyle="", label="at its mean confidence",
    )  # fmt: skip
    upper.set_title(f"Calibration: ECE {evaluation.ece:.1%}", loc="left", fontweight="bold")
    upper.set(ylabel="right", xlim=(0, 1), ylim=(0, 1.02))
    upper.yaxis.set_major_formatter("{x:.0%}")
    lower.bar(places, [step.frames for step in evaluation.bins], 0.9 / BINS, color=GREY)
    lower.set(xlabel="confidence printed", ylabel="frames")
    lower.xaxis.set_major_formatter("{x:.0%}")
    upper.legend(frameon=False)
    _plain(upper, lower)
    return figure


def games(rows: Sequence[dict[str, Any]]) -> Figure:
    """Each game's share of frames: right, called unknown. `rows`: model.evaluation.folder_evaluation's."""
    figure = Figure(figsize=(8, 1.2 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    right = [row.get("accuracy_by_frame") or 0.0 for row in rows]
    axes.barh(places - 0.18, right, 0.34, color=BLUE, label="right")
    axes.barh(places + 0.18, [row["called_unknown"] for row in rows], 0.34, color=ORANGE, label="called unknown")
    labels = [short(row["name"]) + ("" if row["known"] else " (not a class)") for row in rows]
    axes.set_yticks(places, labels, fontsize=8, parse_math=False)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.set_title("Frames by game", loc="left", fontweight="bold")
    figure.legend(loc="outside lower right", ncols=2, frameon=False)
    _plain(axes)
    return figure


def unknown(known: np.ndarray, others: np.ndarray, threshold: float) -> Figure:
    """How the scores of known games' frames (n,) and of others (m,) lie about the threshold."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    edges = np.histogram_bin_edges(np.concatenate([known, others]), 40)
    for scores, color, name in ((known, BLUE, "known games"), (others, ORANGE, "others")):
        if len(scores):
            axes.hist(
                scores, list(edges), weights=np.full(len(scores), 1 / len(scores)), color=color, alpha=0.65, label=name
            )
    if np.isfinite(threshold):
        axes.axvline(threshold, color="black", linestyle=":", label="unknown below this")
    axes.set(xlabel="score", ylabel="share of frames")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_title("Known or not", loc="left", fontweight="bold")
    axes.legend(frameon=False)
    _plain(axes)
    return figure


def sheet(images: Sequence[np.ndarray], captions: Sequence[str]) -> Figure:
    """Pictures, uint8 RGB, side by side, each under its caption of two lines."""
    rows = -(-len(images) // _COLUMNS)
    figure = Figure(figsize=(2.1 * _COLUMNS, 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image, caption in zip(grid.flat, images, captions, strict=False):
        axes.imshow(image)
        axes.set_title(caption, fontsize=7, loc="left", parse_math=False)
    return figure


def _plain(*several: Any) -> None:
    for axes in several:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="both", alpha=0.25)
        axes.set_axisbelow(True)
