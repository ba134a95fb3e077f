"""A checked dataset of many generated frames with rows, for the benchmarks of the dashboard."""

from __future__ import annotations

import hashlib
import random

import numpy as np

from benchmarks.export_100k import make_frames
from config import Settings
from data.entities import Game, StoredFrame
from data.factories import open_catalog
from data.storage.features import FeatureStore
from data.storage.frame_folder import FrameFolder
from data.storage.layout import CHECK_FILE
from data.storage.synchronisation import synchronise
from model.cleaning.check_file import to_csv
from model.cleaning.findings import GAMEPLAY, KINDS, OTHER_GAME, CheckResult, FrameFinding, StreamFinding

_SUSPECTS = 0.1  # of the streams
_FEATURES = 3120  # of the default network
_CHUNK = 5000


def make_dataset(settings: Settings, frames: int = 100_000, *, features: bool = False) -> None:
    """Create frames of 50 games and 2,000 streams with their rows and a check, unless they are there.

    features: also random ones, which take 6 kB a frame.
    """
    store = FrameFolder(settings.download_path / "frames")
    if store.read_report(CHECK_FILE) is None:
        make_frames(store.root, frames)
        with open_catalog(settings) as catalog:
            synchronise(store, catalog)
        store.save_report(CHECK_FILE, to_csv(_check(store.described(store.frames()))).encode())
    if features and not (store.features).exists():
        _add_features(FeatureStore(store.features / "random"), store.described(store.frames()))


def _check(frames: list[StoredFrame]) -> CheckResult:
    """Return random findings: a tenth of the streams shows another game, and some frames are no gameplay."""
    rng = random.Random(0)
    games = {frame.game_id: Game(frame.game_id, "") for frame in frames}
    ids = sorted(games)
    streams: dict[tuple[int, str], StreamFinding] = {}
    findings = []
    for frame in sorted(frames, key=lambda frame: frame.path):
        key = frame.game_id, frame.login
        if key not in streams:
            suspect = rng.random() < _SUSPECTS
            kind, shown = (OTHER_GAME, games[rng.choice(ids)]) if suspect else (GAMEPLAY, None)
            suspicion = rng.uniform(0.5, 1) if suspect else rng.uniform(0, 0.4)
            reason = f"stream {len(streams)}"
            streams[key] = StreamFinding(*key, 1, suspicion, kind, reason, shown, suspect)
        stream = streams[key]
        kind = stream.kind if stream.suspect or rng.random() < 0.9 else rng.choice(KINDS)
        suspicion = min(1.0, stream.suspicion + rng.uniform(0, 0.1))
        reason = stream.reason if stream.suspect else ""
        findings.append(FrameFinding(frame, suspicion, kind, reason, stream.suggested, stream.suspect))
    return CheckResult(tuple(streams.values()), tuple(findings))


def _add_features(store: FeatureStore, frames: list[StoredFrame]) -> None:
    """Add vectors, alike within a stream."""
    rng = np.random.default_rng(0)
    for start in range(0, len(frames), _CHUNK):
        part = frames[start : start + _CHUNK]
        seeds = [hashlib.sha256(f"{frame.game_id}/{frame.login}".encode()).digest() for frame in part]
        centres = np.stack([np.resize(np.frombuffer(seed, np.int8), _FEATURES) for seed in seeds]).astype(np.float32)
        noise = 40 * rng.standard_normal((len(part), _FEATURES), np.float32)
        store.add([frame.sha256 for frame in part], ((centres + noise) / 128).astype(np.float16))
