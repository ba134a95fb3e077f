"""Train/validation split by streamer: frames in, frames out, no TensorFlow.

A streamer has a webcam, an overlay, a layout and favourite maps. With frames of one streamer on both sides, a network
is rewarded for recognising the streamer, and its validation accuracy says nothing about other streamers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from data.entities import Game, StoredFrame
from data.errors import DatasetError

_MAX_ATTEMPTS = 200
_INSEPARABLE = (
    "The streamers cannot be split so that every game has some for training and some for validation: too many play "
    "the same games. Collect more streamers with python -m data.download."
)


@dataclass(frozen=True, slots=True)
class Split:
    """Frames for training and for validation, sorted by game, login and number. This module puts no login in both."""

    training: tuple[StoredFrame, ...]
    validation: tuple[StoredFrame, ...]


def split_by_fraction(frames: Sequence[StoredFrame], games: Sequence[Game], fraction: float, seed: int) -> Split:
    """Split `frames` so that each game has streamers for training and for validation.

    A login that streams several games is on one side in all of them. The result does not depend on the order of
    `frames`. `fraction`: of each game's streamers for validation, 0 to 1; at least one and never all. Raises
    DatasetError: a game has fewer than two streamers, or streamers that share games leave no valid split.
    """
    by_game = _logins_per_game(frames, games)
    rng = random.Random(seed)
    for _ in range(_MAX_ATTEMPTS):
        validation = _pick_validation(by_game, fraction, rng)
        if all(0 < len(validation.intersection(logins)) < len(logins) for logins in by_game):
            return _to_split(frames, validation)
    raise DatasetError(_INSEPARABLE)


def split_by_login(frames: Sequence[StoredFrame], games: Sequence[Game], logins: Sequence[str]) -> Split:
    """Validate on these streamers and train on all others, which makes training runs comparable.

    Raises DatasetError: a login has no frame, or a game has no other streamer.
    """
    unknown_logins = set(logins) - {frame.login for frame in frames}
    if unknown_logins:
        raise DatasetError(f"VALIDATION_STREAMERS: there is no frame of {', '.join(sorted(unknown_logins))}.")
    split = _to_split(frames, set(logins))
    trained_games = {frame.game_id for frame in split.training}
    if untrained_games := [game.name for game in games if game.id not in trained_games]:
        raise DatasetError(f"VALIDATION_STREAMERS: no streamer remains to train on for {', '.join(untrained_games)}.")
    return split


def k_folds(frames: Sequence[StoredFrame], games: Sequence[Game], count: int, seed: int) -> list[Split]:
    """Split into `count` folds: each streamer validates in one fold and trains in all others.

    Every game has streamers to train on in each fold. A game with fewer streamers than folds has no validation frame
    in some of them. The result does not depend on the order of `frames`. Raises DatasetError: too few streamers, or
    streamers that share games leave no valid split.
    """
    by_game = _logins_per_game(frames, games)
    everyone = sorted(set().union(*by_game))  # sorted: the order of a set differs from run to run
    if len(everyone) < count:
        raise DatasetError(f"{len(everyone)} streamers are too few for {count} folds: lower --folds.")
    rng = random.Random(seed)
    for _ in range(_MAX_ATTEMPTS):
        fold_of = _assign_folds(everyone, by_game, count, rng)
        folds = [{login for login in everyone if fold_of[login] == fold} for fold in range(count)]
        if all(folds) and not any(fold.issuperset(logins) for fold in folds for logins in by_game):
            return [_to_split(frames, fold) for fold in folds]
    raise DatasetError(_INSEPARABLE)


def _assign_folds(everyone: list[str], games: list[list[str]], count: int, rng: random.Random) -> dict[str, int]:
    """Assign each login to the fold with the fewest streamers of its games, then to the smallest fold."""
    played = {login: [game for game, logins in enumerate(games) if login in logins] for login in everyone}
    in_fold = [[0] * len(games) for _ in range(count)]  # streamers by fold and game
    sizes = [0] * count
    fold_of = {}
    # Greedy, in random order: good enough, because the caller checks the result and retries.
    for login in rng.sample(everyone, len(everyone)):
        loads = [(sum(in_fold[fold][game] for game in played[login]), sizes[fold]) for fold in range(count)]
        fold_of[login] = rng.choice([fold for fold in range(count) if loads[fold] == min(loads)])
        sizes[fold_of[login]] += 1
        for game in played[login]:
            in_fold[fold_of[login]][game] += 1
    return fold_of


def _logins_per_game(frames: Sequence[StoredFrame], games: Sequence[Game]) -> list[list[str]]:
    """Return the logins of each game, sorted. Raises DatasetError: a game has fewer than two."""
    found: dict[int, set[str]] = {game.id: set() for game in games}
    for frame in frames:
        found[frame.game_id].add(frame.login)
    few = [f"{game.name} ({len(found[game.id])})" for game in games if len(found[game.id]) < 2]
    if few:
        raise DatasetError(
            f"Too few streamers with readable frames to split: {', '.join(few)}. A game needs two, one to train on "
            "and one to validate. Collect more with python -m data.download, or move the folders of these games away."
        )
    return [sorted(found[game.id]) for game in games]


def _pick_validation(games: list[list[str]], fraction: float, rng: random.Random) -> set[str]:
    """Pick logins for validation: `fraction` of each game's, including those picked for another game.

    A pick may leave another game without streamers on one side: the caller checks, and retries with the next numbers.
    """
    validation: set[str] = set()
    training: set[str] = set()
    for logins in sorted(games, key=len):  # games with few streamers first: they have the least choice
        wanted = min(max(1, round(fraction * len(logins))), len(logins) - 1)  # one remains on each side
        free = [login for login in logins if login not in validation and login not in training]
        missing = max(0, wanted - len(validation.intersection(logins)))
        picked = rng.sample(free, min(missing, len(free)))
        validation.update(picked)
        training.update(set(free).difference(picked))
    return validation


def _to_split(frames: Sequence[StoredFrame], validation: set[str]) -> Split:
    # The order of the files decides nothing, so that a seed reproduces a training run on another machine.
    ordered = sorted(frames, key=lambda frame: (frame.game_id, frame.login, frame.number))
    return Split(
        training=tuple(frame for frame in ordered if frame.login not in validation),
        validation=tuple(frame for frame in ordered if frame.login in validation),
    )
