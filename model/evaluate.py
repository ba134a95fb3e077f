"""python -m model.evaluate [FOLDER]: how good the model is on pictures of a folder, one folder a game."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import cli

if TYPE_CHECKING:
    from config import Settings

_EPILOG = """\
FOLDER holds a folder for each game, named by its id or its name as in classes.txt, with pictures in it:
JPEG, PNG or WebP, <stream>-<n>.jpg. Folders of other names count as games that the model does not know.
settings: DOWNLOAD_PATH MODEL_PATH INT8 VISUALIZE_RESULTS"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = cli.parser("model.evaluate", "Judge the model by pictures whose games are known.", _EPILOG)
    parser.add_argument("folder", nargs="?", type=Path, help="folder of pictures (DOWNLOAD_PATH's frames)")
    parser.add_argument("--out", type=Path, help="folder for the report (MODEL_PATH's results/evaluation)")
    return cli.run(parser.parse_args(argv), _evaluate)


def _evaluate(args: argparse.Namespace, settings: Settings) -> int:
    from data.errors import ModelError
    from data.storage.frame_folder import Folder
    from model.evaluation import folder_evaluation, image_folder
    from model.inference.classifier import Classifier, file_of
    from model.reports import html_report

    file = file_of(settings.model_path, settings.int8)
    classifier = Classifier.load(settings.model_path, file=file)
    root: Path = args.folder or settings.download_path / "frames"
    pictures = image_folder.pictures(root, classifier.classes, Folder(root).names())
    done = folder_evaluation.run(classifier, pictures)
    figures = _about(root, settings.model_path / file) | done.figures()
    out: Path = args.out or settings.model_path / "results" / "evaluation"
    try:
        written = html_report.write(out, done, classifier.calibration.threshold, figures, settings.visualize_results)
    except OSError as error:
        raise ModelError(f"{out} cannot be written: {error.strerror}") from error
    _print(html_report.rows(figures), html_report.summary(figures))
    print(f"{out}: {', '.join(written)}")
    return 0


def _about(root: Path, model: Path) -> dict[str, Any]:
    """What was judged, by which file, and when."""
    from model.reports.model_card import sha256

    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "folder": str(root),
        "model": str(model),
        "sha256": sha256(model),
    }


def _print(games: Sequence[Sequence[str]], summary: Sequence[Sequence[str]]) -> None:
    for lines in (games, summary):
        widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
        for first, *others in lines:
            cells = [f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True)]
            print("  ".join([f"{first:<{widths[0]}}", *cells]))
        print()


if __name__ == "__main__":
    sys.exit(main())
