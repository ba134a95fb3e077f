"""COMMAND: train a model on the dataset's frames and write it with its results.

The folder → two sides, split by streamer → a network → epochs until it stops getting better → model.h5,
model.onnx, classes.txt and results/ in MODEL_PATH.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from data import command
from data.entities import Game, StoredFrame
from data.errors import DatasetError

if TYPE_CHECKING:
    from config import Settings
    from data.folder import Folder
    from model.calibration import Calibration
    from model.evaluation import Evaluation
    from model.images import Images
    from model.split import Sides
    from model.training import Trainer, Training

_EPILOG = """settings: DOWNLOAD_PATH MODEL_PATH ARCHITECTURE INITIAL_WEIGHTS FINE_TUNE EPOCHS PATIENCE
LEARNING_RATE DROPOUT VALIDATION_SPLIT BATCH_SIZE IMG_SIZE REFIT SEED VISUALIZE_RESULTS ... (config.py explains each)"""
_NUMBERS_DEPEND_ON = (
    "architecture", "initial_weights", "fine_tune", "img_size", "epochs", "patience", "learning_rate", "dropout",
    "validation_split", "batch_size", "shuffle_buffer", "prefetch_buffer", "mixed_precision", "refit", "seed",
    "unknown_share", "unknown_score",
)  # fmt: skip
_VERIFIED_FRAMES = 32


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = command.parser("model.create", "Train the model on the frames in DOWNLOAD_PATH.", _EPILOG)
    parser.add_argument("--epochs", type=_positive, help="passes over the training set at most (EPOCHS)")
    parser.add_argument("--architecture", choices=("cnn", "mobilenet_v2"), help="the network (ARCHITECTURE)")
    return command.run(parser.parse_args(argv), _create)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _create(args: argparse.Namespace, settings: Settings) -> int:
    """The training run."""
    from data.folder import Folder

    started = time.monotonic()
    chosen = {name: value for name in ("epochs", "architecture") if (value := getattr(args, name)) is not None}
    settings = settings.model_copy(update=chosen)
    tell = _silent if args.quiet else partial(print, file=sys.stderr, flush=True)

    folder = Folder(settings.download_path / "frames")
    frames, classes = _dataset(folder)
    _load_tensorflow(settings, show=args.verbose > 1)
    from model import files, judging, report

    sides = _sides(folder, frames, classes, settings, tell)
    model = _network(settings, len(classes))
    files.prepare(settings.model_path, model.count_params())
    learning, validation = (_images(folder, side, classes, settings) for side in (sides.training, sides.validation))
    trainer = _trainer(model, learning, validation, settings, tell)
    training = trainer.train()
    share, score = settings.unknown_share, settings.unknown_score
    heard = judging.said(model, learning, validation)
    calibration, judged = judging.judged(heard, sides.validation, classes, share=share, score=score)
    if settings.refit:
        tell("once more, on all frames:")
        trainer.refit(training.best_epoch)
    figures = report.metrics(
        settings.model_dump(mode="json", include=set(_NUMBERS_DEPEND_ON)),
        classes=classes,
        sides=sides,
        training=training,
        evaluation=judged,
        calibration=calibration,
        seconds=time.monotonic() - started,
    )
    _save(model, validation, judging.completed(calibration, model, learning), figures, settings)
    _print_result(settings, training, judged, calibration.temperature)
    return 0


def _silent(_line: str) -> None:
    """What `tell` is with -q."""


def _dataset(folder: Folder) -> tuple[list[StoredFrame], tuple[Game, ...]]:
    """All frames, and their games sorted by id: a game's place there is its label and the model's output."""
    frames = list(folder.frames()) if folder.root.is_dir() else []
    names = folder.names()
    ids = sorted({frame.game_id for frame in frames})
    classes = tuple(Game(game_id, names.get(game_id, f"game {game_id}")) for game_id in ids)
    if not classes:
        raise DatasetError(f"There are no frames in {folder.root}: python -m data.download collects some.")
    if len(classes) == 1:
        raise DatasetError(
            f"{classes[0].name} is the only game in {folder.root}; telling games apart takes two: "
            "python -m data.download with MAX_GAMES of 2 or more collects more."
        )
    return frames, classes


def _load_tensorflow(settings: Settings, show: bool) -> None:
    """Import TensorFlow, silently unless `show`; set seeds, GPU memory that grows as needed, and precision."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if show else "3")
    with contextlib.nullcontext() if show else _no_stderr():
        import tensorflow as tf
    import keras

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if gpus and settings.mixed_precision:
        keras.config.set_dtype_policy("mixed_float16")
    keras.utils.set_random_seed(settings.seed)


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """Nothing reaches file descriptor 2: TensorFlow's C++ greets there before its log level is read."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _sides(
    folder: Folder,
    frames: list[StoredFrame],
    classes: Sequence[Game],
    settings: Settings,
    tell: Callable[[str], None],
) -> Sides:
    """The readable frames, split by streamer."""
    from model import images
    from model.split import split

    sides = split(images.readable(folder.root, frames), classes, settings.validation_split, settings.seed)
    tell(f"{len(classes)} games; training: {_count(sides.training)}; validation: {_count(sides.validation)}")
    return sides


def _count(frames: Sequence[StoredFrame]) -> str:
    return f"{len(frames)} frames of {len({frame.login for frame in frames})} streamers"


def _network(settings: Settings, classes: int) -> Any:
    from model import network

    return network.build(
        settings.architecture,
        settings.img_size,
        classes,
        dropout=settings.dropout,
        initial_weights=settings.initial_weights,
        fine_tune=settings.fine_tune,
        learning_rate=settings.learning_rate,
    )


def _images(folder: Folder, frames: Sequence[StoredFrame], classes: Sequence[Game], settings: Settings) -> Images:
    from model.images import Images

    return Images(
        folder.root,
        frames,
        classes,
        settings.img_size,
        batch_size=settings.batch_size,
        shuffle_buffer=settings.shuffle_buffer,
        prefetch_buffer=settings.prefetch_buffer,
    )


def _trainer(
    model: Any, learning: Images, validation: Images, settings: Settings, tell: Callable[[str], None]
) -> Trainer:
    from model.training import Plan, Trainer

    plan = Plan(settings.epochs, settings.patience, settings.learning_rate, settings.seed)
    bar = tell is not _silent and sys.stderr.isatty()
    return Trainer(model, learning, validation, plan, tell=tell, bar=bar)


def _save(
    model: Any, validation: Images, calibration: Calibration, figures: dict[str, Any], settings: Settings
) -> None:
    """Write all files in place of the old ones, once they have proved equal. `figures`: for metrics.json."""
    from model import card, files, network, report

    final = network.in_float32(model)
    with files.replacing(settings.model_path) as new:
        files.write(final, validation.classes, new, calibration)
        files.verify(final, new, validation.first(_VERIFIED_FRAMES))
        report.write(new / files.RESULTS, figures, settings.visualize_results)
        card.write(new, figures, files.MODEL)


def _print_result(settings: Settings, training: Training, judged: Evaluation, temperature: float) -> None:
    print(
        f"Validation: {judged.by_frame:.1%} of {judged.frames} frames right, "
        f"{judged.by_stream:.1%} of {judged.streams} streams, by streamers not trained on."
    )
    loss = training.history["val_loss"]
    print(f"Epoch {training.best_epoch} of {len(loss)} was best, validation loss {loss[training.best_epoch - 1]:.4f}.")
    print(f"There a confidence is off by {judged.ece:.1%} on average, at a temperature of {temperature:.2f}.")
    if settings.refit:
        print(f"The saved model was trained anew for {training.best_epoch} epochs on all frames, those included.")
    print(f"{settings.model_path}: model.h5, model.onnx, classes.txt, model_card.md, results/")


if __name__ == "__main__":
    sys.exit(main())
