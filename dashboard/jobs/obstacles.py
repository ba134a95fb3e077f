"""Obstacles: what a job still needs before it can start, in a sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from config import Settings
from dashboard.jobs.options import Kind
from data.commands import install_command, missing_libraries
from data.storage.folder_scan import GAME_FOLDER

_NO_CLIENT = "Twitch needs credentials: set CLIENT_ID, and CLIENT_SECRET or ACCESS_TOKEN, and start the server again."
_NO_GAMES = "Two games with frames are needed, and the dataset has {}: collect frames first."


def obstacle(kind: Kind, settings: Settings) -> str:
    """Return what hinders a job of this kind; "" if nothing does."""
    if kind in ("download", "survey"):
        secrets = (settings.access_token, settings.client_secret)
        has_client = settings.client_id and any(secret.get_secret_value() for secret in secrets)
        return "" if has_client else _NO_CLIENT
    if kind == "train" and (missing := missing_libraries("train")):
        return f"Training needs {', '.join(missing)}, not installed here: {install_command('train')}"
    games = len(list(islice(_games_with_frames(settings.download_path / "frames"), 2)))
    return "" if games == 2 else _NO_GAMES.format("one" if games else "none")


def _games_with_frames(root: Path) -> Iterator[str]:
    with suppress(OSError), os.scandir(root) as games:
        for game in games:
            if GAME_FOLDER.fullmatch(game.name):
                with suppress(OSError), os.scandir(game.path) as files:
                    if any(file.name.endswith(".jpg") for file in files):
                        yield game.name
