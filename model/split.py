"""Which frames train and which validate: values in, values out, no TensorFlow.

A streamer has a face camera, an overlay, a layout and a taste in maps. With frames of one streamer on
both sides the network is rewarded for recognising the streamer, and the validation accuracy says nothing
about streams that it never saw. So streamers are split, not frames.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from data.entities import Game, StoredFrame
from data.errors import DatasetError

_TRIES = 200


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides, each sorted by game, login and number; no login is on both."""

    training: tuple[StoredFrame, ...]
    validation: tuple[StoredFrame, ...]


def split(frames: Sequence[StoredFrame], games: Sequence[Game], validation_split: float, seed: int) -> Sides:
    """Split `frames` by streamer; every game of `games` gets streamers on both sides.

    Of each game's streamers `validation_split` (0 to 1), at least one and never all, validate. A login that
    streams several games is on the same side in all of them. The same frames, in any order, and the same
    seed give the same sides. Raises DatasetError: a game has fewer than two streamers, or streamers that
    share games leave no way to part them.
    """
    logins = {game: sorted({frame.login for frame in frames if frame.game_id == game.id}) for game in games}
    few = [f"{game.name} ({len(found)})" for game, found in logins.items() if len(found) < 2]
    if few:
        raise DatasetError(
            f"Too few streamers with readable frames to split: {', '.join(few)}. Two are needed, one to train on and "
            "one to validate: collect more with python -m data.download, or move the folders of these games away."
        )
    chooser = random.Random(seed)
    for _ in range(_TRIES):
        validating = _choose(list(logins.values()), validation_split, chooser)
        if all(0 < len(validating.intersection(found)) < len(found) for found in logins.values()):
            return _sides(frames, validating)
    raise DatasetError(
        "The streamers cannot be split so that every game has some on each side: too many play the same games. "
        "Collect more streamers with python -m data.download."
    )


def _choose(games: list[list[str]], share: float, chooser: random.Random) -> set[str]:
    """Logins to validate with: `share` of each game's, counting those chosen through another game.

    Games with the fewest streamers choose first: they have the least room. Where a login in several games
    spoils another game's choice, the caller tries again with the next random numbers.
    """
    validating: set[str] = set()
    training: set[str] = set()
    for logins in sorted(games, key=len):
        wanted = min(max(1, round(share * len(logins))), len(logins) - 1)
        free = [login for login in logins if login not in validating and login not in training]
        missing = max(0, wanted - len(validating.intersection(logins)))
        chosen = chooser.sample(free, min(missing, len(free)))
        validating.update(chosen)
        training.update(set(free).difference(chosen))
    return validating


def _sides(frames: Sequence[StoredFrame], validating: set[str]) -> Sides:
    ordered = sorted(frames, key=lambda frame: (frame.game_id, frame.login, frame.number))
    return Sides(
        training=tuple(frame for frame in ordered if frame.login not in validating),
        validation=tuple(frame for frame in ordered if frame.login in validating),
    )
