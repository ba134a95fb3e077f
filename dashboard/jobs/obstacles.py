"""Obstacles: what a job still needs before it can start, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from config import Settings
from dashboard.jobs.options import Kind
from data.commands import install_command, missing_libraries
from data.errors import ToolkitError
from data.factories import make_frame_store
from data.storage.layout import GAME_FOLDER

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
    games = len(list(islice(_games_with_frames(settings), 2)))
    return "" if games == 2 else _NO_GAMES.format("one" if games else "none")


def _games_with_frames(settings: Settings) -> Iterator[str]:
    with suppress(ToolkitError):
        files = make_frame_store(settings).files
        for game in filter(GAME_FOLDER.fullmatch, files.names("")):
            with suppress(ToolkitError):
                if any(path.endswith(".jpg") for path in files.walk(game)):
                    yield game
