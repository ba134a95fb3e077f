"""Selection: the live streams that an audit covers, and those of them whose category can be judged."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from data.entities import Game, Stream
from data.text import plural
from recognition.reports.outcomes import OTHER_CATEGORIES

if TYPE_CHECKING:
    from data.twitch.helix import Helix
    from recognition.reports.outcomes import Judgement

_MAX_NOT_JUDGED = 200  # categories that are listed by name


@dataclass(frozen=True, slots=True)
class Scope:
    """What an audit covers. Audits of the same scope can be compared.

    games: names of categories; none: all. languages: codes; none: all. top: only the streams with the most viewers.
    named: keyed hash of the named channels, "" without any; named_count: their number. listed: whether streams are
    listed, not only named. sample: how many streams to look at; None: all.
    """

    games: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    top: int | None = None
    named: str = ""
    named_count: int = 0
    listed: bool = True
    sample: int | None = None
    min_precision: float = 0.0

    def key(self) -> str:
        """Return the text that is the same for the same scope. It names no streamer."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    def __str__(self) -> str:
        """What people read, such as: the 200 live streams with the most viewers of Chess, in en."""
        parts = [plural(self.named_count, "named channel")] if self.named else []
        if self.listed:
            most = f"the {self.top:,} live streams with the most viewers" if self.top else "all live streams"
            games = f" of {', '.join(self.games)}" if self.games else ""
            languages = f", in {', '.join(self.languages)}" if self.languages else ""
            parts.append(most + games + languages)
        sample = f"; a stratified sample of {plural(self.sample, 'stream')}" if self.sample else ""
        return " and ".join(parts) + sample


@dataclass(frozen=True, slots=True)
class Population:
    """What is live. judged: streams whose category is judged. not_judged: (category, streams, viewers) of the others,
    the most streams first. absent: named channels that are not live.
    """

    judged: tuple[Stream, ...]
    not_judged: tuple[tuple[str, int, int], ...]
    absent: tuple[str, ...]

    @property
    def listed(self) -> int:
        """Return the number of live streams."""
        return len(self.judged) + sum(streams for _, streams, _ in self.not_judged)


def find_streams(
    helix: Helix, scope: Scope, named: Iterable[str], is_excluded: Callable[[str], bool], judgement: Judgement
) -> Population:
    """Return the live streams of the scope, without those of excluded streamers.

    named: logins. Raises DirectoryError, FolderError.
    """
    logins = [login for login in dict.fromkeys(named) if not is_excluded(login)]
    live = helix.streams_by_login(logins) if logins else {}
    found = dict(live)
    for stream in _listing(helix, scope) if scope.listed else ():
        if not is_excluded(stream.login):
            found.setdefault(stream.login, stream)
    judges = cache(judgement.judges)  # 100,000 streams have a few thousand categories
    judged = tuple(stream for stream in found.values() if judges(stream.category))
    others = (stream for stream in found.values() if not judges(stream.category))
    return Population(judged, _counted(others), tuple(login for login in logins if login not in live))


def _listing(helix: Helix, scope: Scope) -> Iterator[Stream]:
    """Yield the live streams of the scope by viewers, descending."""
    games: list[Game] = [helix.game_by_name(name) for name in scope.games]
    listings = [helix.iter_streams(game.id) for game in games] or [helix.iter_streams()]
    return islice(heapq.merge(*listings, key=lambda stream: -stream.viewers), scope.top)


def _counted(streams: Iterable[Stream]) -> tuple[tuple[str, int, int], ...]:
    """Return (category, streams, viewers), the most streams first; the rest of many categories as one."""
    counts: Counter[str] = Counter()
    viewers: Counter[str] = Counter()
    for stream in streams:
        counts[stream.game_name] += 1
        viewers[stream.game_name] += stream.viewers
    rows = [(name, count, viewers[name]) for name, count in counts.most_common()]
    rest = rows[_MAX_NOT_JUDGED:]
    others = (OTHER_CATEGORIES, sum(row[1] for row in rest), sum(row[2] for row in rest))
    return (*rows[:_MAX_NOT_JUDGED], *([others] if rest else []))
