"""Split by streamer: train, validation and test. A streamer, and so a stream, is never in two of them.

Each game gives its streamers to the splits in the proportion that was asked for, but at least one to each split, if
half of the streamers are left for train then. So a game of three has two in train and one in validation.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from data.entities import StoredFrame
from data.exchange.sample import SPLITS, Split


def split_by_streamer(frames: Iterable[StoredFrame], fractions: Sequence[float], seed: int) -> dict[str, Split]:
    """Return the split of each login, which holds for all of its games. Every game has a streamer in train.

    fractions: of each game's streamers for train, validation and test; they sum to 1. The result depends on the logins,
    the games that they play and the seed only.
    """
    logins: dict[int, set[str]] = defaultdict(set)
    for frame in frames:
        logins[frame.game_id].add(frame.login)
    missing = {game_id: _quotas(len(players), fractions) for game_id, players in logins.items()}
    games: dict[str, list[int]] = defaultdict(list)
    for game_id in sorted(logins):
        for login in logins[game_id]:
            games[login].append(game_id)
    # Who plays many games first, while every split still has room for them.
    order = sorted(games, key=lambda login: (-len(games[login]), _place(login, seed)))
    split_of = {login: _emptiest(games[login], missing) for login in order}
    for game_id in sorted(logins):  # streamers of several games may have taken a game's place in train
        if not any(split_of[login] == "train" for login in logins[game_id]):
            split_of[min(logins[game_id], key=lambda login: (len(games[login]), _place(login, seed)))] = "train"
    return split_of


def _quotas(streamers: int, fractions: Sequence[float]) -> list[float]:
    """Return how many of a game's streamers each split wants; the first one, train, always wants some."""
    others = [split for split, fraction in enumerate(fractions) if split and fraction > 0]
    if streamers // 2 < len(others):
        few = others[: streamers // 2]
        return [float(streamers - len(few)), *(float(split in few) for split in range(1, len(fractions)))]
    least = [max(1.0, streamers * fraction) if fraction > 0 else 0.0 for fraction in fractions]
    return [streamers * quota / sum(least) for quota in least]


def _emptiest(games: Sequence[int], missing: dict[int, list[float]]) -> Split:
    """Return the split that lacks most streamers of these games, the first among equals; count the streamer there."""
    lacks = [round(sum(missing[game_id][split] for game_id in games), 9) for split in range(len(SPLITS))]
    split = lacks.index(max(lacks))
    for game_id in games:
        missing[game_id][split] -= 1
    return SPLITS[split]


def _place(login: str, seed: int) -> bytes:
    """Return a random but reproducible sort key."""
    return hashlib.sha256(f"{seed}/{login}".encode()).digest()
