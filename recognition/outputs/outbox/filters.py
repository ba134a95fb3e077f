"""Filters of a target: which alerts it gets, and when. They are query parameters of its URL.

kinds=change,mismatch       only alerts of these kinds
channels=ann,bob            only these sources
games=VALORANT,743          only alerts in which one of these games (name or id) comes or goes
quiet=22:00-07:00           hold alerts back in these hours of each day, by the local clock
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus

from data.entities import Game
from data.errors import SettingsError
from data.text import printable
from recognition.outputs.targets.base import KINDS, Alert
from recognition.sources import normalise, twitch_login

_NAMES = ("kinds", "channels", "games", "quiet")
_QUIET = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)", re.ASCII)
_DAY_MINUTES = 24 * 60
_MAX_SHOWN = 60  # characters of an invalid value in a message


@dataclass(frozen=True, slots=True)
class Filter:
    """Decides which alerts a target gets. An empty set allows all.

    quiet: first minute of the day without deliveries, and first one with deliveries again; None: no quiet hours.
    """

    kinds: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    games: frozenset[str] = frozenset()  # names in lower case, and ids as digits
    quiet: tuple[int, int] | None = None

    def accepts(self, alert: Alert, default_kinds: frozenset[str]) -> bool:
        """Return whether the target gets the alert. `default_kinds` count where the URL names none."""
        games = {key for game in (alert.before, alert.game) if game for key in _keys(game)}
        source = twitch_login(alert.source) or alert.source
        return (
            alert.kind in (self.kinds or default_kinds)
            and (not self.channels or source in self.channels)
            and (not self.games or not self.games.isdisjoint(games))
        )

    def is_quiet(self, local: datetime) -> bool:
        """Return whether alerts are held back at this local time. Only the clock's face counts.

        So an hour that summer time skips is over at once, and one that comes twice is quiet twice.
        """
        if not self.quiet:
            return False
        first, last = self.quiet
        minute = 60 * local.hour + local.minute
        return first <= minute < last if first < last else minute >= first or minute < last


def split_filter(url: str, option: str) -> tuple[str, Filter]:
    """Return the URL without the filter's parameters, everything else unchanged, and the filter.

    Raises SettingsError, which names the option and holds nothing of the URL but the filter's values.
    """
    address, _, rest = url.partition("?")
    query, hash_sign, fragment = rest.partition("#")
    kept, given = [], dict[str, str]()
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name not in _NAMES:
            kept.append(pair)
        elif name in given:
            raise SettingsError(f"{option}: {name}= comes twice; join the values with commas")
        else:
            given[name] = unquote_plus(value)
    query = "&".join(kept)
    return address + (query and f"?{query}") + hash_sign + fragment, _parse(given, option)


def _parse(given: Mapping[str, str], option: str) -> Filter:
    lists = {name: _entries(name, value, option) for name, value in given.items() if name != "quiet"}
    kinds = lists.get("kinds", frozenset())
    if wrong := sorted(kinds - set(KINDS)):
        raise _error(option, "kinds", wrong[0], f"choose from {', '.join(KINDS)}")
    channels = frozenset(twitch_login(entry) or normalise(entry) for entry in lists.get("channels", ()))
    games = frozenset(entry.casefold() for entry in lists.get("games", ()))
    quiet = _minutes(given["quiet"], option) if "quiet" in given else None
    return Filter(kinds, channels, games, quiet)


def _entries(name: str, value: str, option: str) -> frozenset[str]:
    entries = frozenset(filter(None, (entry.strip() for entry in value.split(","))))
    if not entries:
        raise _error(option, name, value, "give at least one, separated by commas")
    return entries


def _minutes(value: str, option: str) -> tuple[int, int]:
    match = _QUIET.fullmatch(value.strip())
    hours = tuple(map(int, match.groups())) if match else (0, 0, 0, 0)
    first, last = ((60 * hour + minute) % _DAY_MINUTES for hour, minute in (hours[:2], hours[2:]))
    if first == last:
        raise _error(option, "quiet", value, "write two different times as in quiet=22:00-07:00")
    return first, last


def _keys(game: Game) -> tuple[str, str]:
    return game.name.casefold(), str(game.id)


def _error(option: str, name: str, value: str, advice: str) -> SettingsError:
    return SettingsError(f"{option}: invalid {name} {printable(value[:_MAX_SHOWN])!r}; {advice}")
