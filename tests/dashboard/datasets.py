"""A small dataset for tests of the dashboard: 120 frames of 4 games, their rows, a check's findings and features."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from config import Settings
from data.entities import FrameDetails, Game, StoredFrame
from data.factories import make_frame_store, open_catalog
from data.storage.catalog import Catalog
from data.storage.features import THUMBNAILS, FeatureStore
from data.storage.frame_folder import FrameFolder
from data.storage.layout import CHECK_FILE, FEATURES_FOLDER
from data.video.images import encode_jpeg
from model.cleaning import findings
from model.cleaning.check_file import to_csv
from model.cleaning.findings import CheckResult, FrameFinding, StreamFinding

CHESS, GO = Game(7, "Chess"), Game(8, "Go")
LARGE = Game(900_719_925_474_099_312, "Large id")  # JavaScript's numbers cannot hold it
HOSTILE = Game(1_000_000_000_001, '<img src=x onerror="alert(1)"> & مرحبا')
GAMES = (CHESS, GO, LARGE, HOSTILE)
LOGINS = ("ann", "ben", "cat")  # each streams 10 frames of every game
LANGUAGES = {"ann": "en", "ben": "de", "cat": ""}
FRAMES_PER_STREAM = 10
SIZE = 64  # pixels
HOSTILE_TITLE = "<script>alert(1)</script> \"quoted\" 'title' & 日本語"
_FIRST_TIME = 1_793_620_800.0  # 2026-11-02 12:00 UTC; each stream begins an hour after the one before
_NETWORK = "efficientnet_lite0-240-12345678"


@dataclass(frozen=True)
class SmallDataset:
    """The dataset's folder and catalog, to look at what the dashboard did."""

    settings: Settings
    folder: FrameFolder
    frames: tuple[StoredFrame, ...]  # by game, login and number

    def paths(self) -> set[str]:
        """Return the paths of all frames, after a look whether rows are files and the counts are right."""
        with open_catalog(self.settings, access="read") as catalog:
            snapshot = catalog.snapshot()
        assert snapshot.paths == {frame.path for frame in self.folder.frames()}
        assert not snapshot.wrong_counts
        return set(snapshot.paths)


def write_files(download_path: Path) -> None:
    """Write the dataset's files: frames, manifests, games.tsv, check.csv and features of the frames."""
    folder = FrameFolder(download_path / "frames")
    folder.add_games(GAMES)
    frames = []
    for game_number, game in enumerate(GAMES):
        for login_number, login in enumerate(LOGINS):
            start = _FIRST_TIME + 3600 * (len(LOGINS) * game_number + login_number)
            images = [_picture(game_number, login_number, n) for n in range(FRAMES_PER_STREAM)]
            details = [_details(login, start + 10 * n) for n in range(FRAMES_PER_STREAM)]
            frames += folder.save(game.id, login, [encode_jpeg(image, 90) for image in images], details)
    folder.save_report(CHECK_FILE, to_csv(check_result(frames)).encode())
    _write_features(folder, frames)


def fill_catalog(settings: Settings, catalog: Catalog) -> SmallDataset:
    """Add the rows of a folder that `write_files` wrote."""
    folder = make_frame_store(settings)
    catalog.add_games(GAMES)
    stored = folder.described(folder.frames())
    frames = tuple(sorted(stored, key=lambda frame: (frame.game_id, frame.login, frame.number)))
    catalog.add_frames(frames)
    # In tests.dashboard.test_store_url it is an object store, which has no `root`.
    return SmallDataset(settings, cast("FrameFolder", folder), frames)


def copy_files(template: Path, download_path: Path) -> None:
    """Copy what `write_files` wrote."""
    shutil.copytree(template, download_path, dirs_exist_ok=True)


def check_result(frames: list[StoredFrame]) -> CheckResult:
    """Return invented findings: ben's Go looks like Chess, ann's Chess has a menu and a repeated picture."""
    found = []
    for frame in frames:
        key = frame.game_id, frame.login, frame.number
        if key[:2] == (GO.id, "ben"):
            found.append(FrameFinding(frame, 0.9, findings.OTHER_GAME, "looks like another game", CHESS, True))
        elif key == (CHESS.id, "ann", 2):
            found.append(FrameFinding(frame, 0.7, findings.MENU, "a menu", None, True))
        elif key == (CHESS.id, "ann", 3):
            found.append(FrameFinding(frame, 0.6, findings.DUPLICATE, "same picture as 7/ann-1.jpg", None, True))
        else:
            found.append(FrameFinding(frame, frame.number / 100, findings.GAMEPLAY, "", None, False))
    streams = [_stream(game, login) for game in GAMES for login in LOGINS]
    return CheckResult(tuple(streams), tuple(sorted(found, key=lambda finding: -finding.suspicion)))


def _stream(game: Game, login: str) -> StreamFinding:
    if (game, login) == (GO, "ben"):
        kind, reason = findings.OTHER_GAME, "looks like another game"
        return StreamFinding(game.id, login, FRAMES_PER_STREAM, 0.95, kind, reason, CHESS, True)
    return StreamFinding(game.id, login, FRAMES_PER_STREAM, 0.1, findings.GAMEPLAY, "", None, False)


def _picture(game: int, login: int, number: int) -> np.ndarray:
    """Return uint8 RGB (SIZE, SIZE, 3): the game's colour, a bar for the login and one for the number."""
    image = np.full((SIZE, SIZE, 3), 60, np.uint8)
    image[:, :, game % 3] = 120 + 40 * (game // 3)
    image[8:16, : 16 * (login + 1)] = 255
    image[SIZE - 8 :, : 6 * (number + 1)] = 230
    return image


def _details(login: str, time: float) -> FrameDetails:
    title = HOSTILE_TITLE if login == "cat" else f"{login} plays"
    return FrameDetails(time, LANGUAGES[login], 100, title, f"https://www.twitch.tv/{login}")


def _write_features(folder: FrameFolder, frames: list[StoredFrame]) -> None:
    """Store vectors as a check does: alike within a stream, less so within a game."""
    noise = np.random.default_rng(1)
    hashes = [frame.sha256 for frame in frames]
    games = noise.normal(size=(len(GAMES), 32)).repeat(len(LOGINS) * FRAMES_PER_STREAM, axis=0)
    streams = noise.normal(size=(len(GAMES) * len(LOGINS), 32)).repeat(FRAMES_PER_STREAM, axis=0)
    vectors = games + 0.5 * streams + 0.1 * noise.normal(size=(len(frames), 32))
    root = folder.root / FEATURES_FOLDER
    FeatureStore(root / _NETWORK).add(hashes, vectors.astype(np.float16))
    FeatureStore(root / THUMBNAILS).add(hashes, noise.integers(0, 255, (len(frames), 900), np.uint8))
