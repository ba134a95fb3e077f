"""A trial's report: metrics.json, pictures as PNG, and report.html, one page that holds all of them."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.video.decoder import fitted
from model.evaluation.folder_evaluation import Trial
from model.reports import plots, training_report

PAGE, METRICS = "report.html", "metrics.json"
_SHOWN = 18
_SHEET_SIZE = 160
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1d2530}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #dfe3e8}
td:first-child,th:first-child{text-align:left}img{max-width:100%;height:auto}h2{margin-top:2.2rem}small{color:#667}"""


def write(folder: Path, trial: Trial, threshold: float, figures: dict[str, Any], draw: bool) -> list[str]:
    """Write the files into `folder`, which is made; the names of those written. Raises OSError.

    `threshold`: of the model's unknown score. `figures`: the trial's, and whatever else metrics.json shall hold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
    (folder / METRICS).write_text(text, encoding="utf-8")
    pictures = _drawn(trial, threshold) if draw else {}
    for name, png in pictures.items():
        (folder / f"{name}.png").write_bytes(png)
    (folder / PAGE).write_text(_html(figures, pictures), encoding="utf-8")
    return [PAGE, METRICS, *(f"{name}.png" for name in pictures)]


def _drawn(trial: Trial, threshold: float) -> dict[str, bytes]:
    scores, familiar = trial.judged.scores, trial.familiar
    names = [game.name for game in trial.classes]
    figures = {
        "games": plots.games(trial.games()),
        "confusion": training_report.confusion(trial.evaluation.confusion, names, "Frames of known games, %"),
        "reliability": plots.reliability(trial.evaluation),
        "unknown": plots.unknown(scores[familiar], scores[~familiar], threshold),
    }
    for name, numbers in (("worst", trial.worst(_SHOWN)), ("mistaken", trial.mistaken(_SHOWN))):
        if numbers:
            images = [fitted(trial.pictures[number].path.read_bytes(), _SHEET_SIZE) for number in numbers]
            figures[name] = plots.sheet(images, [_caption(trial, number) for number in numbers])
    return {name: plots.png(figure) for name, figure in figures.items()}


def _caption(trial: Trial, number: int) -> str:
    said = f"{plots.short(trial.answer(number).name, 22)} {trial.confidence[number]:.0%}"
    verdict = said if trial.judged.known[number] else f"unknown ({said})"
    return f"is {plots.short(trial.pictures[number].game, 24)}\nsaid {verdict}"


_SECTIONS = {
    "games": ("By game", ""),
    "confusion": ("Confusion", "A row is a true game, a column what it was recognised as."),
    "reliability": ("Calibration", "A printed confidence should be how often the model is right."),
    "unknown": ("What it does not know", "Frames left of the line are called unknown."),
    "worst": ("The worst frames", "Frames of known games that were taken for another one, the most certain first."),
    "mistaken": ("Strangers that passed", "Frames of other games that were not called unknown, the likest first."),
}


def _html(figures: dict[str, Any], pictures: dict[str, bytes]) -> str:
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Evaluation</title><style>{_STYLE}</style>",
        f"<h1>Evaluation</h1><p>{html.escape(figures['folder'])}, by {html.escape(figures['model'])}",
        f"<br><small>{figures['date']}, sha256 {figures['sha256']}</small>",
        _table([("", ""), *summary(figures)]),
        _table(rows(figures)),
    ]
    for name, png in pictures.items():
        title, words = _SECTIONS[name]
        image = base64.b64encode(png).decode()
        parts.append(f"<h2>{title}</h2><p>{words}<p><img alt='{title}' src='data:image/png;base64,{image}'>")
    return "\n".join(parts) + "\n"


def _table(lines: Sequence[Sequence[str]]) -> str:
    head, *body = ["<td>" + "<td>".join(html.escape(cell) for cell in line) for line in lines]
    return f"<table><tr>{head.replace('<td>', '<th>')}" + "".join(f"<tr>{line}" for line in body) + "</table>"


def summary(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of the whole, a name and a value each."""
    unknown = figures["unknown"]
    lines = [
        ("frames right", f"{figures['accuracy_by_frame']:.1%} of {figures['frames']}"),
        ("… among the first three", f"{figures['top3_by_frame']:.1%}"),
        ("streams right", f"{figures['accuracy_by_stream']:.1%} of {figures['streams']}"),
        ("a confidence is off by (ECE)", f"{figures['ece']:.1%}"),
        ("negative log-likelihood", f"{figures['nll']:.3f}"),
        ("known frames called unknown", f"{unknown['known_called_unknown']:.1%}"),
        ("known streams called unknown", f"{unknown['known_streams_called_unknown']:.1%}"),
    ]
    if unknown["frames"]:
        lines += [
            ("other frames called unknown", f"{unknown['others_called_unknown']:.1%} of {unknown['frames']}"),
            ("other streams called unknown", f"{unknown['other_streams_called_unknown']:.1%}"),
        ]
    if unknown["auroc_by_frame"] is not None:
        lines.append(("known against other frames (AUROC)", f"{unknown['auroc_by_frame']:.3f}"))
    return lines


def rows(figures: dict[str, Any]) -> list[list[str]]:
    """The games' table, its head first."""
    head = ["game", "frames", "streams", "frames right", "streams right", "called unknown"]
    return [head, *(_row(game) for game in figures["games"])]


def _row(game: dict[str, Any]) -> list[str]:
    right = [f"{game[key]:.1%}" if game["known"] else "—" for key in ("accuracy_by_frame", "accuracy_by_stream")]
    name = game["name"] if game["known"] else f"{game['name']} (not a class)"
    return [name, str(game["frames"]), str(game["streams"]), *right, f"{game['called_unknown']:.1%}"]
