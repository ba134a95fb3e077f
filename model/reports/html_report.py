"""HTML report: an image folder's evaluation as one self-contained page, with metrics.json and PNG files."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np

from data.video.images import encode_jpeg
from model.datasets import image_files
from model.evaluation.folder_evaluation import FolderEvaluation
from model.evaluation.metrics import MAX_ERRORS
from model.inference.location import METRICS
from model.reports import rendering
from model.reports.rendering import percent

REPORT = "report.html"
_EXAMPLE_SIZE, _QUALITY = 160, 85  # pixels; 8 KB a picture
_DPI = 120  # a figure of 8 inches fills the page's width


def write(
    folder: Path, evaluation: FolderEvaluation, threshold: float, metrics: dict[str, Any], draw: bool
) -> list[str]:
    """Create `folder`, write the report into it and return the names of what people read. Raises OSError.

    threshold: the model's; a frame with a lower score is unknown.
    metrics: the evaluation's, with `folder`, `model`, `date` and `sha256`; the content of metrics.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rendering.write_metrics(folder, metrics)
    _write_worst(folder, evaluation)
    pngs = _plots(evaluation, threshold) if draw else {}
    for name, png in pngs.items():
        (folder / f"{name}.png").write_bytes(png)
    page = rendering.render(
        "report.html",
        metrics=metrics,
        summary=summary_rows(metrics),
        games=game_rows(metrics),
        pngs={name: base64.b64encode(png).decode() for name, png in pngs.items()},
    )
    (folder / REPORT).write_text(page, encoding="utf-8")
    return [REPORT, METRICS, *(f"{name}.png" for name in pngs)]


def _write_worst(folder: Path, evaluation: FolderEvaluation) -> None:
    """Write the pictures of `worst` in metrics.json, numbered from 1 in that order."""
    names = [rendering.WORST.format(number) for number in range(1, MAX_ERRORS + 1)]
    for name in names:
        (folder / name).unlink(missing_ok=True)  # of another evaluation
    paths = [evaluation.images[index].path for index in evaluation.worst_errors]
    for name, image in zip(names, image_files.read_all(paths, _read_example), strict=False):
        if image is not None:
            (folder / name).write_bytes(encode_jpeg(image, _QUALITY))


def _read_example(path: Path) -> np.ndarray:
    return image_files.read_image(path, _EXAMPLE_SIZE)


def _plots(evaluation: FolderEvaluation, threshold: float) -> dict[str, bytes]:
    """Return the PNG of each section of report.html; a section without images is left out."""
    from model.reports import plots  # not at the top: matplotlib is in the extra `train` only

    scores, is_known = evaluation.predictions.scores, evaluation.is_known  # (n,), (n,)
    names = [game.name for game in evaluation.classes]
    on_known = evaluation.known_evaluation
    figures = {
        "games": plots.per_game_bars(evaluation.game_metrics()),
        "confusion": plots.confusion_matrix(on_known.confusion, names, "Frames of known games, %"),
        "reliability": plots.reliability_diagram(on_known),
        "unknown": plots.score_histogram(scores[is_known], scores[~is_known], threshold),
    }
    examples = {"worst": evaluation.worst_errors, "mistaken": evaluation.false_accepts(MAX_ERRORS)}
    for name, indices in examples.items():
        if indices:
            paths = [evaluation.images[index].path for index in indices]
            blank = np.zeros((_EXAMPLE_SIZE, _EXAMPLE_SIZE, 3), np.uint8)  # for a file that is gone by now
            read = image_files.read_all(paths, _read_example)
            images = [blank if image is None else image for image in read]
            figures[name] = plots.image_grid(images, [_caption(evaluation, index) for index in indices])
    return {name: plots.to_png(figure, _DPI) for name, figure in figures.items()}


def _caption(evaluation: FolderEvaluation, index: int) -> str:
    """Return two lines: the true game, and the verdict on the frame."""
    from model.reports import plots

    game = plots.truncate(evaluation.top_class(index).name, 22)
    answer = f"{game} {evaluation.probabilities[index].max():.0%}"
    verdict = answer if evaluation.predictions.known[index] else f"unknown ({answer})"
    return f"true: {plots.truncate(evaluation.images[index].game_name, 24)}\nmodel: {verdict}"


def summary_rows(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Return name and value of each metric of the whole folder."""
    unknown = metrics["unknown"]
    rows = [
        *rendering.metric_rows(metrics, metrics["frames"], metrics["streams"]),
        ("known frames called unknown", percent(unknown["known_called_unknown"])),
        ("known streams called unknown", percent(unknown["known_streams_called_unknown"])),
    ]
    if unknown["frames"]:
        rows += [
            ("other frames called unknown", f"{percent(unknown['others_called_unknown'])} of {unknown['frames']}"),
            ("other streams called unknown", percent(unknown["other_streams_called_unknown"])),
            ("known against other frames (AUROC)", f"{unknown['auroc_by_frame']:.3f}"),
        ]
    return rows


def game_rows(metrics: dict[str, Any]) -> list[list[str]]:
    """Return the table of the games, its header first."""
    rows = [["game", "frames", "streams", "frames right", "streams right", "called unknown"]]
    for game in metrics["games"]:
        name = game["name"] + ("" if game["known"] else " (not a class)")
        # A game that is not a class has no accuracy, and percent() makes a dash of that.
        fractions = (game.get("accuracy_by_frame"), game.get("accuracy_by_stream"), game["called_unknown"])
        rows.append([name, str(game["frames"]), str(game["streams"]), *map(percent, fractions)])
    return rows
