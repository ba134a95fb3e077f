"""Training report: metrics.json, learning curves and confusion matrix in the model's results folder."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from data.entities import Game, StoredFrame
from model.datasets.split import Split
from model.evaluation.metrics import Evaluation
from model.inference.calibration import Calibration
from model.reports import plots, rendering
from model.training.plan import TrainingHistory

_LIBRARIES = ("tensorflow", "keras", "numpy", "onnx", "onnxruntime", "tf2onnx")


def metrics(
    settings: dict[str, Any],
    *,
    classes: Sequence[Game],
    split: Split,
    training: TrainingHistory,
    evaluation: Evaluation,
    calibration: Calibration,
    seconds: float,
) -> dict[str, Any]:
    """Return the content of metrics.json: all metrics, and what is needed to reproduce them.

    settings: those that the metrics depend on, without secrets.
    evaluation, calibration: those of the validation frames.
    seconds: duration of the whole command.
    """
    validation = split.validation
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "settings": settings,
        "seed": settings["seed"],
        **evaluation.overall_metrics(),
        "temperature": calibration.temperature,
        "unknown": _unknown_metrics(calibration, evaluation),
        "best_epoch": training.best_epoch,
        "epochs": len(training.history["loss"]),
        "history": training.history,
        "seconds": {"training": round(training.seconds, 2), "total": round(seconds, 2)},
        "training": _side_summary(split.training),
        "validation": {"streams": evaluation.streams, **_side_summary(validation), "logins": _logins(validation)},
        "games": _game_metrics(classes, evaluation, split),
        "reliability": [asdict(bin) for bin in evaluation.bins],
        "confusion": evaluation.confusion.tolist(),
        "worst": [error.to_json(validation[error.row].path) for error in evaluation.errors],
    }


def _unknown_metrics(calibration: Calibration, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "score": calibration.score_name,
        "threshold": _finite_or_none(calibration.threshold),
        "share": calibration.unknown_fraction,
        "stream_threshold": calibration.stream_threshold,
        "by_stream": asdict(evaluation.unknown) if evaluation.unknown else None,
    }


def _side_summary(frames: Sequence[StoredFrame]) -> dict[str, Any]:
    return {"frames": len(frames), "streamers": len(_logins(frames))}


def _logins(frames: Sequence[StoredFrame]) -> list[str]:
    return sorted({frame.login for frame in frames})


def _game_metrics(classes: Sequence[Game], evaluation: Evaluation, split: Split) -> list[dict[str, Any]]:
    """Return frames, streamers and accuracies of each class; an accuracy is null without validation frames."""
    recalls = zip(classes, evaluation.recall_per_game, evaluation.stream_recall_per_game, strict=True)
    return [
        {
            "id": game.id,
            "name": game.name,
            "accuracy_by_frame": _finite_or_none(frame_recall),
            "accuracy_by_stream": _finite_or_none(stream_recall),
            "training": _side_summary([frame for frame in split.training if frame.game_id == game.id]),
            "validation": _side_summary([frame for frame in split.validation if frame.game_id == game.id]),
        }
        for game, frame_recall, stream_recall in recalls
    ]


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON has neither NaN nor infinity


def write(folder: Path, metrics: dict[str, Any], draw: bool) -> None:
    """Create `folder` and write metrics.json and, with `draw`, curves.png and confusion.png. Raises OSError."""
    folder.mkdir(exist_ok=True)
    rendering.write_metrics(folder, metrics)
    if draw:
        names = [game["name"] for game in metrics["games"]]
        curves = plots.learning_curves(metrics["history"], metrics["best_epoch"])
        confusion = plots.confusion_matrix(np.array(metrics["confusion"]), names)
        (folder / "curves.png").write_bytes(plots.to_png(curves))
        (folder / "confusion.png").write_bytes(plots.to_png(confusion))
