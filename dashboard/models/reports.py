"""Reports: what model.create and model.evaluate wrote about a model, from their metrics.json.

A file that was written by an older version lacks some of it. A foreign or damaged one raises ModelError.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from heapq import nlargest
from operator import itemgetter
from pathlib import Path
from typing import Any

from dashboard.models.schemas import (
    ConfusedPair,
    Confusion,
    GameOfModel,
    GameReport,
    Report,
    ReportKind,
    WorstFrame,
)
from data.errors import ModelError
from data.readers import read_regular_file
from model.evaluation.metrics import MAX_ERRORS
from model.inference.location import METRICS

_MAX_BYTES = 32 << 20  # the confusion matrix of 2,000 games has 10 MB
_MAX_PAIRS, _MAX_NAME = 20, 200
MAX_WORST = MAX_ERRORS  # frames of which an evaluation keeps the pictures


@dataclass(frozen=True)
class ReportFile:
    """A metrics.json: its report, confusion matrix and worst frames."""

    report: Report
    confusion: Confusion
    worst: list[WorstFrame]
    architecture: str | None
    sha256: str | None  # of the evaluated model file; None: not stated


def read_report(folder: Path, kind: ReportKind) -> ReportFile | None:
    """Return the report in a results folder, None if there is none. Raises ModelError for an unreadable one.

    Nobody may change it: the requests of one page share it.
    """
    path = folder / METRICS
    try:
        status = path.stat()
        return _read(path, kind, (status.st_ino, status.st_mtime_ns, status.st_size))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError, ArithmeticError) as error:
        raise ModelError(f"{path} cannot be read. Make it again: {_COMMANDS[kind]}") from error


@lru_cache(maxsize=2)  # the two of one model: a large one takes a second to parse and tens of megabytes to keep
def _read(path: Path, kind: ReportKind, _stamp: tuple[int, int, int]) -> ReportFile:
    metrics = json.loads(read_regular_file(path, _MAX_BYTES), parse_constant=lambda _: None)
    json.dumps(metrics, ensure_ascii=False).encode()  # half a character, which no answer can hold, is an error
    return _parse(metrics, kind)


_COMMANDS = {"training": "python -m model.create", "evaluation": "python -m model.evaluate"}


def _parse(metrics: dict[str, Any], kind: ReportKind) -> ReportFile:
    is_training = kind == "training"
    matrix = metrics["confusion"]
    classes = [_game(game) for game in (metrics["games"] if is_training else matrix["classes"])]
    confusion = _confusion(kind, classes, matrix if is_training else matrix["counts"])
    scores = f1_scores(confusion.counts)
    validated = [score for score, row in zip(scores, confusion.counts, strict=True) if any(row)]
    scores_by_id = dict(zip((game.id for game in classes), scores, strict=True))
    ids = {game.name: game.id for game in classes}
    report = Report(
        kind=kind,
        date=metrics.get("date"),
        folder=metrics.get("folder"),
        frames=metrics["validation"]["frames"] if is_training else metrics["frames"],
        streams=metrics["validation"]["streams"] if is_training else metrics["streams"],
        accuracy_by_frame=metrics["accuracy_by_frame"],
        accuracy_by_stream=metrics["accuracy_by_stream"],
        top3_by_frame=metrics["top3_by_frame"],
        macro_f1=sum(validated) / len(validated) if validated else None,
        nll=metrics["nll"],
        ece=metrics["ece"],
        games=[_game_report(game, ids, scores_by_id) for game in metrics["games"]],
        reliability=metrics.get("reliability", []),
        **_unknown(metrics["unknown"], is_training),
    )
    worst = [
        WorstFrame.model_validate(each | {key: _game(each[key]) for key in ("game", "predicted")})
        for each in metrics.get("worst", [])
    ]
    settings = metrics.get("settings") or {}
    return ReportFile(report, confusion, worst, settings.get("architecture"), metrics.get("sha256"))


def _unknown(metrics: dict[str, Any], is_training: bool) -> dict[str, float | None]:
    if is_training:
        by_stream = metrics.get("by_stream") or {}
        return {key: by_stream.get(key) for key in ("false_unknown", "missed_unknown")}
    missed = metrics.get("other_streams_called_unknown")
    known = metrics.get("known_streams_called_unknown")
    return {"false_unknown": known, "missed_unknown": None if missed is None else 1 - missed}


def _game(game: dict[str, Any]) -> GameOfModel:
    return GameOfModel(id=str(game["id"]), name=game["name"][:_MAX_NAME])


def _game_report(game: dict[str, Any], ids: dict[str, str], scores: dict[str, float]) -> GameReport:
    """Return the report of a game in one of the two forms of metrics.json."""
    counted = game.get("validation", game)
    known = game.get("known", True)
    game_id = str(game["id"]) if "id" in game else ids.get(game["name"]) if known else None
    return GameReport(
        id=game_id,
        name=game["name"][:_MAX_NAME],
        known=known,
        frames=counted["frames"],
        streamers=counted.get("streamers", counted.get("streams", 0)),
        accuracy_by_frame=game.get("accuracy_by_frame"),
        accuracy_by_stream=game.get("accuracy_by_stream"),
        f1=scores.get(game_id or "") if counted["frames"] else None,
        called_unknown=game.get("called_unknown"),
    )


def _confusion(kind: ReportKind, classes: list[GameOfModel], counts: list[list[int]]) -> Confusion:
    if len(counts) != len(classes) or any(len(row) != len(classes) for row in counts):
        raise ValueError("the matrix does not fit the games")
    confusion = Confusion(kind=kind, classes=classes, counts=counts, pairs=[])
    cells = (
        (count, true, column)
        for true, row in enumerate(confusion.counts)
        for column, count in enumerate(row)
        if count > 0 and true != column
    )
    confusion.pairs = [
        ConfusedPair(game=classes[true], predicted=classes[column], frames=count, fraction=count / sum(counts[true]))
        for count, true, column in nlargest(_MAX_PAIRS, cells, key=itemgetter(0))
    ]
    return confusion


def f1_scores(counts: list[list[int]]) -> list[float]:
    """Return each class's F1 score, 0 to 1: the harmonic mean of precision and recall. counts: true × predicted."""
    predicted = [sum(column) for column in zip(*counts, strict=True)]
    return [
        2 * row[number] / total if (total := sum(row) + predicted[number]) else 0.0 for number, row in enumerate(counts)
    ]
