"""COMMAND: convert the trained model to other formats, and compare each of them with Keras on real frames."""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from data import cli
from data.commands import require_extra
from data.text import plural

if TYPE_CHECKING:
    import numpy as np

    from config import Settings
    from data.entities import Game
    from model.artifacts.comparison import Comparison
    from model.evaluation.image_folder import LabelledImage
    from model.inference.calibration import Calibration
    from model.terminal.progress import Progress

_EPILOG = """\
writes into MODEL_PATH: model.int8.onnx (ONNX Runtime, 8-bit integers; INT8 says what uses it), model.tflite
(TensorFlow Lite, float32), and model.onnx if it is missing. model.int8.onnx is refused if it answers more than 0.5 %
of the frames that are known and certain, or any known stream, otherwise than the model does.
settings: MODEL_PATH DOWNLOAD_PATH"""
_GRACE_S = math.inf  # after Ctrl-C: a conversion ends first
_LEAST_IMAGES = 2  # one to calibrate on, one to compare
_MAX_IMAGES = 600  # about a minute's work
_LEAST_OF_STREAM, _MOST_OF_STREAM = 4, 16  # images: few enough for many streams, enough to recognise each stream
_CALIBRATION = 4  # every fourth image shows the activations' ranges, the others are compared


@dataclass(frozen=True, slots=True, eq=False)
class _Samples:
    """Images, uint8 RGB (n, img_size, img_size, 3)."""

    ranges: np.ndarray  # to calibrate on
    compared: np.ndarray
    streams: Sequence[str]  # of the compared ones


@dataclass(frozen=True, slots=True)
class _Converted:
    """A file of the model and how its answers compare with Keras."""

    file: Path
    comparison: Comparison
    ms: float  # median time for one frame on one core


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
    from data.factories import local_frames, make_frame_store
    from model.inference.classes import CLASSES_FILE, read_classes
    from model.inference.location import find_model
    from model.terminal.native_log import importing_tensorflow
    from model.terminal.progress import make_progress

    require_extra("train", "Converting a model")
    source = find_model(settings.model_path)
    games = read_classes(source / CLASSES_FILE)
    progress = make_progress(args.quiet)
    root = args.calibrate_on or local_frames(settings, make_frame_store(settings), progress).root
    images = _list_images(root, games)  # before TensorFlow's seconds
    with importing_tensorflow(args.verbose > 1):
        from model.artifacts import conversion, model_files
    model = conversion.load(source / model_files.H5_FILE, len(games))
    samples = _read_samples(images, model.input_shape[1], progress)
    _convert(model, games, (source, settings.model_path), samples, progress)
    return 0


def _convert(
    model: Any, games: Sequence[Game], folders: tuple[Path, Path], samples: _Samples, progress: Progress
) -> None:
    """Write the files and print how they compare. Raises ModelError: model.int8.onnx is refused, the others are kept.

    folders: that of model.h5, and MODEL_PATH, which the files are written into.
    """
    from data.errors import ModelError
    from model.artifacts import model_files
    from model.inference.classes import CLASSES_FILE, write_classes
    from model.inference.classifier import ONNX_FILE, Classifier

    source, folder = folders
    calibration = model_files.calibration_of(source / model_files.H5_FILE)
    onnx = folder / ONNX_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not onnx.is_file():
            model_files.write_onnx(model, games, calibration, onnx)
        if source != folder:
            write_classes(folder / CLASSES_FILE, games)
        Classifier.load(folder)  # raises ModelError before a minute's work
        with TemporaryDirectory() as staging:
            write_classes(Path(staging) / CLASSES_FILE, games)
            converted = _convert_into(Path(staging), model, calibration, onnx, samples, progress=progress)
            _print_comparisons(converted)
            _float32, int8, tflite = converted
            _install(tflite.file, folder)
            int8.comparison.require_alike(int8.file.name)
            _install(int8.file, folder)
    except OSError as error:
        raise ModelError(f"{folder} cannot be written: {error.strerror or error}.") from error


def _install(file: Path, folder: Path) -> None:
    from data.atomic import atomic_file

    with atomic_file(folder / file.name) as temporary:
        temporary.write_bytes(file.read_bytes())


