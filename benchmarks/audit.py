"""Audit benchmark: an audit of channels with planted mismatches, talk, menus and unknown games.

    python -m benchmarks.audit [--channels 200] [--sample 60] [--runs 10] [--draws 100] [--again 2] [--seed N]
                               [--pictures FOLDER] [--out DIR]

The command, with the model in MODEL_PATH, is a process of its own, on a stand-in in this one. First it audits all
channels, and some of them correct themselves between the two looks. Then come `--runs` complete audits of samples, each
of other channels, and `--draws` samples of the first audit's stored answers, by the command's own code for samples and
reports. What stands in for talk and menus says benchmarks._planted_audit. Prints one JSON object:

    other_game       precision and recall of "another game", as confirmed by the second look
    confusion        by what is planted: the outcomes
    intervals        for --runs and --draws: in how many the 95 % interval of the share of "another game" covers the
                     planted share, by streams and by viewers; the mean width
    cost             of the first audit: seconds without the pause before second looks, CPU seconds, requests, MB
    extrapolated     the same for 10,000 and 100,000 streams; hours, CPU hours, GB

Returns 1 if an interval covers in fewer than nine of ten runs or draws.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import config
from benchmarks._planted_audit import OTHER, Material, Planted, material, planted
from data.entities import Game, Stream
from model.inference.classes import CLASSES_FILE, read_classes
from model.inference.classifier import ONNX_FILE
from recognition.auditing.command import make_judgement
from recognition.auditing.sampling import stratified_sample
from recognition.reports.audit_report import AuditAbout, make_report
from recognition.reports.json_report import as_json
from recognition.reports.outcomes import AuditedStream, Judgement, Outcome
from tests.standin import Standin, World

_REPOSITORY = Path(__file__).parent.parent
_CORRECTED_AFTER_S = 60  # the first looks are over by then; second looks begin when no old picture is listed any more
_NEEDED = 0.9


@dataclass(frozen=True)
class Audited:
    """A finished audit: the report's values, and the streams of its Parquet file, by login."""

    report: dict[str, Any]
    streams: dict[str, AuditedStream]


def main(argv: list[str] | None = None) -> int:
    """Plant, audit, draw, compare, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="Audit channels of which is known what they show.")
    parser.add_argument("--channels", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--sample", type=int, default=60, help="streams of a sample (%(default)s)")
    parser.add_argument("--runs", type=int, default=10, help="complete audits of samples (%(default)s)")
    parser.add_argument("--draws", type=int, default=100, help="samples of stored answers (%(default)s)")
    parser.add_argument("--again", type=float, default=2, help="minutes before the second look (%(default)s)")
    parser.add_argument("--min-precision", type=float, default=0.9, help="as of the command (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is planted (%(default)s)")
    parser.add_argument("--pictures", type=Path, help="folder with folders menu, intermission, talking of pictures")
    parser.add_argument("--out", type=Path, help="folder of the reports; default: a temporary one")
    args = parser.parse_args(argv)
    model = config.load().model_path
    if not (model / ONNX_FILE).is_file():
        parser.error(f"MODEL_PATH: {model / ONNX_FILE} is missing")
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        summary = _measured(Path(folder), args)
    print(json.dumps({"name": "audit", "channels": args.channels, **summary}), flush=True)
    intervals = [summary["intervals"][key] for key in ("runs", "draws")]
    return int(any(way[key] < _NEEDED * way["number"] for way in intervals for key in ("by_streams", "by_viewers")))


def _measured(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the summary of all audits."""
    settings = config.load()
    classes = read_classes(settings.model_path / CLASSES_FILE)
    judgement = make_judgement(settings, classes, args.min_precision)
    judged = {game.id for game in classes if judgement.judges(game)}
    found = material(judged, folder, args.pictures)
    channels = planted(found, args.channels, args.seed, time.time() + _CORRECTED_AFTER_S)
    options = ["--top", str(args.channels), "--again", str(args.again)]
    first = _audit(channels, folder, args, options)
    runs = [_sampled(found, folder, args, run) for run in range(1, args.runs + 1)]
    draws = [_drawn(first, channels, judgement, args.sample, seed) for seed in range(args.draws)]
    cost = {**first.report["cost"], "looked_at": len(first.streams)}
    cost["seconds"] -= 60 * args.again
    return {
        "other_game": _precision(first, channels),
        "confusion": _confusion(first, channels),
        "first": _shares(first.report) | {"planted": dict(zip(_KEYS, _truth(channels), strict=True))},
        "intervals": {"runs": _coverage(runs), "draws": _coverage(draws)},
        "cost": {key: round(value, 1) for key, value in cost.items()},
        "extrapolated": {f"{count:,}": _extrapolated(cost, count) for count in (10_000, 100_000)},
    }


