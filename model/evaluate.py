"""COMMAND: evaluate the model on a folder of labelled images, one subfolder per game."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from data import cli
from data.commands import install_command, missing_libraries

if TYPE_CHECKING:
    from config import Settings

_EPILOG = """\
FOLDER holds a folder for each game, named by its id or by its name as in classes.txt, with images in it:
JPEG, PNG or WebP, <stream>-<n>.jpg. Folders with other names count as games that the model does not know.
settings: DOWNLOAD_PATH MODEL_PATH INT8 VISUALIZE_RESULTS"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = cli.make_parser("model.evaluate", "Evaluate the model on images whose games are known.", _EPILOG)
    parser.add_argument("folder", nargs="?", type=Path, help="folder of images (default: DOWNLOAD_PATH's frames)")
    parser.add_argument("--out", type=Path, help="folder for the report (default: MODEL_PATH's results/evaluation)")
    return cli.run_command(parser.parse_args(argv), _evaluate)


def _evaluate(args: argparse.Namespace, settings: Settings) -> int:
    from data.errors import ModelError
    from data.factories import local_frames, make_frame_store
    from data.storage.frame_folder import FrameFolder
    from data.text import printable
    from model.evaluation import folder_evaluation, image_folder
    from model.inference.classifier import Classifier, model_file
    from model.inference.location import find_model
    from model.reports import html_report, model_card, tables
    from model.terminal.progress import make_progress

    found = find_model(settings.model_path)
    model = found / model_file(found, settings.int8 == "true")
    classifier = Classifier.load(found, file=model.name)
    progress = make_progress(args.quiet)
    store = FrameFolder(args.folder) if args.folder else make_frame_store(settings)
    folder = local_frames(settings, store, progress)
    images = image_folder.list_images(folder.root, classifier.classes, folder.game_names())
    evaluation = folder_evaluation.evaluate_folder(classifier, images, progress)
    # The first four keys tell which model and images a report is of, and when it was made.
    metrics = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "folder": printable(store.location),  # its name need not be UTF-8
        "model": printable(str(model)),
        "sha256": model_card.sha256(model),
    } | evaluation.metrics()
    out: Path = args.out or settings.model_path / "results" / "evaluation"
    threshold = classifier.calibration.threshold
    try:
        written = html_report.write(out, evaluation, threshold, metrics, settings.visualize_results and _can_draw())
    except OSError as error:
        raise ModelError(f"{out} cannot be written: {error.strerror}. Choose another folder with --out.") from error
    for rows in (html_report.game_rows(metrics), html_report.summary_rows(metrics)):
        print(tables.render_table(rows))
    print(f"{printable(str(out))}: {', '.join(written)}")
    return 0


def _can_draw() -> bool:
    """Return whether matplotlib is installed; log what to install if not."""
    if missing := "matplotlib" in missing_libraries("train"):
        cli.log.warning("The report has no plots, which need matplotlib. Install: %s", install_command("train"))
    return not missing


if __name__ == "__main__":
    cli.end_process(main())