def _convert_into(
    folder: Path, model: Any, calibration: Calibration, onnx: Path, samples: _Samples, *, progress: Progress
) -> list[_Converted]:
    """Write the exported files into `folder`; compare model.onnx, the 8-bit one and TensorFlow Lite's with Keras."""
    import numpy as np

    from model.artifacts import comparison, conversion, model_files, quantization
    from model.inference.classifier import Classifier

    int8, tflite = (folder / name for name in model_files.EXPORTED_FILES)
    with progress("steps", 4) as advance:
        keras = calibration.score(*model_files.predict(model, samples.compared))
        advance(1)
        quantization.write_int8(onnx, int8, samples.ranges)
        advance(1)
        conversion.write_tflite(model, tflite)
        advance(1)
        float32, small = (Classifier.load(file.parent, 1, file.name) for file in (onnx, int8))
        predictors = float32.predict, small.predict, conversion.open_tflite(tflite, calibration)
        predicted = comparison.predict_in_turn(predictors, samples.compared)
        advance(1)
    converted = []
    for file, (scored, ms) in zip((onnx, int8, tflite), predicted, strict=True):
        # TensorFlow Lite's file has no features to tell unknown frames by.
        expected = replace(keras, known=np.ones_like(keras.known)) if file == tflite else keras
        converted.append(_Converted(file, comparison.compare(calibration, expected, scored, samples.streams), ms))
    return converted


def _list_images(root: Path, games: Sequence[Game]) -> list[LabelledImage]:
    """Return some images of many streams of all games in `root`. Raises DatasetError: too few."""
    from data.errors import DatasetError
    from model.evaluation import image_folder

    advice = "Collect frames with python -m data.download, or name a folder of images with --calibrate-on."
    if not root.exists():
        raise DatasetError(f"{root} not found. {advice}")
    streams: defaultdict[tuple[str, str], list[LabelledImage]] = defaultdict(list)
    for image in image_folder.list_images(root, games, {}):
        if image.known_game:
            streams[image.game_name, image.stream].append(image)
    found = sum(map(len, streams.values()))
    if found < _LEAST_IMAGES:
        raise DatasetError(f"{root} has {plural(found, 'image')} of the model's games, but two are needed. {advice}")
    chosen = _evenly(list(streams.values()), _MAX_IMAGES // _LEAST_OF_STREAM)
    of_stream = min(_MOST_OF_STREAM, max(_LEAST_OF_STREAM, _MAX_IMAGES // len(chosen)))
    return list(chain.from_iterable(_evenly(images, of_stream) for images in chosen))


def _evenly(items: Sequence[Any], most: int) -> list[Any]:
    """Return at most `most` items, evenly spread."""
    count = min(most, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def _read_samples(found: Sequence[LabelledImage], img_size: int, progress: Progress) -> _Samples:
    """Return images for calibration, half of them with overlays, and others for comparison.

    Raises DatasetError: too few are readable.
    """
    import numpy as np

    from data.errors import DatasetError
    from model.augmentation.pipeline import Augmentation, augment_batch
    from model.evaluation import image_folder

    batches = list(image_folder.iter_batches(found, img_size, progress))
    readable = [image for images, _ in batches for image in images]
    if len(readable) < _LEAST_IMAGES:
        raise DatasetError(f"{plural(len(readable), 'image')} can be decoded, but two are needed. Add some.")
    pixels = np.concatenate([pixels for _, pixels in batches])  # (n, img_size, img_size, 3)
    is_calibration = np.arange(len(readable)) % _CALIBRATION == 0
    ranges, overlays = pixels[is_calibration], Augmentation(color=0.5, webcam=0.5, chat=0.5, alert=0.5, banner=0.5)
    ranges[::2] = augment_batch(ranges[::2], np.arange(len(ranges[::2])), overlays)
    streams = [f"{image.game_name}/{image.stream}" for image in readable]
    return _Samples(
        ranges,
        pixels[~is_calibration],
        [name for name, skipped in zip(streams, is_calibration, strict=True) if not skipped],
    )


def _print_comparisons(converted: Sequence[_Converted]) -> None:
    """Print a line for each file: its size, frames and streams that it answers otherwise than Keras, and its speed."""
    print(f"{'file':<18}{'MB':>6}{'different frames':>20}{'streams':>12}{'largest difference':>20}{'ms a frame':>12}")
    for one in converted:
        found = one.comparison
        frames = f"{found.different_frames} of {found.frames} ({found.different_frames / found.frames:.1%})"
        streams = f"{found.different_streams} of {found.streams}"
        size = one.file.stat().st_size / 1e6
        difference = found.max_logit_difference
        print(f"{one.file.name:<18}{size:>6.1f}{frames:>20}{streams:>12}{difference:>20.2g}{one.ms:>12.1f}")


if __name__ == "__main__":
    cli.end_process(main())
