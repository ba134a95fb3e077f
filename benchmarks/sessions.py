"""Accuracy on unseen sessions: five folds over the sessions of the stand-in's clips.

It prints the fraction of right frames and sessions, without and with a webcam, a chat column and an alert, and how
well games that were left out of the training are separated from known ones (AUROC by frame). `false_unknown` counts the
held-out sessions that are called unknown, `missed_unknown` the sessions of left-out games that are not; `by_frames`: by
the rule of older models, most frames. It does so for two backbones and cnn as model.create trains them, and for cnn as
the original trained it, on a random split of frames and on a split by session.

The initial weights must not have seen the sessions, so the project's own do not fit: use imagenet, or a file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import _folds, _overlaid, _stream_unknown

if TYPE_CHECKING:
    from data.entities import Game
    from model.datasets.split import Split
    from model.inference.calibration import Calibration
    from model.training.factories import TrainingContext

_FOLDS = 5
WAYS = ("efficientnet_lite0", "mobilenet_v2", "cnn", "original", "original_random")
_NEGATIVES = 240


def main(argv: list[str] | None = None) -> int:
    """Measure each training, print a JSON line for each, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sessions", description=__doc__)
    parser.add_argument("--frames", type=Path, help="a folder of frames, a login a session, instead of the clips'")
    parser.add_argument("--weights", default="imagenet", help="initial weights of the backbone")
    parser.add_argument("--left-out", type=int, help="how many of the games to leave out once (default: all)")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS, help="which of the trainings")
    parser.add_argument("--folds", type=int, default=_FOLDS, help="how many of the five folds to run")
    parser.add_argument("--every", type=int, default=1, help="use every nth frame only")
    parser.add_argument("--epochs", type=int, default=10, help="the cnn's")
    args = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as scratch:
        root = args.frames or collected(Path(scratch) / "frames")
        for way in args.ways:
            figures = _original(args, root, way) if way.startswith("original") else _ours(args, root, way, scratch)
            sys.stdout.write(json.dumps({"name": f"sessions_{way}"} | figures) + "\n")
            sys.stdout.flush()
    return 0


def collected(root: Path) -> Path:
    """Save a frame per second of each clip, as the grabber takes them."""
    from data.capture.grabber import Grabber
    from data.storage.frame_folder import FrameFolder
    from tests.standin import CLIPS, World

    with Grabber(img_size=240, jpeg_quality=95, frame_interval_s=1.0) as grabber:
        for channel in {channel.file: channel for channel in World.load(CLIPS).channels if channel.has_frames}.values():
            jpegs = [frame.jpeg for frame in grabber.frames(str(channel.file), 100)]
            FrameFolder(root).save(channel.game_id, channel.login, jpegs)
    return root


def _ours(args: argparse.Namespace, root: Path, architecture: str, scratch: str) -> dict[str, Any]:
    from config import Settings
    from model.datasets import split
    from model.training import experiment

    frames, classes = _folds.dataset(root, args.every)
    weights = args.weights if architecture != "cnn" else "none"
    chosen = {"architecture": architecture, "initial_weights": weights, "epochs": args.epochs}
    settings = Settings(model_path=Path(scratch) / architecture, _env_file=None, **chosen)
    context = _folds.make_context(settings, root, frames, classes)
    folds = split.k_folds(frames, classes, _FOLDS, context.settings.seed)[: args.folds]
    experiment.precompute_features(context, context.make_network(), folds)
    parts, laid = [], []
    for number, sides in enumerate(folds):
        result = experiment.train_with_holdout(context, context.make_network(), sides, refit=False, fold=number)
        parts.append(result.predictions)
        laid.append(np.asarray(result.model.predict(_laid(context.subset(sides.validation)), verbose=0)))
    plain = [part.logits for part in parts]
    figures = _right(plain, folds, classes) | {f"{k}_overlaid": v for k, v in _right(laid, folds, classes).items()}
    figures |= {"frames": len(frames), "folds": len(folds), "start": Path(weights).name}
    if architecture == "cnn" or len(folds) < 2:
        return figures
    fitted, known = _stream_unknown.calibrations(context, folds, parts), _stream_unknown.StreamCounter()
    for calibration, logits, sides in zip(fitted, plain, folds, strict=True):
        known.add(calibration, logits, sides.validation)
    figures |= known.false_unknown()
    games = classes[: args.left_out]
    return figures | (_left_out(context, folds, fitted, known.confidences, games) if games else {})


def _laid(side: Any) -> np.ndarray:
    """Return the frames with overlays, one layout per session; webcams show other games."""
    pixels = side.first_images(len(side.frames))
    logins = np.array([frame.login for frame in side.frames])
    made = np.empty_like(pixels)
    for number, login in enumerate(sorted(set(logins))):
        own = logins == login
        other = side.labels != side.labels[own][0]
        made[own] = _overlaid.overlaid(pixels[own], pixels[other], (number, 777))
    return made


