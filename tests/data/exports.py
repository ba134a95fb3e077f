"""Datasets to export, and what exports hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data.entities import FrameDetails, Game
from data.storage.frame_folder import FrameFolder

# Names that file systems, YAML, Markdown and classes' names have trouble with.
GAMES = {743: "Chess", 744: "chess", 10**12: '../..: "A|B" <i>*x*</i>', 10**12 + 1: "原神"}
STREAMERS = ("ann", "bob", "eve_1", "dan", "fay")


def jpeg(seed: str, size: int = 32) -> bytes:
    """Return a picture of its own for each seed."""
    rng = np.random.default_rng(list(seed.encode()))
    image = cv2.resize(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), (size, size))
    return cv2.imencode(".jpg", image)[1].tobytes()


def make_dataset(root: Path, frames: int = 3) -> FrameFolder:
    """Return a dataset of four games with five streamers and `frames` frames each; some details are known.

    The streamers of a game have logins of their own, but for ann, who plays them all.
    """
    folder = FrameFolder(root)
    folder.add_games(Game(game_id, name) for game_id, name in GAMES.items())
    for game_id in GAMES:
        for streamer in STREAMERS:
            login = streamer if streamer == "ann" else f"{streamer}_{game_id % 1000}"
            address = f"https://www.twitch.tv/{login}"
            known = FrameDetails(1_700_000_000.125 + game_id % 7, "no", 12, f"{login}'s stream", address)
            details = [known if number % 2 else FrameDetails() for number in range(frames)]
            folder.save(game_id, login, [jpeg(f"{game_id}/{login}/{n}") for n in range(frames)], details)
    return folder


def manifest(out: Path) -> dict[str, Any]:
    """Return what the export says that it holds."""
    content: dict[str, Any] = json.loads((out / "export.json").read_bytes())
    return content
