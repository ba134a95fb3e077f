"""COMMAND: convert the trained model to other formats, and compare each of them with Keras on real frames."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import cli
from data.commands import require_extra
from data.text import plural

if TYPE_CHECKING:
    import numpy as np

    from config import Settings
    from data.entities import Game
    from model.evaluation.image_folder import LabelledImage
    from model.terminal.progress import Progress

_EPILOG = """\
writes into MODEL_PATH: model.int8.onnx (ONNX Runtime, 8-bit integers; recognition uses it with INT8=true),
model.tflite (TensorFlow Lite, float32), and model.onnx if it is missing
settings: MODEL_PATH DOWNLOAD_PATH"""
_GRACE_S = math.inf  # after Ctrl-C: a conversion ends first
_LEAST_IMAGES = 2  # one for each of the two:
_CALIBRATION_FRAMES, _COMPARISON_FRAMES = 100, 300  # to find the activations' ranges, and to compare answers


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = cli.make_parser("model.export", "Convert the model to other formats and compare their answers.", _EPILOG)
    parser.add_argument(
        "--calibrate-on",
        type=Path,
        metavar="FOLDER",
        help="images to calibrate and compare on, in a folder for each game (default: DOWNLOAD_PATH's frames)",
    )
    return cli.run_command(parser.parse_args(argv), _export, grace_s=_GRACE_S)


def _export(args: argparse.Namespace, settings: Settings) -> int:
    from model.inference.classes import CLASSES_FILE, read_classes
    from model.inference.location import find_model
    from model.terminal.native_log import filtered_stderr, quiet_tensorflow
    from model.terminal.progress import make_progress

    require_extra("train", "Converting a model")
    source = find_model(settings.model_path)
    games = read_classes(source / CLASSES_FILE)
    images = _list_images(args.calibrate_on or settings.download_path / "frames", games)  # before TensorFlow's seconds
    show = args.verbose > 1
    quiet_tensorflow(show)
    with nullcontext() if show else filtered_stderr():
        from model.artifacts import conversion, model_files
    model = conversion.load(source / model_files.H5_FILE, len(games))
    progress = make_progress(args.quiet)
    ranges, compared = _pixels(images, model.input_shape[1], progress)
    files = _convert(model, games, (source, settings.model_path), ranges, progress)
    _print_comparisons(files, model.predict(compared, verbose=0), compared)
    return 0


def _convert(
    model: Any, games: Sequence[Game], folders: tuple[Path, Path], ranges: np.ndarray, progress: Progress
) -> tuple[Path, Path, Path]:
    """Write the files and return their paths.

    folders: that of model.h5, and MODEL_PATH, which they are written into.
    ranges: the images to calibrate on.
    """
    from data.errors import ModelError
    from model.artifacts import conversion, model_files
    from model.inference.classes import CLASSES_FILE, write_classes
    from model.inference.classifier import ONNX_FILE, Classifier

    source, folder = folders
    onnx, (int8, tflite) = folder / ONNX_FILE, (folder / name for name in model_files.EXPORTED_FILES)
    try:
        with progress("files", 3) as advance:
            folder.mkdir(parents=True, exist_ok=True)
            if not onnx.is_file():
                model_files.write_onnx(model, games, model_files.calibration_of(source / model_files.H5_FILE), onnx)
            if source != folder:
                write_classes(folder / CLASSES_FILE, games)
            Classifier.load(folder)  # whether it fits, before minutes of work
            advance(1)
            conversion.write_int8(onnx, int8, ranges)
            advance(1)
            conversion.write_tflite(model, tflite)
            advance(1)
    except OSError as error:
        raise ModelError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return onnx, int8, tflite


def _list_images(root: Path, games: Sequence[Game]) -> list[LabelledImage]:
    """Return some images of all games in `root`. Raises DatasetError: too few."""
    from data.errors import DatasetError
    from model.evaluation import image_folder

    advice = "Collect frames with python -m data.download, or name a folder of images with --calibrate-on."
    if not root.exists():
        raise DatasetError(f"{root} not found. {advice}")
    found = [image for image in image_folder.list_images(root, games, {}) if image.known_game]
    if len(found) < _LEAST_IMAGES:
        raise DatasetError(
            f"{root} has {plural(len(found), 'image')} of the model's games, but two are needed. {advice}"
        )
    return found[:: max(1, len(found) // (_CALIBRATION_FRAMES + _COMPARISON_FRAMES))]


def _pixels(found: Sequence[LabelledImage], img_size: int, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Return images for calibration and others for comparison, uint8 RGB (n, img_size, img_size, 3).

    Raises DatasetError: too few are readable.
    """
    import numpy as np

    from data.errors import DatasetError
    from model.evaluation import image_folder

    batches = [pixels for _, pixels in image_folder.iter_batches(found, img_size, progress)]
    images = np.concatenate(batches) if batches else np.empty((0, 0))
    if len(images) < _LEAST_IMAGES:
        raise DatasetError(f"{plural(len(images), 'image')} can be decoded, but two are needed. Add some.")
    # The list is sorted by game: every fourth image is for calibration, so that both parts have all games.
    is_calibration = np.arange(len(images)) % (1 + _COMPARISON_FRAMES // _CALIBRATION_FRAMES) == 0
    return images[is_calibration], images[~is_calibration]


def _print_comparisons(files: Sequence[Path], expected: np.ndarray, images: np.ndarray) -> None:
    from model.artifacts import conversion

    print(f"{'file':<18}{'MB':>6}{'different answers':>20}{'largest logit difference':>28}{'ms a frame':>12}")
    for file in files:
        comparison = conversion.compare_with_keras(expected, images, file)
        different, frames = comparison.different_answers, comparison.frames
        answers = f"{different} of {frames} ({different / frames:.1%})"
        size = file.stat().st_size / 1e6
        print(f"{file.name:<18}{size:>6.1f}{answers:>20}{comparison.max_logit_difference:>28.2g}{comparison.ms:>12.1f}")


if __name__ == "__main__":
    cli.end_process(main())
