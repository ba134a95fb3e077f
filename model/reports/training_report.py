"""Training report: metrics.json, learning curves and confusion matrix in the model's results folder."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.entities import Game, StoredFrame
from model.datasets.split import Split
from model.evaluation.metrics import Evaluation
from model.evaluation.stream_answers import StreamAnswers, answer_streams
from model.inference.calibration import Calibration
from model.inference.screens import SCREEN_KINDS
from model.reports import plots, rendering
from model.training.plan import TrainingHistory

if TYPE_CHECKING:
    from model.training.validation import ValidationPredictions

_LIBRARIES = ("tensorflow", "keras", "numpy", "onnx", "onnxruntime", "tf2onnx")


def metrics(
    settings: dict[str, Any],
    *,
    classes: Sequence[Game],
    split: Split,
    training: TrainingHistory,
    evaluation: Evaluation,
    calibration: Calibration,
    predictions: ValidationPredictions,
    seconds: float,
) -> dict[str, Any]:
    """Return the content of metrics.json: all metrics, and what is needed to reproduce them.

    settings: those that the metrics depend on, without secrets.
    evaluation, calibration, predictions: those of the validation frames.
    seconds: duration of the whole command.
    """
    validation = split.validation
    answers = answer_streams(predictions.scored(calibration), validation, classes, calibration)
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "settings": settings,
        "seed": settings["seed"],
        **evaluation.overall_metrics(),
        "temperature": calibration.temperature,
        "unknown": _unknown_metrics(calibration, evaluation),
        "screens": _screen_metrics(predictions, answers),
        "best_epoch": training.best_epoch,
        "epochs": len(training.history["loss"]),
        "history": training.history,
        "seconds": {"training": round(training.seconds, 2), "total": round(seconds, 2)},
        "training": _side_summary(split.training),
        "validation": {"streams": evaluation.streams, **_side_summary(validation), "logins": _logins(validation)},
        "games": _game_metrics(classes, evaluation, split, answers),
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


def _screen_metrics(predictions: ValidationPredictions, answers: StreamAnswers) -> dict[str, Any] | None:
    """Return how often the screen head is wrong about gameplay, and right about drawn screens; None without it."""
    if predictions.drawn is None:
        return None
    detected = (predictions.drawn > predictions.screen_threshold).mean(axis=0).tolist()
    return {"false_no_game": answers.false_no_game, "detected": dict(zip(SCREEN_KINDS, detected, strict=True))}


def _game_metrics(
    classes: Sequence[Game], evaluation: Evaluation, split: Split, answers: StreamAnswers
) -> list[dict[str, Any]]:
    """Return frames, streamers, answers and accuracies of each class; an accuracy is null without validation frames."""
    recalls = zip(classes, evaluation.recall_per_game, evaluation.stream_recall_per_game, strict=True)
    return [
        {
            "id": game.id,
            "name": game.name,
            "accuracy_by_frame": _finite_or_none(frame_recall),
            "accuracy_by_stream": _finite_or_none(stream_recall),
            **answers.of_game(label),
            "training": _side_summary([frame for frame in split.training if frame.game_id == game.id]),
            "validation": _side_summary([frame for frame in split.validation if frame.game_id == game.id]),
        }
        for label, (game, frame_recall, stream_recall) in enumerate(recalls)
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
