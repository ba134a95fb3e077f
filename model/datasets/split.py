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
_SHARED = (
    "The streamers cannot be split so that every game has some on each side: too many play the same games. "
    "Collect more streamers with python -m data.download."
)


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
    logins = _streamers(frames, games)
    chooser = random.Random(seed)
    for _ in range(_TRIES):
        validating = _choose(list(logins.values()), validation_split, chooser)
        if all(0 < len(validating.intersection(found)) < len(found) for found in logins.values()):
            return _sides(frames, validating)
    raise DatasetError(_SHARED)


def named(frames: Sequence[StoredFrame], games: Sequence[Game], logins: Sequence[str]) -> Sides:
    """Validate on the streamers of these `logins` and train on all others, as whoever compares trainings wants it.

    Raises DatasetError: there is no frame of one of them, or a game has nobody else to train on.
    """
    strangers = set(logins) - {frame.login for frame in frames}
    if strangers:
        raise DatasetError(f"VALIDATION_STREAMERS: no frame is of {', '.join(sorted(strangers))}.")
    sides = _sides(frames, set(logins))
    taught = {frame.game_id for frame in sides.training}
    if untaught := [game.name for game in games if game.id not in taught]:
        raise DatasetError(f"VALIDATION_STREAMERS: they leave nobody to train on of {', '.join(untaught)}.")
    return sides


def folds(frames: Sequence[StoredFrame], games: Sequence[Game], count: int, seed: int) -> list[Sides]:
    """`count` pairs of sides: each streamer validates in one of them and trains in all others.

    Every game of `games` gets streamers to train on in each; one with fewer streamers than folds is not
    validated in all of them. The same frames and seed give the same folds. Raises DatasetError: there are
    too few streamers, or those that share games leave no way to part them.
    """
    logins = _streamers(frames, games)
    everybody = sorted(set().union(*logins.values()))
    if len(everybody) < count:
        raise DatasetError(f"{len(everybody)} streamers are too few for {count} folds: lower --folds.")
    chooser = random.Random(seed)
    for _ in range(_TRIES):
        places = _deal(everybody, list(logins.values()), count, chooser)
        parts = [{login for login in everybody if places[login] == fold} for fold in range(count)]
        if all(parts) and not any(part.issuperset(found) for part in parts for found in logins.values()):
            return [_sides(frames, part) for part in parts]
    raise DatasetError(_SHARED)


def _deal(everybody: list[str], games: list[list[str]], count: int, chooser: random.Random) -> dict[str, int]:
    """Each login's fold: where its games have the fewest streamers so far, and then where the fewest are."""
    played = {login: [place for place, logins in enumerate(games) if login in logins] for login in everybody}
    in_fold = [[0] * len(games) for _ in range(count)]
    sizes = [0] * count
    places = {}
    for login in chooser.sample(everybody, len(everybody)):
        crowds = [(sum(in_fold[fold][game] for game in played[login]), sizes[fold]) for fold in range(count)]
        places[login] = chooser.choice([fold for fold in range(count) if crowds[fold] == min(crowds)])
        sizes[places[login]] += 1
        for game in played[login]:
            in_fold[places[login]][game] += 1
    return places


def _streamers(frames: Sequence[StoredFrame], games: Sequence[Game]) -> dict[Game, list[str]]:
    """Each game's logins, sorted. Raises DatasetError: a game has fewer than two."""
    found: dict[int, set[str]] = {game.id: set() for game in games}
    for frame in frames:
        found[frame.game_id].add(frame.login)
    logins = {game: sorted(found[game.id]) for game in games}
    few = [f"{game.name} ({len(names)})" for game, names in logins.items() if len(names) < 2]
    if few:
        raise DatasetError(
            f"Too few streamers with readable frames to split: {', '.join(few)}. Two are needed, one to train on and "
            "one to validate: collect more with python -m data.download, or move the folders of these games away."
        )
    return logins


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
