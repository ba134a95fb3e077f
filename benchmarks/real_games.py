"""Accuracy on games that people stream, from repositories never seen: three folds by login, as model.create trains.

--frames: a folder of frames as the toolkit saves them, whose logins stand for repositories. Each frame validates once.
In a second training of each fold, a third of the games is left out, to measure how well their frames are separated
from known ones. Every number has a 95 % interval, by a bootstrap over the logins. Settings come from the environment,
such as FINE_TUNE: measure a recipe with its variables set, and compare it by --against with another one's predictions.

The initial weights must not have seen the frames, so the project's own may not fit: use imagenet, or a file.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import _folds, _real_games, _stream_unknown
from benchmarks._real_games import Run, Source

if TYPE_CHECKING:
    from data.entities import Game, StoredFrame
    from model.datasets.split import Split
    from model.inference.calibration import Calibration, ScoredLogits
    from model.training.factories import TrainingContext
    from model.training.validation import ValidationPredictions

_FOLDS = 3
_PLAY = {"gameplay", "stream"}  # kinds of sources.tsv: a menu that was never seen cannot be known


def main(argv: list[str] | None = None) -> int:
    """Train, print a JSON line for each seed and the tables, and return the exit code."""
    args = _parser().parse_args(argv)
    if not args.frames and not args.read:
        _folds.log("real_games: skipped; --frames names the folder of the frames")
        return 0
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kinds = _kinds(args.sources) if args.sources else {}
    before = _stored(args.against) if args.against else []
    runs: list[Run] = []
    for run in _stored(args.read) if args.read else map(lambda seed: _run(args, seed), args.seeds):
        runs.append(run)
        if args.out:
            args.out.write_text(json.dumps(runs), encoding="utf-8")
        about = {key: run[key] for key in ("seed", "settings", "cpu_s", "wall_s")}
        values = {name: figure.rounded() for name, figure in _real_games.figures([run]).items()}
        print(json.dumps({"name": "real_games"} | about | values), flush=True)
    _print_tables(runs, before, kinds)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_games", description=__doc__)
    parser.add_argument("--frames", type=Path, help="a folder of frames, a login a repository")
    parser.add_argument("--seeds", type=int, nargs="+", default=[123], help="of the folds and of the training")
    parser.add_argument("--weights", default="imagenet", help="initial weights: imagenet, or a file")
    parser.add_argument("--sources", type=Path, help="a table, by tabs, with the columns id, login and kind")
    parser.add_argument("--skip-left-out", action="store_true", help="do not measure left-out games: half the time")
    parser.add_argument("--out", type=Path, help="write the predictions into this file")
    parser.add_argument("--read", type=Path, help="print such a file again instead of training")
    parser.add_argument("--against", type=Path, help="such a file of another recipe: print the differences to it")
    return parser


def _kinds(table: Path) -> dict[Source, str]:
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {f"{row['id']}/{row['login']}": row["kind"] for row in rows}


def _stored(path: Path) -> list[Run]:
    runs: list[Run] = json.loads(path.read_text(encoding="utf-8"))
    return runs


def _print_tables(runs: Sequence[Run], before: Sequence[Run], kinds: Mapping[Source, str]) -> None:
    def is_play(source: Source) -> bool:
        return bool(_PLAY & set(kinds.get(source, "").split("/")))

    columns = {"all sources": _real_games.figures(runs)}
    if kinds:
        columns["gameplay and streams"] = _real_games.figures(runs, is_play)
    print(f"\n{_real_games.figure_table(columns)}")
    pairs = [(run, old) for run in runs for old in before if run["seed"] == old["seed"]]
    if before and (not pairs or any(run["known"]["paths"] != old["known"]["paths"] for run, old in pairs)):
        raise SystemExit("--against: those predictions are for other frames or seeds.")
    if pairs:
        new, old = zip(*pairs, strict=True)
        after, earlier = _real_games.figures(new), _real_games.figures(old)
        changes = {name: after[name] - earlier[name] for name in after if name in earlier}
        print(_real_games.figure_table({"difference": changes}))
    for title, some in (("", runs), ("before: ", [old for _run, old in pairs])):
        if some:
            cpu_s, wall_s = (float(np.mean([run[key] for run in some])) for key in ("cpu_s", "wall_s"))
            print(f"{title}{cpu_s:.0f} s of CPU for the three folds, {wall_s:.0f} s of wall time\n")
    print(_real_games.game_table(runs))
    print(_real_games.source_table(runs, kinds))


def _run(args: argparse.Namespace, seed: int) -> Run:
    """Train all networks of a seed and return their predictions."""
    from config import Settings, model_settings
    from model.datasets import split

    frames, classes = _folds.dataset(args.frames)
    with tempfile.TemporaryDirectory() as scratch:
        # Without patience the validation frames do not choose the epoch that they then judge.
        chosen = {"seed": seed, "initial_weights": args.weights, "patience": 0}
        settings = Settings(model_path=Path(scratch) / "model", _env_file=None, **chosen)
        cpu_s, wall_s = time.process_time(), time.monotonic()
        context = _folds.make_context(settings, args.frames, frames, classes)
        folds = split.k_folds(frames, classes, _FOLDS, seed)
        known, calibrations = _measure_known(context, folds)
        cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
        left_out = {} if args.skip_left_out else {"left_out": _measure_left_out(context, folds, calibrations)}
    changed = settings.model_dump(mode="json", include=model_settings(), exclude_defaults=True)
    about = {"seed": seed, "settings": changed, "cpu_s": round(cpu_s, 1), "wall_s": round(wall_s, 1)}
    return about | {"games": {str(game.id): game.name for game in classes}, "known": known} | left_out


def _measure_known(context: TrainingContext, folds: Sequence[Split]) -> tuple[dict[str, Any], list[Calibration]]:
    """Return the rows of `known`, and the calibration of each fold, fitted to the predictions of the others."""
    from model.training import experiment

    experiment.precompute_features(context, context.make_network(), folds)
    parts = [
        experiment.train_with_holdout(context, context.make_network(), sides, refit=False, fold=number).predictions
        for number, sides in enumerate(folds)
    ]
    calibrations = _stream_unknown.calibrations(context, folds, parts)
    scored = [_score(one, part) for one, part in zip(calibrations, parts, strict=True)]
    logits = np.concatenate([part.logits for part in scored])
    sources = [
        (source, called)
        for sides, part, calibration in zip(folds, scored, calibrations, strict=True)
        for source, _score, called in by_source(sides.validation, part, calibration)
    ]
    paths = [frame.path for sides in folds for frame in sides.validation]
    return {"paths": paths, "logits": logits.round(4).tolist(), "sources": sources}, calibrations


def _score(calibration: Calibration, predictions: ValidationPredictions) -> ScoredLogits:
    from model.inference.calibration import FEATURE_SIMILARITY, ScoredLogits

    if calibration.score_name != FEATURE_SIMILARITY:
        return calibration.score(predictions.logits, np.empty(0))
    scores = predictions.similarity_scores  # each network's own statistics gave them
    return ScoredLogits(calibration.scale(predictions.logits), scores, scores >= calibration.threshold)


def by_source(
    frames: Sequence[StoredFrame], scored: ScoredLogits, calibration: Calibration
) -> list[tuple[Source, float, bool]]:
    """Return (source, its score, high for known games, whether recognition calls it known) of each source."""
    from model.evaluation.metrics import rows_by_stream
    from model.inference.calibration import stream_confidence

    rows = rows_by_stream(frames)
    streams = [(f"{game}/{login}", scored.take(own)) for (game, login), own in rows.items()]
    return [(source, stream_confidence(own.logits), calibration.knows_stream(own)) for source, own in streams]


def _measure_left_out(
    context: TrainingContext, folds: Sequence[Split], calibrations: Sequence[Calibration]
) -> dict[str, Any]:
    """Return the rows of `left_out`: in each fold another third of the games is unknown to the network."""
    games = random.Random(context.settings.seed).sample(context.dataset.classes, len(context.dataset.classes))
    paths: list[str] = []
    is_known: list[bool] = []
    scores: list[float] = []
    sources = []
    for number, sides in enumerate(folds):
        _folds.log(f"fold {number + 1}: training without a third of the games")
        for known, frames, predictions in predict_without(context, sides, games[number::_FOLDS]):
            scored = _score(calibrations[number], predictions)
            paths += [frame.path for frame in frames]
            is_known += [known] * len(frames)
            scores += scored.scores.round(5).tolist()
            sources += [(source, known, *rest) for source, *rest in by_source(frames, scored, calibrations[number])]
    return {"paths": paths, "is_known": is_known, "scores": scores, "sources": sources}


def predict_without(
    context: TrainingContext, sides: Split, games: Sequence[Game]
) -> list[tuple[bool, Sequence[StoredFrame], ValidationPredictions]]:
    """Train without `games`; predict the validation frames of the others (True), and all frames of `games` (False)."""
    from model.augmentation.pipeline import Augmentation
    from model.datasets.split import Split
    from model.inference.calibration import FEATURE_SIMILARITY
    from model.training import experiment, validation

    ids = {game.id for game in games}
    training, known = (
        tuple(frame for frame in side if frame.game_id not in ids) for side in (sides.training, sides.validation)
    )
    unknown = [frame for frame in context.dataset.frames if frame.game_id in ids]
    smaller = _folds.without(context, games)
    result = experiment.train_with_holdout(smaller, smaller.make_network(), Split(training, known), refit=False)
    similar = smaller.subset(training) if context.settings.unknown_score == FEATURE_SIMILARITY else None
    predictions = validation.predict_validation(result.model, context.subset(unknown), Augmentation(), similar)
    return [(True, known, result.predictions), (False, unknown, predictions)]


if __name__ == "__main__":
    sys.exit(main())
