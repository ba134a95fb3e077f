"""Category resolution: the games that a user names by name or id, with "did you mean" for what does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from difflib import SequenceMatcher, get_close_matches

from data.entities import Game, is_own_id
from data.errors import CategoryNotFound, DirectoryUnavailable
from data.twitch.helix import Helix

_ID = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_MAX_SUGGESTIONS = 3
_MAX_UNKNOWN = 5  # entries in one message


def resolve_games(helix: Helix, entries: Iterable[str], known: Mapping[int, str] | None = None) -> list[Game]:
    """Return the games that `entries` stand for, each once, in their order.

    An entry is an id, or a name in any letter case. Digits are a name if no game has that id.

    known: names of the dataset's games by id, for suggestions. Raises CategoryNotFound, which names the unknown
    entries and similar names; DirectoryUnavailable; DirectoryUnauthorized.
    """
    wanted = list(dict.fromkeys(entries))
    by_id = helix.games_by_id(int(entry) for entry in wanted if _ID.fullmatch(entry))
    found = {str(game.id): game for game in by_id.values()}
    found |= helix.games_by_name(entry for entry in wanted if entry not in found)
    problems: list[str] = []
    for entry in wanted:
        if entry not in found and len(problems) < _MAX_UNKNOWN:
            similar = _search(helix, entry)
            same = next((game for game in similar if game.name.casefold() == entry.casefold()), None)
            if same:  # /games may compare letter case; the search does not
                found[entry] = same
            else:
                problems.append(_explain(entry, [game.name for game in similar], known or {}))
    if problems:
        raise CategoryNotFound("; ".join(problems))
    return list(dict.fromkeys(found[entry] for entry in wanted))


def closest_names(name: str, names: Iterable[str]) -> list[str]:
    """Return those of `names` that `name` is probably meant for, the most similar first, in any letter case."""
    by_key = {other.casefold(): other for other in names}
    return [by_key[key] for key in get_close_matches(name.casefold(), by_key, _MAX_SUGGESTIONS)]


def _search(helix: Helix, entry: str) -> list[Game]:
    with suppress(DirectoryUnavailable):  # a query that Twitch rejects: the message needs no suggestions
        return helix.search_categories(entry)
    return []


def _explain(entry: str, found: Sequence[str], known: Mapping[int, str]) -> str:
    """Return the message for an unknown entry, with the most similar of the names `found` by Twitch and `known`."""
    key = entry.casefold()
    if any(is_own_id(game_id) and key in {str(game_id), name.casefold()} for game_id, name in known.items()):
        return f"{entry!r} is a game of this dataset, but no category of Twitch: add frames of it with data.add"
    others = [name for game_id, name in known.items() if not is_own_id(game_id) and name.casefold() != key]
    names = {*found, *closest_names(entry, others)}
    ranked = sorted(names, key=lambda name: (-SequenceMatcher(None, key, name.casefold()).ratio(), name))
    what = f"id {entry}" if _ID.fullmatch(entry) else repr(entry)
    advice = " or ".join(map(repr, ranked[:_MAX_SUGGESTIONS]))
    return f"Twitch has no category {what}: " + (f"did you mean {advice}?" if advice else "check its spelling")
