"""Plots: learning curves, confusion matrix, reliability diagram and others, as matplotlib figures and PNG files."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.evaluation.metrics import BINS, Evaluation

_BLUE, _ORANGE, _GREY = "#2a6fbb", "#d9691e", "#8a8f98"
_COLUMNS = 6  # of an image grid
_MAX_NAME_LENGTH = 28  # a longer one would squeeze the plot


def truncate(name: str, max_length: int = _MAX_NAME_LENGTH) -> str:
    """Return `name`, cut to `max_length` characters with an ellipsis at its end."""
    return name if len(name) <= max_length else name[: max_length - 1] + "…"


def to_png(figure: Figure, dpi: int = 144) -> bytes:
    """Return the figure as a PNG file of `dpi` pixels per inch."""
    file = io.BytesIO()
    with warnings.catch_warnings():  # the font lacks some scripts; it draws boxes for those names
        warnings.filterwarnings("ignore", "Glyph")
        figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def learning_curves(history: dict[str, list[float]], best_epoch: int) -> Figure:
    """Plot loss and accuracy by epoch, as in Keras' history, and mark `best_epoch`, the kept one, counted from 1."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        epochs = range(1, len(history[key]) + 1)
        axes.axvline(best_epoch, color=_GREY, linestyle=":", label=f"kept: epoch {best_epoch}")
        # A line through a single epoch is invisible without a marker.
        axes.plot(epochs, history[key], "o-", color=_BLUE, markersize=4, label="training")
        axes.plot(epochs, history[f"val_{key}"], "o-", color=_ORANGE, markersize=4, label="validation")
        axes.set(xlabel="epoch", ylim=(0, 1.03 if key == "accuracy" else None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.set_major_formatter("{x:.0%}" if key == "accuracy" else "{x:g}")
        _style_axes(axes, key.capitalize())
        axes.legend(frameon=False)
    return figure


def confusion_matrix(counts: np.ndarray, names: Sequence[str], title: str = "Validation frames, %") -> Figure:
    """Plot a confusion matrix, `counts` by true and predicted class; each cell shows its per cent of the row."""
    size = max(4.5, 2.5 + 0.42 * len(names))  # inches
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # a game without frames has a row of 0
    axes.pcolormesh(fractions, cmap="Blues", vmin=0, vmax=1, edgecolors="#dfe3e8", linewidth=0.4)
    axes.set(aspect="equal", xlabel="recognised as", ylabel="frames of")
    axes.invert_yaxis()
    centered: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "in_layout": False}
    for row, column in zip(*np.nonzero(counts), strict=True):
        fraction = fractions[row, column]
        color = "white" if fraction > 0.55 else "black"  # readable on the cell's blue
        axes.text(column + 0.5, row + 0.5, f"{100 * fraction:.0f}", color=color, **centered)
    labels = [truncate(name) for name in names]
    centers = np.arange(len(names)) + 0.5
    # parse_math=False: two dollar signs in a name would make it a formula.
    axes.set_xticks(centers, labels, rotation=45, ha="right", rotation_mode="anchor", fontsize=8, parse_math=False)
    axes.set_yticks(centers, labels, fontsize=8, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, loc="left", fontweight="bold")
    return figure


def reliability_diagram(evaluation: Evaluation) -> Figure:
    """Plot accuracy against confidence, and below it a histogram of the confidence."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    centers = (np.arange(BINS) + 0.5) / BINS  # (BINS,)
    upper.plot([0, 1], [0, 1], color=_GREY, linestyle=":", label="perfect calibration")
    upper.bar(centers, [bin.accuracy for bin in evaluation.bins], 0.9 / BINS, color=_BLUE, label="accuracy")
    dots = zip(*((bin.confidence, bin.accuracy) for bin in evaluation.bins if bin.frames), strict=True)
    upper.plot(*dots, "o", color=_ORANGE, markersize=5, label="at the mean confidence")
    upper.set(ylabel="frames right", xlim=(0, 1), ylim=(0, 1.02))
    upper.yaxis.set_major_formatter("{x:.0%}")
    lower.bar(centers, [bin.frames for bin in evaluation.bins], 0.9 / BINS, color=_GREY)
    lower.set(xlabel="confidence", ylabel="frames")
    lower.xaxis.set_major_formatter("{x:.0%}")
    _style_axes(upper, f"Calibration: ECE {evaluation.ece:.1%}")
    _style_axes(lower)
    upper.legend(frameon=False)
    return figure


def per_game_bars(games: Sequence[dict[str, Any]]) -> Figure:
    """Plot the right and the unknown fraction of each game's frames, from FolderEvaluation.game_metrics()."""
    figure = Figure(figsize=(8, 1.2 + 0.32 * len(games)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(games))  # (games,)
    right = [game.get("accuracy_by_frame") or 0.0 for game in games]  # unknown games have no accuracy
    axes.barh(rows - 0.18, right, 0.34, color=_BLUE, label="right")
    axes.barh(rows + 0.18, [game["called_unknown"] for game in games], 0.34, color=_ORANGE, label="called unknown")
    labels = [truncate(game["name"]) + ("" if game["known"] else " (not a class)") for game in games]
    axes.set_yticks(rows, labels, fontsize=8, parse_math=False)
    axes.set(xlim=(0, 1), ylim=(len(games) - 0.4, -0.6))  # the first game at the top
    axes.xaxis.set_major_formatter("{x:.0%}")
    figure.legend(loc="outside lower right", ncols=2, frameon=False)
    _style_axes(axes, "Frames by game")
    return figure


def score_histogram(known: np.ndarray, others: np.ndarray, threshold: float) -> Figure:
    """Plot how the unknown scores of known games' frames (n,) and of other games' (m,) lie about the threshold."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    edges = list(np.histogram_bin_edges(np.concatenate([known, others]), 40))  # common to both histograms
    for scores, color, label in ((known, _BLUE, "known games"), (others, _ORANGE, "other games")):
        if len(scores):
            weights = np.full(len(scores), 1 / len(scores))  # both histograms add up to 1
            axes.hist(scores, edges, weights=weights, color=color, alpha=0.65, label=label)
    if np.isfinite(threshold):  # without one, every frame is known
        axes.axvline(threshold, color="black", linestyle=":", label="threshold")
    axes.set(xlabel="score", ylabel="fraction of frames")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(frameon=False)
    _style_axes(axes, "Known or unknown")
    return figure


def image_grid(images: Sequence[np.ndarray], captions: Sequence[str]) -> Figure:
    """Show images, uint8 (height, width, 3) RGB, in rows of six, each under its caption of two lines."""
    rows = math.ceil(len(images) / _COLUMNS)
    figure = Figure(figsize=(2.1 * _COLUMNS, 2.6 * rows), layout="constrained")
    for number, (image, caption) in enumerate(zip(images, captions, strict=True), start=1):
        axes = figure.add_subplot(rows, _COLUMNS, number)
        axes.imshow(image)
        axes.axis("off")
        axes.set_title(caption, fontsize=7, loc="left", parse_math=False)
    return figure


def _style_axes(axes: Axes, title: str = "") -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", alpha=0.25)
    axes.set_axisbelow(True)
