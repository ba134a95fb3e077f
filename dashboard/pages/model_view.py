"""Model view: the values of the model's page, from what the model's files say."""

from __future__ import annotations

import math
import shlex
from typing import Any

from dashboard.models.comparison import ModelNotFound
from dashboard.models.reports import ReportFile
from dashboard.models.schemas import Confusion, ModelInfo
from dashboard.models.service import ModelService
from dashboard.pages import markdown
from data.errors import ModelError
from data.text import printable

_MAX_CLASSES = 120  # a larger matrix is no help: the pairs say what matters
_NUMBERS = {
    "accuracy_by_frame": "frames right",
    "accuracy_by_stream": "streams right",
    "top3_by_frame": "among the top three",
    "macro_f1": "macro F1",
    "ece": "calibration error (ECE)",
    "false_unknown": "known streams called unknown",
    "missed_unknown": "other streams called known",
}


def values(models: ModelService, name: str, kind: str) -> dict[str, Any]:
    """Return the values of the template for the model in MODEL_PATH, or in the folder of this name beside it.

    kind: of the report; another text stands for the best one.
    """
    message = ""
    try:
        folder = models.folder(name)
    except ModelNotFound as error:
        folder, name, message = models.folder(), "", str(error)
    model = models.info(folder)
    if model.changed:
        message = message or "The files have changed; the next recognition loads them."
    reports, report_message = folder.reports()
    shown = _choose(reports, kind)
    try:
        card = folder.card()
    except ModelError:
        card = None
    return {
        "model": model,
        "message": model.message or message,
        "facts": _facts(model),
        "reports": [found.report for found in reports],
        "report_message": report_message,
        "folder": name,
        "path": shlex.quote(printable(str(folder.path))),
        "card": markdown.blocks(card) if card else [],
        "models": models.compared().models,
        "percent": _percent,
        **(_report_values(shown) if shown else {"report": None}),
        "worst": folder.worst(shown, name) if shown else None,
    }


def _choose(reports: list[ReportFile], kind: str) -> ReportFile | None:
    by_kind = {found.report.kind: found for found in reports}
    current = next((found for found in reports if found.report.is_current), None)
    return by_kind.get(kind) or current or next(iter(reports), None)  # type: ignore[call-overload]


def _facts(model: ModelInfo) -> dict[str, str | None]:
    calibration = model.calibration
    facts = {
        "Network": model.architecture,
        "Trained": model.trained and _date(model.trained),
        "Games": str(len(model.classes)) if model.classes else None,
        "Images": f"{model.img_size} × {model.img_size} pixels" if model.img_size else None,
        "Recognises with": model.file,
        "Loaded": (_date(model.loaded_at) if model.loaded_at else "at the first recognition")
        if model.current
        else None,
    }
    if calibration:
        score = calibration.score.replace("_", " ")
        is_fitted = calibration.threshold is not None
        facts["Unknown frames"] = f"{score} below {calibration.threshold:.2f}" if is_fitted else "none"
        if calibration.stream_threshold is not None:
            facts["Unknown streams"] = f"mean probability below {_percent(calibration.stream_threshold)}"
        facts["Temperature"] = f"{calibration.temperature:.3f}"
    return facts


def _report_values(found: ReportFile) -> dict[str, Any]:
    report = found.report
    numbers = {label: value for key, label in _NUMBERS.items() if (value := getattr(report, key)) is not None}
    games = sorted(report.games, key=lambda game: (game.accuracy_by_frame is None, game.accuracy_by_frame, game.name))
    return {
        "report": report,
        "date": report.date and _date(report.date),
        "numbers": numbers,
        "games": games,
        "pairs": found.confusion.pairs,
        "matrix": _matrix(found.confusion) if len(found.confusion.classes) <= _MAX_CLASSES else None,
    }


def _matrix(confusion: Confusion) -> dict[str, Any]:
    """Return the names of the classes of which there are frames or answers, sorted, and for each its row of cells."""
    classes, counts = confusion.classes, confusion.counts
    used = (number for number, column in enumerate(zip(*counts, strict=True)) if any(column) or any(counts[number]))
    order = sorted(used, key=lambda number: classes[number].name.casefold())

    def cell(row: int, column: int) -> dict[str, Any] | None:
        if not (count := counts[row][column]):
            return None
        total = sum(counts[row])
        return {
            "is_right": row == column,
            "heat": f"{math.sqrt(count / total):.2f}",  # so that small shares can be seen
            "text": str(round(100 * count / total)) if 200 * count >= total else "<1",
            "title": f"{classes[row].name} taken for {classes[column].name}: {count} of {total}",
        }

    names = [classes[number].name for number in order]
    rows = [[cell(row, column) for column in order] for row in order]
    return {"names": names, "rows": list(zip(names, rows, strict=True))}


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{fraction:.1%}"


def _date(time: str) -> str:
    """Return a time of ISO 8601 in UTC without its seconds."""
    return f"{time[:16].replace('T', ' ')} UTC"
