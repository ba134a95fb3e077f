"""COMMAND: convert the trained model to other formats, and compare each of them with Keras on real frames."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data import cli

if TYPE_CHECKING:
    import numpy as np

    from config import Settings
    from data.entities import Game

_EPILOG = """\
writes into MODEL_PATH: model.int8.onnx (ONNX Runtime, 8-bit integers; recognition uses it with INT8=true),
model.tflite (TensorFlow Lite, float32), and model.onnx if it is missing
settings: MODEL_PATH DOWNLOAD_PATH"""
_CALIBRATION_FRAMES, _COMPARISON_FRAMES = 100, 300  # to find the activations' ranges, and to compare answers


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = cli.make_parser("model.export", "Convert the model to other formats and compare their answers.", _EPILOG)
    return cli.run_command(parser.parse_args(argv), _export)


def _export(args: argparse.Namespace, settings: Settings) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if args.verbose > 1 else "3")  # before TensorFlow is imported
    from data.errors import ModelError
    from model.artifacts import conversion, model_files
    from model.inference.classes import CLASSES_FILE, read_classes
    from model.inference.classifier import ONNX_FILE

    folder = settings.model_path
    h5, onnx = folder / model_files.H5_FILE, folder / ONNX_FILE
    model = conversion.load(h5)
    games = read_classes(folder / CLASSES_FILE)
    ranges, compared = _frames(settings.download_path / "frames", games, model.input_shape[1])
    expected = model.predict(compared, verbose=0)  # (n, classes)
    int8, tflite = (folder / name for name in model_files.EXPORTED_FILES)
    try:
        if not onnx.is_file():
            model_files.write_onnx(model, games, model_files.calibration_of(h5), onnx)
        conversion.write_int8(onnx, int8, ranges)
        conversion.write_tflite(model, tflite)
    except OSError as error:
        raise ModelError(f"{folder} cannot be written: {error.strerror or error}.") from error
    _print_comparisons([onnx, int8, tflite], expected, compared)
    return 0


def _frames(root: Path, games: Sequence[Game], img_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return frames of all games for calibration and others for comparison, uint8 RGB (n, img_size, img_size, 3).

    Raises DatasetError: too few frames.
    """
    import numpy as np

    from data.errors import DatasetError
    from model.evaluation import image_folder

    found = [image for image in image_folder.list_images(root, games, {}) if image.known_game]
    some = found[:: max(1, len(found) // (_CALIBRATION_FRAMES + _COMPARISON_FRAMES))]
    batches = [pixels for _, pixels in image_folder.iter_batches(some, img_size)]
    images = np.concatenate(batches) if batches else np.empty((0, 0))
    if len(images) < 2:
        raise DatasetError(
            f"{root} has {len(images)} readable frames, but two are needed. Collect some with python -m data.download."
        )
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
    sys.exit(main())
