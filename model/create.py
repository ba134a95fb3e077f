"""COMMAND: train a model on the frames of the dataset, and save it with its evaluation.

check the settings, list the frames, skip undecodable ones
split the frames by streamer, once or in folds
train and validate; with REFIT or --folds, retrain on all frames
calibrate and evaluate on the held-out frames
write model.h5, model.onnx, classes.txt, model_card.md and results/ into MODEL_PATH, all or none
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from data import cli
from data.commands import require_extra
from data.entities import Game, StoredFrame
from data.interruption import at_forced_end
from data.pool.options import add_ray_option, with_ray_option
from data.text import plural
from model.datasets.listing import classes_of
from model.networks.backbones import ARCHITECTURES, require_architecture
from model.terminal.progress import Progress, make_progress

if TYPE_CHECKING:
    from config import Settings
    from model.datasets.image_dataset import ImageDataset
    from model.datasets.split import Split
    from model.inference.calibration import Calibration
    from model.training.experiment import TrainingResult
    from model.training.factories import TrainingContext
    from model.training.hardware import Hardware

_EPILOG = "settings: DOWNLOAD_PATH, IMG_SIZE and the section Model of config.py, which describes each one"
_RESUME = "Finished epochs are kept: repeat the command with --resume."
_GRACE_S = math.inf  # after Ctrl-C: a training step or the conversion to ONNX ends first
_VERIFIED_FRAMES = 32  # to compare model.onnx with Keras on


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = cli.make_parser("model.create", "Train the model on the frames in DOWNLOAD_PATH.", _EPILOG)
    epochs = cli.bounded_number(int, 1, math.inf, "a whole number, at least 1")
    folds = cli.bounded_number(int, 2, math.inf, "a whole number, at least 2")
    parser.add_argument("--epochs", type=epochs, help="maximum number of epochs (EPOCHS)")
    parser.add_argument("--architecture", choices=ARCHITECTURES, help="network (ARCHITECTURE)")
    parser.add_argument("--folds", type=folds, default=0, help="number of folds for cross-validation")
    parser.add_argument("--resume", action="store_true", help="resume an interrupted training run")
    cli.add_progress_option(parser)
    add_ray_option(parser)
    return cli.run_command(parser.parse_args(argv), _create, grace_s=_GRACE_S)


def _create(args: argparse.Namespace, settings: Settings) -> int:
    require_extra("train", "Training")
    overrides = {name: value for name in ("epochs", "architecture") if (value := getattr(args, name)) is not None}
    settings = with_ray_option(settings.model_copy(update=overrides), args.ray)
    require_architecture(settings.architecture)
    if settings.ray_address and not _is_one_of_several():
        from model.training.machines import train_on_cluster

        return train_on_cluster(args, settings)
    return _create_here(args, settings)


def _is_one_of_several() -> bool:
    """Return whether this process trains with others, such as those that `train_on_cluster` has placed on nodes."""
    return "TF_CONFIG" in os.environ


def _create_here(args: argparse.Namespace, settings: Settings) -> int:
    from data.factories import local_frames, make_frame_store
    from model.training.hardware import set_up, tensorflow_errors

    started = time.monotonic()
    store = make_frame_store(settings)
    wait_level = logging.INFO if _is_one_of_several() else logging.WARNING  # another one may update the same mirror
    folder = local_frames(settings, store, make_progress(args.quiet, args.progress), wait_level)
    frames = list(folder.frames())
    classes = classes_of(frames, folder.game_names(), store.location)
    precision, gpus = settings.mixed_precision, settings.all_gpus
    # This imports TensorFlow, which takes seconds.
    hardware = set_up(settings.seed, mixed_precision=precision, all_gpus=gpus, show=args.verbose > 1)
    quiet = args.quiet or not hardware.is_chief
    log, progress = _no_log if quiet else _log_progress, make_progress(quiet, args.progress)
    # After set_up, which configures TensorFlow before anything else uses it.
    from model.datasets import image_dataset

    frames = image_dataset.decodable_frames(folder.root, frames, settings.img_size, progress)
    splits = _make_splits(frames, classes, args.folds, settings, log)
    dataset = image_dataset.ImageDataset(folder.root, frames, classes, settings.img_size)
    try:
        with at_forced_end(lambda: print(_RESUME, file=sys.stderr)), tensorflow_errors(_RESUME):
            model, context = _build_context(args, settings, dataset, hardware, (log, progress))
            result = _train(context, model, splits)
            if hardware.is_chief:  # the other workers have the same model
                _evaluate_and_save(result, context, started)
    except KeyboardInterrupt:
        cli.log.error("Interrupted. %s", _RESUME)
        return 130
    return 0


def _train(context: TrainingContext, model: Any, splits: Sequence[Split]) -> TrainingResult:
    from model.training import experiment

    if len(splits) > 1:
        return experiment.cross_validate(context, model, splits)
    return experiment.train_with_holdout(context, model, splits[0], context.settings.refit)


def _make_splits(
    frames: Sequence[StoredFrame], classes: Sequence[Game], folds: int, settings: Settings, log: Callable[[str], None]
) -> list[Split]:
    """Split the frames by streamer, into `folds` or, if that is 0, once."""
    from model.datasets import split

    if folds:
        log(f"{len(classes)} games; {folds} folds of {_count(frames)}")
        return split.k_folds(frames, classes, folds, settings.seed)
    if settings.validation_streamers:
        single = split.split_by_login(frames, classes, settings.validation_streamers)
    else:
        single = split.split_by_fraction(frames, classes, settings.validation_split, settings.seed)
    log(f"{len(classes)} games; training: {_count(single.training)}; validation: {_count(single.validation)}")
    return [single]


def _count(frames: Sequence[StoredFrame]) -> str:
    return f"{plural(len(frames), 'frame')} of {plural(len({frame.login for frame in frames}), 'streamer')}"


def _build_context(
    args: argparse.Namespace,
    settings: Settings,
    dataset: ImageDataset,
    hardware: Hardware,
    shown: tuple[Callable[[str], None], Progress],
) -> tuple[Any, TrainingContext]:
    """Return the network and what all training runs share; MODEL_PATH and its checkpoints are ready afterwards.

    Raises ModelError: the training run to resume had other settings or frames.
    """
    from model.artifacts import model_files
    from model.training import checkpoint, factories

    # Network and folder first: their errors must not wait until all frames are cached.
    model = factories.make_network(settings, len(dataset.classes), hardware)
    model_files.prepare_folder(settings.model_path, model.count_params())
    dataset = factories.prepare_dataset(settings, dataset, hardware, model, shown[1])
    folder = settings.model_path / checkpoint.CHECKPOINT_FOLDER
    checkpoints = checkpoint.CheckpointStore(folder, write=hardware.is_chief)
    paths = sorted(frame.path for frame in dataset.frames)  # a folder lists its files in any order
    if not checkpoints.open([_model_settings(settings), args.folds, paths], args.resume) and args.resume:
        shown[0]("There is no training run to resume: a new one begins.")
    return model, factories.TrainingContext(settings, dataset, hardware, checkpoints, *shown)


def _evaluate_and_save(result: TrainingResult, context: TrainingContext, started: float) -> None:
    from model.reports import tables, training_report
    from model.training import validation
    from model.training.experiment import fold_statistics

    settings, classes, split = context.settings, context.dataset.classes, result.split
    calibration, evaluation = validation.calibrate_and_evaluate(
        result.predictions,
        split.validation,
        classes,
        unknown_fraction=settings.unknown_fraction,
        score=settings.unknown_score,
    )
    training_set = context.subset(split.training)
    calibration = validation.with_similarity(calibration, result.model, training_set)
    calibration = validation.with_screens(calibration, result.model, training_set, context.overlays, result.predictions)
    if settings.augment and settings.augment_screens:
        calibration = validation.reject_blank_screens(calibration, result.model)
    metrics = training_report.metrics(
        _model_settings(settings),
        classes=classes,
        split=split,
        training=result.history,
        evaluation=evaluation,
        calibration=calibration,
        predictions=result.predictions,
        seconds=time.monotonic() - started,
    )
    if result.folds:
        metrics["cross_validation"] = fold_statistics(result.folds)
    _save(result, context, calibration, metrics)
    context.checkpoints.clear()  # only now: a kill before this line can still be resumed
    print(tables.training_summary(metrics))
    if result.folds or settings.refit:
        epochs = " and ".join(str(count) for count in result.history.best_epochs)
        print(f"The saved model was retrained on all frames, validation included, for {epochs} epochs.")
    print(f"{settings.model_path}: model.h5, model.onnx, classes.txt, model_card.md, results/\n")
    print(tables.render_table(tables.accuracy_rows(metrics)), end="")


def _save(result: TrainingResult, context: TrainingContext, calibration: Calibration, metrics: dict[str, Any]) -> None:
    """Write all files, verify them, and let them replace the old ones."""
    from model.artifacts import model_files
    from model.inference.location import RESULTS_FOLDER
    from model.reports import model_card, training_report

    images = context.subset(result.split.validation).first_images(_VERIFIED_FRAMES)
    with model_files.replace_atomically(context.settings.model_path) as staging:
        model_files.write(result.model, context.dataset.classes, staging, calibration)
        model_files.verify(result.model, staging, images)
        training_report.write(staging / RESULTS_FOLDER, metrics, context.settings.visualize_results)
        model_card.write(staging / model_files.MODEL_CARD, metrics, model_files.MODEL_FILES)


def _model_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that the model depends on, for metrics.json and for --resume."""
    from config import model_settings

    return settings.model_dump(mode="json", include=model_settings())


def _no_log(_line: str) -> None:
    """Discard progress lines, for -q."""


def _log_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # the stderr of now: a progress bar replaces it while it is shown


if __name__ == "__main__":
    cli.end_process(main())
