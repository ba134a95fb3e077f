"""Planted label noise: what a check finds of known faults, beside cleanlab with the same probabilities and features.

Streams with another game's label (5, 10 and 20 %), menus and intermissions in place of runs of frames, altered copies.
Precision and recall are pooled over the plantings; so are accuracies of a linear head on held-out streamers without a
fault, before and after cleaning, with 95 % intervals over the plantings. One check of all streams cleans, the held-out
ones included, which flatters these gains: model.check's own estimate leaves them out of its check.
The limits of model.cleaning were chosen on plantings of seeds below 100; --seed begins at 1000.

--frames: a folder of frames as the toolkit saves them; default: the stand-in's clips. ARCHITECTURE and INITIAL_WEIGHTS
name the network, which must not have seen the frames.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _bootstrap, _noise_plan, _noise_scores
from benchmarks._noise_plan import Planting, Pool

_SHARES = 0.05, 0.1, 0.2


def main(argv: list[str] | None = None) -> int:
    """Plant, check, print a JSON line for each share of streams, and the tables; return the exit code."""
    args = _parser().parse_args(argv)
    compare = importlib.util.find_spec("cleanlab") is not None
    if not compare:
        print("cleanlab is not installed: nothing to compare with (pip install cleanlab[datalab])", file=sys.stderr)
    with tempfile.TemporaryDirectory() as scratch:
        source = args.frames or _clips(Path(scratch) / "clips")
        root = (args.keep or Path(scratch)) / "frames"
        pool = _noise_plan.make_pool(source, root, args.menus, args.every)
        vectors = _Vectors.of(pool)
        figures = {}
        for share in args.shares:
            figures[share] = _measure(pool, vectors, share, args, compare)
            print(json.dumps({"name": "planted_noise", "streams_relabelled": share} | figures[share]), flush=True)
    print(f"\n{_table(figures)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted_noise", description=__doc__)
    parser.add_argument("--frames", type=Path, help="a folder of frames, a login a session")
    parser.add_argument("--menus", type=Path, help="a folder of pictures of real menus: half of the planted ones")
    parser.add_argument("--every", type=int, default=1, help="use every nth frame only")
    parser.add_argument("--plantings", type=int, default=50, help="for each share (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1000, help="of the first planting (default: %(default)s)")
    parser.add_argument("--shares", type=float, nargs="+", default=_SHARES, help="fractions of streams to relabel")
    parser.add_argument("--keep", type=Path, help="where to keep the planted pictures and their features")
    return parser


def _clips(root: Path) -> Path:
    from benchmarks.sessions import collected

    return collected(root)


class _Vectors:
    """Features of all pictures of a pool, computed once."""

    def __init__(self, rows: dict[bytes, int], values: np.ndarray, thumbnails: np.ndarray, screens: Any) -> None:
        self.rows, self.values, self.thumbnails, self.screens = rows, values, thumbnails, screens

    @classmethod
    def of(cls, pool: Pool) -> _Vectors:
        from config import Settings
        from model.training import frame_features

        pictures = [*pool.frames, *(one for made in pool.altered.values() for one in made)]
        stored = frame_features.fill(Settings(), pool.folder, pictures, lambda line: print(line, file=sys.stderr))
        hashes = [frame.sha256 for frame in stored.frames]
        rows = {key: row for row, key in enumerate(hashes)}
        screens = {kind: stored.vectors.get(keys)[0] for kind, keys in stored.screens.items()}
        return cls(rows, stored.vectors.get(hashes)[0], stored.thumbnails.get(hashes)[0], screens)


def _measure(pool: Pool, vectors: _Vectors, share: float, args: argparse.Namespace, compare: bool) -> dict[str, Any]:
    totals: dict[str, dict[str, np.ndarray]] = {}
    values: list[dict[str, float]] = []
    for seed in range(args.seed, args.seed + args.plantings):
        for name, scores in _planted(_noise_plan.plant(pool, share, seed), pool, vectors, compare):
            if name == "accuracy":
                values.append(scores)
                continue
            total = totals.setdefault(name, {})
            for key, counts in scores.items():
                total[key] = total.get(key, np.zeros(3, np.int64)) + counts
        print(f"{share:.0%} of the streams, seed {seed}", file=sys.stderr, flush=True)
    found = {name: {key: _rates(total) for key, total in scores.items()} for name, scores in totals.items()}
    return {"plantings": args.plantings, **found, "accuracy": _accuracy(values)}


def _planted(planting: Planting, pool: Pool, vectors: _Vectors, compare: bool) -> Iterator[tuple[str, Any]]:
    """Yield the scores of one planting, by who is scored."""
    from model.cleaning.check import check
    from model.cleaning.space import project

    rows = np.array([vectors.rows[key] for key in _noise_plan.hashes(planting.frames)])
    features, projection = project(lambda: [(np.arange(len(rows)), vectors.values[rows])], len(rows))
    negatives = {kind: projection.apply(values) for kind, values in vectors.screens.items()}
    thumbnails = vectors.thumbnails[rows]
    result = check(planting.frames, features, pool.games, negatives=negatives, thumbnails=thumbnails)
    classes = {game.id: label for label, game in enumerate(pool.games)}
    yield "ours", _noise_scores.of_check(planting, result)
    if compare:
        yield "cleanlab", _noise_scores.of_cleanlab(planting, features, classes)
    yield "accuracy", _noise_scores.accuracies(planting, features, classes, result)


def _rates(total: np.ndarray) -> dict[str, float]:
    right, flagged, planted = total.tolist()
    rates = {"precision": right / flagged} if flagged else {}
    return {name: round(value, 4) for name, value in (rates | {"recall": right / max(1, planted)}).items()}


def _accuracy(values: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return means over the plantings; the gains over `noisy` with the interval of their mean."""
    figures: dict[str, Any] = {way: round(float(np.mean([one[way] for one in values])), 4) for way in values[0]}
    weights = _bootstrap.draw_weights(len(values))
    for way in ("without", "relabelled", "true"):
        gains = np.array([one[way] - one["noisy"] for one in values])
        interval = _bootstrap.interval(weights @ gains / len(gains))
        figures[f"gain_{way}"] = [round(number, 4) for number in (float(gains.mean()), *interval)]
    return figures


def _table(figures: dict[float, dict[str, Any]]) -> str:
    """Return a Markdown table: precision / recall by streams and frames, recall of screens and copies."""
    columns = ("streams", "frames", "screens", "copies")
    lines = [["", "planted", *columns], ["---"] * (len(columns) + 2)]
    for name in ("ours", "cleanlab"):
        for share, one in figures.items():
            if name in one:
                cells = [" / ".join(f"{value:.3f}" for value in one[name][key].values()) for key in columns]
                lines.append([name, f"{share:.0%}", *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
