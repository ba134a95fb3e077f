"""Time and memory of a check of 100,000 frames whose features are stored, on two cores.

    python -m benchmarks.check_100k [--frames N] [--folder DIR]

Generated vectors as wide as those of the default network, of 50 games, 2,000 streams and 50 frames a stream; a tenth of
the streams has another game's label, and 1 % of the frames repeat another one. Claims: at most 60 s and 1 GB from
listing the manifests to the findings. It also prints how many neighbours the search by representatives finds of those
that an exact one finds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from config import Settings
from data.entities import Game, StoredFrame
from data.storage.features import THUMBNAILS, FeatureStore
from data.storage.frame_folder import FrameFolder
from data.storage.layout import FEATURES_FOLDER

_GAMES, _PER_GAME, _LATENT, _WIDTH, _CELLS = 50, 40, 96, 3120, 900
_RELABELLED, _REPEATED = 0.1, 0.01
_CHUNK = 5000
_COMPARED = 1000  # frames whose neighbours are searched exactly
_LABELS = "labels.npz"


def main(argv: list[str] | None = None) -> int:
    """Generate the dataset, check it in a process of its own, print a JSON line, and return the exit code."""
    parser = argparse.ArgumentParser(description="Time and memory of a check of many frames.")
    parser.add_argument("--frames", type=int, default=100_000, help="frames to generate (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to keep the dataset (default: a temporary folder)")
    parser.add_argument("--check", type=Path, metavar="DIR", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.check:
        print(json.dumps(_check(args.check)))
        return 0
    with tempfile.TemporaryDirectory(prefix="check-") as scratch:
        folder = args.folder or Path(scratch)
        if not (folder / _LABELS).exists():
            _generate(folder, args.frames)
        two_cores = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
        command = [sys.executable, "-m", "benchmarks.check_100k", "--check", str(folder)]
        done = subprocess.run(command, env={**os.environ, **two_cores}, check=True, stdout=subprocess.PIPE)
        print(json.dumps({"name": "check_100k", "cores": os.cpu_count()} | json.loads(done.stdout)))
    return 0


def _settings(folder: Path) -> Settings:
    return Settings(_env_file=None, download_path=folder)


def _generate(folder: Path, count: int) -> None:
    """Write manifests, vectors and thumbnails; no picture, since all features are there."""
    from model.training import frame_features

    rng, store = np.random.default_rng(0), FrameFolder(folder / "frames")
    root = folder / "frames" / FEATURES_FOLDER
    vectors = FeatureStore(root / frame_features.network_folder(_settings(folder)))
    thumbnails = FeatureStore(root / THUMBNAILS)
    axes = rng.standard_normal((_LATENT, _WIDTH), np.float32) / _LATENT**0.5
    streams = _GAMES * _PER_GAME
    shown = np.arange(streams) % _GAMES
    labels = np.where(rng.random(streams) < _RELABELLED, rng.integers(_GAMES, size=streams), shown)
    games, styles = 2 * rng.standard_normal((_GAMES, _LATENT)), rng.standard_normal((streams, _LATENT))
    stream = np.arange(count) % streams
    frames = [
        StoredFrame(1 + int(labels[s]), f"s{s}", 1 + n // streams, hashlib.sha256(str(n).encode()).digest())
        for n, s in enumerate(stream)
    ]
    repeats = np.where(rng.random(count) < _REPEATED, rng.integers(0, _CHUNK, count), -1)  # of a chunk's frames
    for start in range(0, count, _CHUNK):
        part = slice(start, min(start + _CHUNK, count))
        own, size = stream[part], len(stream[part])
        latent = games[shown[own]] + styles[own] + rng.standard_normal((size, _LATENT))
        noise = 0.3 * rng.standard_normal((size, _WIDTH), np.float32)
        keys = [frame.sha256 for frame in frames[part]]
        vectors.add(keys, (latent.astype(np.float32) @ axes + noise).astype(np.float16))
        pictures = rng.integers(0, 256, (size, 6, 6)).repeat(5, axis=1).repeat(5, axis=2).reshape(size, _CELLS)
        copies = np.flatnonzero((repeats[part] >= 0) & (repeats[part] != np.arange(size)) & (repeats[part] < size))
        pictures[copies] = np.clip(pictures[repeats[part][copies]] + rng.integers(-2, 3, (len(copies), _CELLS)), 0, 255)
        thumbnails.add(keys, pictures.astype(np.uint8))
    for keys in frame_features.screen_keys().values():
        screens = 4 * rng.standard_normal((1, _LATENT)) + rng.standard_normal((len(keys), _LATENT))
        vectors.add(keys, (screens.astype(np.float32) @ axes).astype(np.float16))
    for game in range(_GAMES):
        (store.root / str(1 + game)).mkdir(parents=True, exist_ok=True)
    store.add_details(frames)
    np.savez(folder / _LABELS, labels=labels, shown=shown, repeated=int((repeats >= 0).sum()), count=count)


def _check(folder: Path) -> dict[str, Any]:
    """Return the seconds, the peak memory and what was found; in this process alone."""
    started = time.perf_counter()
    from data.storage import manifest
    from model.cleaning.check import check
    from model.training import frame_features

    truth = np.load(folder / _LABELS)
    store = FrameFolder(folder / "frames")
    games = [Game(1 + number, f"Game {number}") for number in range(_GAMES)]
    frames = [frame for game in games for frame in manifest.read(store.root / str(game.id)).values()]
    inputs = frame_features.collect(_settings(folder), store, frames, lambda _line: None)
    read = time.perf_counter()
    result = check(inputs.frames, inputs.features, games, negatives=inputs.negatives, thumbnails=inputs.thumbnails)
    ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wrong = {f"s{number}" for number in np.flatnonzero(truth["labels"] != truth["shown"])}
    suspects = {one.login for one in result.streams if one.suspect}
    return {
        "frames": len(frames),
        "streams": len(result.streams),
        "seconds": round(ended - started, 1),
        "of_that_reading_and_projecting": round(read - started, 1),
        "peak_mib": round(peak),
        "streams_found": f"{len(suspects & wrong)} of {len(wrong)}, {len(suspects - wrong)} false",
        "repeats_found": sum(one.kind == "duplicate" for one in result.frames),
        "repeats_planted": int(truth["repeated"]),
        "neighbour_recall_and_label_recall": _recall(inputs.frames, inputs.features),
        "tensorflow": "tensorflow" in sys.modules,
    }


def _recall(frames: Sequence[StoredFrame], features: np.ndarray) -> tuple[float, float]:
    """Return the fraction of the exact search's streams that the search by representatives finds, and how often it
    finds a stream with the label of the nearest one.
    """
    from model.cleaning import streams as module
    from model.cleaning.space import unit_rows

    streams = module.Streams.of(frames, {number: number - 1 for number in range(1, _GAMES + 1)})
    unit = unit_rows(features)
    found = module.nearest_streams(unit, streams)[0]
    hits = same = 0
    chosen = np.random.default_rng(1).permutation(len(frames))[:_COMPARED]
    for row in chosen.tolist():
        best = np.full(len(streams.labels), -np.inf)
        np.maximum.at(best, streams.of_frame, unit @ unit[row])
        best[streams.logins == streams.logins[streams.of_frame[row]]] = -np.inf
        exact = np.argsort(-best)[: found.shape[1]]
        hits += len(set(exact.tolist()) & set(found[row].tolist()))
        same += bool(set(streams.labels[exact[:1]].tolist()) & set(streams.labels[found[row]].tolist()))
    return round(hits / (len(chosen) * found.shape[1]), 4), round(same / len(chosen), 4)


if __name__ == "__main__":
    sys.exit(main())
