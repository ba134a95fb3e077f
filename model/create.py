"""COMMAND: train a model on the dataset's frames and write it with its results.

The folder → two sides, split by streamer → a network → epochs until it stops getting better → model.h5,
model.onnx, classes.txt and results/ in MODEL_PATH.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from data import cli
from data.entities import Game, StoredFrame
from data.errors import DatasetError

if TYPE_CHECKING:
    from config import Settings
    from data.storage.frame_folder import Folder
    from model.datasets.image_dataset import Images
    from model.datasets.split import Sides
    from model.evaluation.metrics import Evaluation
    from model.inference.calibration import Calibration
    from model.training.experiment import Outcome
    from model.training.factories import Workshop
    from model.training.hardware import Hardware

_EPILOG = """settings: DOWNLOAD_PATH MODEL_PATH ARCHITECTURE INITIAL_WEIGHTS FINE_TUNE EPOCHS FINE_TUNE_EPOCHS PATIENCE
TIME_LIMIT_MIN LEARNING_RATE BALANCE AUGMENT VALIDATION_SPLIT BATCH_SIZE IMG_SIZE REFIT ... (config.py explains each)"""
_ARCHITECTURES = ("cnn", "mobilenet_v2", "efficientnet_v2_b0")
_NUMBERS_DEPEND_ON = (
    "architecture", "initial_weights", "fine_tune", "img_size", "epochs", "fine_tune_epochs", "patience",
    "time_limit_min", "learning_rate", "fine_tune_learning_rate", "schedule", "warmup", "dropout",
    "label_smoothing", "weight_decay", "balance", "class_weights", "validation_split", "validation_streamers",
    "batch_size", "augment", "augment_views", "augment_screens", "augment_scene", "augment_crop", "augment_color",
    "augment_webcam", "augment_chat", "augment_alert", "augment_banner", "augment_blur", "augment_jpeg",
    "mixed_precision", "xla", "refit", "seed", "unknown_share", "unknown_score",
)  # fmt: skip
_VERIFIED_FRAMES = 32


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = cli.parser("model.create", "Train the model on the frames in DOWNLOAD_PATH.", _EPILOG)
    parser.add_argument("--epochs", type=_positive, help="passes over the training set at most (EPOCHS)")
    parser.add_argument("--architecture", choices=_ARCHITECTURES, help="the network (ARCHITECTURE)")
    parser.add_argument("--folds", type=_several, default=0, help="cross-validation: validate on each streamer once")
    parser.add_argument("--resume", action="store_true", help="go on with a training that was interrupted")
    return cli.run(parser.parse_args(argv), _create)


def _positive(text: str, least: int = 1) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"{number} is less than {least}")
    return number


def _several(text: str) -> int:
    return _positive(text, least=2)


def _create(args: argparse.Namespace, settings: Settings) -> int:
    """The training run."""
    from data.storage.frame_folder import Folder

    started = time.monotonic()
    chosen = {name: value for name in ("epochs", "architecture") if (value := getattr(args, name)) is not None}
    settings = settings.model_copy(update=chosen)
    folder = Folder(settings.download_path / "frames")
    frames, classes = _dataset(folder)
    machine = _machine(settings, show=args.verbose > 1)
    tell = _silent if args.quiet or not machine.chief else partial(print, file=sys.stderr, flush=True)
    from model.datasets import image_dataset
    from model.training import experiment

    frames = image_dataset.readable(folder.root, frames)
    parts = _parts(frames, classes, args.folds, settings, tell)
    model, shop = _shop(settings, image_dataset.Images(folder.root, frames, classes, settings.img_size), machine, tell)
    _begin(shop, args, tell)
    if args.folds:
        came_out = experiment.crossed(shop, model, parts)
    else:
        came_out = experiment.held_out(shop, model, parts[0], settings.refit)
    if machine.chief:
        _finish(came_out, shop, settings, started)
    return 0


def _machine(settings: Settings, show: bool) -> Hardware:
    from model.training import hardware

    precision, gpus = settings.mixed_precision, settings.all_gpus
    return hardware.load(settings.seed, mixed_precision=precision, all_gpus=gpus, show=show)


def _parts(
    frames: Sequence[StoredFrame], classes: Sequence[Game], count: int, settings: Settings, tell: Callable[[str], None]
) -> list[Sides]:
    """The frames split by streamer, once or in folds."""
    from model.datasets import split

    if count:
        tell(f"{len(classes)} games; {count} folds of {_count(frames)}")
        return split.folds(frames, classes, count, settings.seed)
    if settings.validation_streamers:
        sides = split.named(frames, classes, settings.validation_streamers)
    else:
        sides = split.split(frames, classes, settings.validation_split, settings.seed)
    tell(f"{len(classes)} games; training: {_count(sides.training)}; validation: {_count(sides.validation)}")
    return [sides]


def _count(frames: Sequence[StoredFrame]) -> str:
    return f"{len(frames)} frames of {len({frame.login for frame in frames})} streamers"


def _shop(settings: Settings, pictures: Images, machine: Hardware, tell: Callable[[str], None]) -> tuple[Any, Workshop]:
    """A network, and what it and others like it are trained with; MODEL_PATH is ready for them."""
    from model.artifacts import model_files
    from model.training import checkpoint, factories

    model = factories.network(settings, len(pictures.classes), machine)
    model_files.prepare(settings.model_path, model.count_params())
    pictures = factories.prepared(settings, pictures, machine, model)
    kept = checkpoint.Checkpoints(settings.model_path / checkpoint.FOLDER, write=machine.chief)
    bar = tell is not _silent and sys.stderr.isatty()
    return model, factories.Workshop(settings, pictures, machine, kept, tell, bar)


def _begin(shop: Workshop, args: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """Go on with what an interrupted run left, or begin anew. Raises ModelError: that run was another one."""
    paths = sorted(frame.path for frame in shop.pictures.frames)
    resumed = shop.checkpoints.begin([_used(shop.settings), args.folds, paths], args.resume)
    if args.resume and not resumed:
        tell("There is no training to go on with: this one begins.")


def _finish(outcome: Outcome, shop: Workshop, settings: Settings, started: float) -> None:
    """Judge what was said of frames that were not trained on; write everything, and print it."""
    from model.reports import training_report
    from model.training import validation
    from model.training.experiment import told

    classes, sides = shop.pictures.classes, outcome.sides
    share, score = settings.unknown_share, settings.unknown_score
    calibration, judged = validation.judged(outcome.heard, sides.validation, classes, share=share, score=score)
    figures = training_report.metrics(
        _used(settings),
        classes=classes,
        sides=sides,
        training=outcome.training,
        evaluation=judged,
        calibration=calibration,
        seconds=time.monotonic() - started,
    )
    if outcome.folds:
        figures["cross_validation"] = told(outcome.folds)
    _save(outcome, shop, validation.completed(calibration, outcome.model, shop.side(sides.training)), figures)
    shop.checkpoints.end()
    _print_result(settings, outcome, judged, calibration.temperature)


def _save(outcome: Outcome, shop: Workshop, calibration: Calibration, figures: dict[str, Any]) -> None:
    """Write all files in place of the old ones, once they have proved equal. `figures`: for metrics.json."""
    from model.artifacts import model_files
    from model.reports import model_card, training_report

    few = shop.side(outcome.sides.validation).first(_VERIFIED_FRAMES)
    with model_files.replacing(shop.settings.model_path) as new:
        model_files.write(outcome.model, shop.pictures.classes, new, calibration)
        model_files.verify(outcome.model, new, few)
        training_report.write(new / model_files.RESULTS, figures, shop.settings.visualize_results)
        model_card.write(new, figures, model_files.MODEL)


def _used(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", include=set(_NUMBERS_DEPEND_ON))


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


def _print_result(settings: Settings, outcome: Outcome, judged: Evaluation, temperature: float) -> None:
    training = outcome.training
    if outcome.folds:
        _print_folds(outcome)
    else:
        print(
            f"Validation: {judged.by_frame:.1%} of {judged.frames} frames right, "
            f"{judged.by_stream:.1%} of {judged.streams} streams, by streamers not trained on."
        )
        loss, best = training.history["val_loss"], training.best_epoch
        print(f"Epoch {best} of {len(loss)} was best, validation loss {loss[best - 1]:.4f}.")
    print(f"There a confidence is off by {judged.ece:.1%} on average, at a temperature of {temperature:.2f}.")
    if settings.refit or outcome.folds:
        epochs = " and ".join(str(count) for count in training.kept)
        print(f"The saved model was trained anew for {epochs} epochs on all frames, those included.")
    print(f"{settings.model_path}: model.h5, model.onnx, classes.txt, model_card.md, results/")


def _print_folds(outcome: Outcome) -> None:
    from model.training.experiment import told

    sides = [(words["mean"], words["spread"]) for words in told(outcome.folds).values()]
    (frames, frames_spread), (streams, streams_spread) = sides
    print(
        f"Cross-validation, {len(outcome.folds)} folds: {frames:.1%} ± {frames_spread:.1%} of frames right, "
        f"{streams:.1%} ± {streams_spread:.1%} of streams, by streamers not trained on."
    )


if __name__ == "__main__":
    sys.exit(main())
