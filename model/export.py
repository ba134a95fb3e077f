"""python -m model.export: the trained model in other forms, from model.h5, each compared with Keras on real frames."""

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
writes into MODEL_PATH: model.int8.onnx (ONNX Runtime, 8-bit integers; recognition takes it with INT8=true),
model.tflite (TensorFlow Lite, float32), and model.onnx where it is missing
settings: MODEL_PATH DOWNLOAD_PATH"""
_RANGES, _COMPARED = 100, 300  # frames that show the activations' ranges, and frames to compare answers on


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = cli.parser("model.export", "Write the model in other forms, and compare their answers.", _EPILOG)
    return cli.run(parser.parse_args(argv), _export)


def _export(args: argparse.Namespace, settings: Settings) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if args.verbose > 1 else "3")
    from data.errors import ModelError
    from model.artifacts import conversion, model_files
    from model.inference import classes, classifier

    folder = settings.model_path
    model = conversion.load(folder / model_files.H5)
    games = classes.read(folder / classes.FILE)
    ranges, compared = _frames(settings.download_path / "frames", games, model.input_shape[1])
    expected = model.predict(compared, verbose=0)
    int8, tflite = (folder / name for name in model_files.DERIVED)
    try:
        if not (folder / classifier.FILE).is_file():
            model_files.write_onnx(
                model, games, model_files.calibration_of(folder / model_files.H5), folder / classifier.FILE
            )
        conversion.write_int8(folder / classifier.FILE, int8, ranges)
        conversion.write_tflite(model, tflite)
    except OSError as error:
        raise ModelError(f"{folder} cannot be written: {error.strerror or error}") from error
    _print([folder / classifier.FILE, int8, tflite], expected, compared)
    return 0


def _frames(root: Path, games: Sequence[Game], img_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames of all games for either purpose, none for both: uint8 (n, img_size, img_size, 3) RGB.

    Raises DatasetError: there are too few.
    """
    import numpy as np

    from data.errors import DatasetError
    from model.evaluation import image_folder

    found = [picture for picture in image_folder.pictures(root, games, {}) if picture.known]
    some = found[:: max(1, len(found) // (_RANGES + _COMPARED))]
    pixels = [batch for _, batch in image_folder.batches(some, img_size)]
    images = np.concatenate(pixels) if pixels else np.empty((0, 0))
    if len(images) < 2:
        raise DatasetError(f"{root} holds {len(images)} frames that can be read: it takes two at least.")
    every = 1 + _COMPARED // _RANGES
    first = np.arange(len(images)) % every == 0
    return images[first], images[~first]


def _print(forms: Sequence[Path], expected: np.ndarray, images: np.ndarray) -> None:
    from model.artifacts import conversion

    print(f"{'file':<18}{'MB':>6}{'other answers than Keras':>28}{'largest logit difference':>28}{'ms a frame':>12}")
    for form in forms:
        found = conversion.compared(expected, images, form)
        share = f"{found.differ} of {found.frames} ({found.differ / found.frames:.1%})"
        size = form.stat().st_size / 1e6
        print(f"{form.name:<18}{size:>6.1f}{share:>28}{found.largest:>28.2g}{found.ms:>12.1f}")


if __name__ == "__main__":
    sys.exit(main())