def _right(logits: Sequence[np.ndarray], folds: Sequence[Split], classes: Sequence[Game]) -> dict[str, Any]:
    from model.evaluation import metrics

    frames = [frame for sides in folds for frame in sides.validation]
    evaluation = metrics.evaluate(np.concatenate(logits), frames, classes)
    wrong = round((1 - evaluation.stream_accuracy) * evaluation.streams)
    return {
        "by_frame": round(evaluation.frame_accuracy, 4),
        "sessions": f"{evaluation.streams - wrong}/{evaluation.streams}",
    }


def _left_out(
    context: TrainingContext,
    folds: Sequence[Split],
    fitted: Sequence[Calibration],
    known: Sequence[float],
    games: Sequence[Game],
) -> dict[str, Any]:
    """Measure how well a model of the other games separates each of `games` from their held-out frames.

    fitted: the calibration of each fold. known: confidences of sessions of known games.
    """
    from model.evaluation import metrics
    from model.inference.calibration import LOGIT_SCORES

    empty = _overlaid.synthetic_negatives(_NEGATIVES, context.settings.img_size, seed=6)
    unknown: dict[str, list[float]] = {name: [] for name in LOGIT_SCORES}
    negatives: dict[str, list[float]] = {name: [] for name in LOGIT_SCORES}
    sessions = _stream_unknown.StreamCounter()
    for number, game in enumerate(games):
        fold = number % len(folds)
        own, others, shown = _logits_without(context, game, folds[fold], empty)
        sessions.add(fitted[fold], own, [frame for frame in context.dataset.frames if frame.game_id == game.id])
        for name, score in LOGIT_SCORES.items():
            unknown[name].append(metrics.auroc(score(others), score(own)))
            negatives[name].append(metrics.auroc(score(others), score(shown)))
        _folds.log(f"{game.name} left out: {unknown['max_probability'][-1]:.3f}")
    means = {name: round(float(np.mean(values)), 4) for name, values in unknown.items()}
    worst = {name: round(min(values), 4) for name, values in unknown.items()}
    of_negatives = {name: round(float(np.mean(values)), 4) for name, values in negatives.items()}
    figures = {"auroc_left_out": means, "worst_game": worst, "auroc_screens": of_negatives}
    by_stream = metrics.auroc(np.array(known), np.array(sessions.confidences))
    return figures | sessions.missed_unknown() | {"auroc_sessions": round(by_stream, 4)}


def _logits_without(context: TrainingContext, game: Game, sides: Split, empty: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return a model's logits for the game that it lacks, for the others' validation frames, and for negatives."""
    from model.networks import network

    smaller = _folds.without(context, {game})
    model = smaller.make_network()
    smaller.make_trainer(model, [frame for frame in sides.training if frame.game_id != game.id], (), game.name).train()
    parts, cache = network.split_head(model), context.feature_cache
    own = [frame for frame in context.dataset.frames if frame.game_id == game.id]
    known = [frame for frame in sides.validation if frame.game_id != game.id]
    logits = [
        parts[1](cache.values(cache.original_rows(frames, parts[0])), training=False)
        if parts
        else model.predict(context.subset(frames).batches(), verbose=0)
        for frames in (own, known)
    ]
    return tuple(np.asarray(values) for values in (*logits, model.predict(empty, verbose=0)))


def _original(args: argparse.Namespace, root: Path, way: str) -> dict[str, Any]:
    """Train the cnn as in 2021: batches of 16, Adam, no augmentation, the last epoch kept."""
    import keras

    from model.datasets import split
    from model.datasets.image_dataset import ImageDataset
    from model.networks import network

    frames, classes = _folds.dataset(root, args.every)
    folds = split.k_folds(frames, classes, _FOLDS, 123)[: args.folds]
    if way == "original_random":
        mixed = np.random.default_rng(123).permutation(len(frames))
        parts = np.array_split(mixed, _FOLDS)[: args.folds]
        folds = [
            split.Split(
                tuple(frames[row] for row in mixed if row not in set(part.tolist())), tuple(frames[row] for row in part)
            )
            for part in parts
        ]
    logits = []
    for sides in folds:
        keras.utils.set_random_seed(123)
        model = network.build("cnn", 240, len(classes), dropout=0.5, initial_weights="none")
        training, validation = (ImageDataset(root, some, classes, 240) for some in (sides.training, sides.validation))
        network.compile_model(model, 1e-3)
        mixed_up = training.batches().unbatch().shuffle(len(training.frames), seed=1).batch(16).prefetch(1)
        model.fit(mixed_up, epochs=args.epochs, verbose=2)
        logits.append(np.asarray(model.predict(validation.batches(), verbose=0)))
    return _right(logits, folds, classes) | {"frames": len(frames), "folds": len(folds)}


if __name__ == "__main__":
    sys.exit(main())
