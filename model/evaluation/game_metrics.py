"""Game metrics: how far to trust a model's answers, game by game, as its training measured it. No TensorFlow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.entities import Game
from data.errors import ModelError
from data.readers import read_regular_file
from data.text import valid_unicode
from model.inference.location import METRICS, RESULTS_FOLDER

_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class GameMetrics:
    """Answers for the validation streams of a game, and how many of the streams that are called this game are right."""

    game: Game
    precision: float | None  # fraction of the `called` streams that show this game, 0 to 1; None without any
    called: int  # streams of all games that are surely called this game (model.inference.calibration.is_sure)
    right: int  # streams of this game by their answer; those of a sure answer count again in `sure`
    other_game: int  # only sure answers
    no_game: int
    unknown: int
    sure: int


def read_game_metrics(model_path: Path) -> dict[int, GameMetrics] | None:
    """Return the metrics of each class of the model by game id; None if none were measured.

    An older version trained it, then, or its results were deleted. Raises ModelError: damaged file.
    """
    path = model_path / RESULTS_FOLDER / METRICS
    try:
        games = json.loads(read_regular_file(path, _MAX_BYTES))["games"]
        if not games or "sure" not in games[0].get("streams_by_answer", ()):
            return None
        return {metrics.game.id: metrics for metrics in map(_game_metrics, games)}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read. Train the model again: python -m model.create") from error


def _game_metrics(stored: dict[str, Any]) -> GameMetrics:
    """Return a game's entry. Raises ValueError, TypeError or KeyError: invalid values."""
    answers = stored["streams_by_answer"]
    counts = [
        stored["called_streams"],
        *(answers[key] for key in ("right", "other_game", "no_game", "unknown", "sure")),
    ]
    precision = stored["precision_by_stream"]
    if not all(type(count) is int and 0 <= count < 2**63 for count in [stored["id"], *counts]):
        raise ValueError("invalid count")
    if precision is not None and not 0 <= precision <= 1:
        raise ValueError("invalid precision")
    return GameMetrics(Game(stored["id"], valid_unicode(stored["name"])), precision, *counts)