def _audit(channels: Sequence[Planted], folder: Path, args: argparse.Namespace, options: Sequence[str]) -> Audited:
    """Run the command on these channels. Raises RuntimeError if it fails."""
    out = (args.out or folder / "reports").resolve()
    before = set(out.glob("*/report.json"))
    world = World(tuple(planted.channel for planted in channels))
    words = ["--new", "--logins", "--min-precision", str(args.min_precision), "--out", str(out), *options]
    with Standin(world) as standin:
        environment = {**os.environ, **standin.environment, "DOWNLOAD_PATH": str(folder / "dataset")}
        command = [sys.executable, "-m", "recognition.audit", *words]
        done = subprocess.run(command, cwd=_REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    print(done.stdout, file=sys.stderr)  # the story so far: all of it takes a quarter of an hour
    [report] = set(out.glob("*/report.json")) - before
    streams = {stream.login: stream for stream in _read(report.with_name("streams.parquet"))}
    return Audited(json.loads(report.read_text(encoding="utf-8")), streams)


def _read(file: Path) -> list[AuditedStream]:
    """Return the streams of a report."""
    from arro3.io import read_parquet

    found = []
    for batch in read_parquet(file):
        columns = {name: batch.column(name).to_pylist() for name in batch.column_names}
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True))
            category, shown = (Game(row[f"{key}_id"], row[key]) if row[key] else None for key in ("category", "shown"))
            rest = {key: row[key] for key in ("viewers", "language", "stratum", "weight", "screen", "confidence")}
            rest |= {key: row[key] for key in ("frames", "looks", "at", "reason")}
            found.append(AuditedStream(row["stream"], category, outcome=Outcome(row["outcome"]), shown=shown, **rest))
    return found


_KEYS = ("by_streams", "by_viewers")


def _truth(channels: Sequence[Planted]) -> tuple[float, float]:
    """Return the planted share of "another game" among the judged channels, by streams and by viewers."""
    judged = [planted for planted in channels if planted.truth]
    viewers = {True: 0, False: 0}
    for one in judged:
        viewers[one.shows == OTHER] += one.channel.viewers
    return sum(one.shows == OTHER for one in judged) / len(judged), viewers[True] / sum(viewers.values())


def _shares(report: dict[str, Any]) -> dict[str, Any]:
    """Return the share of "another game" with its interval, by streams and by viewers."""
    return {key: [round(report[key]["other_game"][part], 4) for part in ("value", "low", "high")] for key in _KEYS}


Sampled = tuple[dict[str, Any], tuple[float, float]]  # shares as `_shares` gives them, and the planted ones


def _sampled(found: Material, folder: Path, args: argparse.Namespace, run: int) -> Sampled:
    """Return the result of a complete audit of a sample of new channels."""
    channels = planted(found, args.channels, args.seed + run)
    options = ["--sample", str(args.sample), "--seed", str(run), "--again", "0"]
    return _shares(_audit(channels, folder, args, options).report), _truth(channels)


def _drawn(first: Audited, channels: Sequence[Planted], judgement: Judgement, count: int, seed: int) -> Sampled:
    """Return the result of a sample of the first audit's answers."""
    streams = [
        Stream(c.login, c.game_id, c.title, c.language, c.viewers, c.game)
        for c in (planted.channel for planted in channels if planted.truth)
    ]
    sample = [
        replace(first.streams[planned.stream.login], stratum=planned.stratum, weight=planned.weight)
        for planned in stratified_sample(streams, count, seed)
    ]
    now = datetime.now(timezone.utc)
    about = AuditAbout(0, "", now, now, "", "", len(streams), count, (), 0.0, 0.0, 0, 0, 0, "")
    return _shares(as_json(make_report(sample, judgement, about), str)), _truth(channels)


def _precision(audited: Audited, channels: Sequence[Planted]) -> dict[str, Any]:
    """Return how many confirmed mismatches are planted ones, and how many of these are confirmed."""
    planted_ones = {one.channel.login for one in channels if one.shows == OTHER}
    called = {login for login, stream in audited.streams.items() if stream.outcome == Outcome.OTHER_GAME}
    right = len(called & planted_ones)
    return {
        "planted": len(planted_ones),
        "called": len(called),
        "precision": round(right / max(1, len(called)), 4),
        "recall": round(right / max(1, len(planted_ones)), 4),
    }


def _confusion(audited: Audited, channels: Sequence[Planted]) -> dict[str, dict[str, int]]:
    """Return the number of each outcome, by kind."""
    found: dict[str, Counter[str]] = {}
    for one in channels:
        stream = audited.streams.get(one.channel.login)
        found.setdefault(one.shows, Counter())[stream.outcome.value if stream else "not looked at"] += 1
    return {kind: dict(counts) for kind, counts in sorted(found.items())}


def _coverage(results: Sequence[Sampled]) -> dict[str, Any]:
    """Return in how many results the interval covers the planted share, and its mean width."""
    covered: dict[str, Any] = {"number": len(results)}
    for place, key in enumerate(_KEYS):
        covered[key] = sum(shares[key][1] <= truth[place] <= shares[key][2] for shares, truth in results)
        widths = [shares[key][2] - shares[key][1] for shares, _ in results]
        covered[f"{key}_width"] = round(sum(widths) / max(1, len(widths)), 4)
    return covered


def _extrapolated(cost: dict[str, float], count: int) -> dict[str, float]:
    factor = count / cost["looked_at"]
    return {
        "hours": round(cost["seconds"] * factor / 3600, 2),
        "cpu_hours": round(cost["cpu_seconds"] * factor / 3600, 2),
        "requests": round(cost["requests"] * factor),
        "gigabytes": round(cost["bytes"] * factor / 1e9, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
