"""Classes of a dataset: the games that its frames show, as labels of a classifier. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from data.entities import Game, StoredFrame
from data.errors import DatasetError


def classes_of(frames: Iterable[StoredFrame], names: Mapping[int, str], location: str) -> tuple[Game, ...]:
    """Return the frames' games, sorted by id: a game's index is its label and the model's output.

    names: by game id. location: of the dataset, for messages. Raises DatasetError: fewer than two games.
    """
    ids = sorted({frame.game_id for frame in frames})
    classes = tuple(Game(game_id, names.get(game_id, f"game {game_id}")) for game_id in ids)
    if not classes:
        raise DatasetError(f"There are no frames in {location}. Collect some with python -m data.download.")
    if len(classes) == 1:
        raise DatasetError(
            f"{classes[0].name} is the only game in {location}, but a classifier needs two. Set MAX_GAMES to 2 "
            "or more and collect another with python -m data.download."
        )
    return classes
