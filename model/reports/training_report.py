"""results/: curves.png, confusion.png and metrics.json. The only importer of matplotlib."""

from __future__ import annotations

import json
import math
import platform
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:  # drawing needs no TensorFlow
    from data.entities import Game, StoredFrame
    from model.datasets.split import Sides
    from model.evaluation.metrics import Evaluation
    from model.inference.calibration import Calibration
    from model.training.plan import Training

_LIBRARIES = ("tensorflow", "keras", "numpy", "onnx", "onnxruntime", "tf2onnx")
_DPI = 144
_NAME_CHARACTERS = 28
_BLUE, _ORANGE, _GREY = "#2a6fbb", "#d9691e", "#8a8f98"


def metrics(
    settings: dict[str, Any],
    *,
    classes: Sequence[Game],
    sides: Sides,
    training: Training,
    evaluation: Evaluation,
    calibration: Calibration,
    seconds: float,
) -> dict[str, Any]:
    """Everything measured and what is needed to measure it again, ready for JSON. `settings`: no secrets."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "settings": settings,
        "seed": settings["seed"],
        "accuracy_by_frame": evaluation.by_frame,
        "accuracy_by_stream": evaluation.by_stream,
        "top3_by_frame": evaluation.top3,
        "nll": evaluation.nll,
        "ece": evaluation.ece,
        "temperature": calibration.temperature,
        "unknown": {
            "score": calibration.score,
            "threshold": _number(calibration.threshold),
            "share": calibration.share,
        },
        "best_epoch": training.best_epoch,
        "epochs": len(training.history["loss"]),
        "history": training.history,
        "seconds": {"training": round(training.seconds, 2), "total": round(seconds, 2)},
        "training": _side(sides.training),
        "validation": {"streams": evaluation.streams, **_side(sides.validation), "logins": _logins(sides.validation)},
        "games": _games(classes, evaluation, sides),
        "reliability": [asdict(step) for step in evaluation.bins],
        "confusion": evaluation.confusion.tolist(),
    }


def _side(frames: Sequence[StoredFrame]) -> dict[str, Any]:
    return {"frames": len(frames), "streamers": len(_logins(frames))}


def _logins(frames: Sequence[StoredFrame]) -> list[str]:
    return sorted({frame.login for frame in frames})


def _games(classes: Sequence[Game], evaluation: Evaluation, sides: Sides) -> list[dict[str, Any]]:
    """Each class, what there was of it, and how well it was recognised: null where no frame tells."""
    shares = zip(classes, evaluation.per_game, evaluation.per_game_streams, strict=True)
    return [
        {
            "id": game.id,
            "name": game.name,
            "accuracy_by_frame": _number(frames),
            "accuracy_by_stream": _number(streams),
            "training": _side([frame for frame in sides.training if frame.game_id == game.id]),
            "validation": _side([frame for frame in sides.validation if frame.game_id == game.id]),
        }
        for game, frames, streams in shares
    ]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has no NaN


def write(folder: Path, figures: dict[str, Any], draw: bool) -> None:
    """Write metrics.json, and with `draw` both pictures, into `folder`, which is made. Raises OSError."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    (folder / "metrics.json").write_text(text, encoding="utf-8")
    if draw:
        names = [game["name"] for game in figures["games"]]
        with warnings.catch_warnings():  # of a name in a script that the font lacks
            warnings.filterwarnings("ignore", "Glyph")
            curves(figures["history"], figures["best_epoch"]).savefig(folder / "curves.png", dpi=_DPI)
            confusion(np.array(figures["confusion"]), names).savefig(folder / "confusion.png", dpi=_DPI)


def curves(history: dict[str, list[float]], best_epoch: int) -> Figure:
    """Loss and accuracy of both sides by epoch, the kept epoch marked."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, key, title in zip(figure.subplots(1, 2), ("loss", "accuracy"), ("Loss", "Accuracy"), strict=True):
        epochs = range(1, len(history[key]) + 1)
        axes.axvline(best_epoch, color=_GREY, linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.plot(epochs, history[key], color=_BLUE, marker="o", markersize=4, label="training")
        axes.plot(epochs, history[f"val_{key}"], color=_ORANGE, marker="o", markersize=4, label="validation")
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel("epoch")
        axes.set_ylim(0, 1.03 if key == "accuracy" else None)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.set_major_formatter("{x:.0%}" if key == "accuracy" else "{x:g}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(frameon=False)
    return figure


def confusion(counts: np.ndarray, names: Sequence[str], title: str = "Validation frames, %") -> Figure:
    """`counts` (classes, classes) of frames: a row is a true game, a column what was predicted.

    A cell is coloured by its share of the row, and says it in per cent of that game's frames.
    """
    size = max(4.5, 2.5 + 0.42 * len(names))
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="#dfe3e8", linewidth=0.4)
    axes.set(aspect="equal", xlabel="recognised as", ylabel="frames of")
    axes.invert_yaxis()
    for row, column in zip(*np.nonzero(counts), strict=True):
        share = shares[row, column]
        color = "white" if share > 0.55 else "black"
        axes.text(
            column + 0.5,
            row + 0.5,
            f"{share:.0%}"[:-1],
            ha="center",
            va="center",
            fontsize=8,
            color=color,
            in_layout=False,
        )
    # A name is no formula: without parse_math=False two dollar signs would make it one.
    labels = [_short(name) for name in names]
    places = np.arange(len(names)) + 0.5
    axes.set_xticks(places, labels, rotation=45, ha="right", rotation_mode="anchor", fontsize=8, parse_math=False)
    axes.set_yticks(places, labels, fontsize=8, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, loc="left", fontweight="bold")
    return figure


def _short(name: str) -> str:
    return name if len(name) <= _NAME_CHARACTERS else name[: _NAME_CHARACTERS - 1] + "…"
