"""Game ids: the game of the dataset that a name stands for, or a new one with Twitch's id or one of our own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from data.entities import Game, is_game_id, is_own_id
from data.errors import CategoryNotFound
from data.text import printable_line

log = logging.getLogger(__name__)


class GameStore(Protocol):
    """The part of a `data.storage.frame_store.FrameStore` that is needed here."""

    def game_names(self) -> Mapping[int, str]: ...  # noqa: D102 - documented by FrameFolder
    def add_games(self, games: Iterable[Game]) -> None: ...  # noqa: D102
    def add_own_game(self, name: str) -> Game: ...  # noqa: D102


class GameIndex(Protocol):
    """The part of `data.storage.catalog.Catalog` that is needed here."""

    def add_games(self, games: Iterable[Game]) -> None: ...  # noqa: D102 - documented by Catalog


class GameIds:
    """Finds the games of names, and adds those that the dataset lacks.

    Args:
        store: where the games' names stand.
        index: rows of the games; None: a dry run, which adds nothing and gives new own games the id 0.
        find: returns Twitch's category of a name, or raises CategoryNotFound; None without credentials.
    """

    def __init__(self, store: GameStore, index: GameIndex | None, find: Callable[[str], Game] | None) -> None:
        self._store, self._index, self._find_category = store, index, find
        self._names = dict(store.game_names())
        self._found: dict[tuple[int, str], Game] = {}
        self.added: list[Game] = []  # games that the dataset did not have

    def resolve(self, name: str, game_id: int = 0) -> Game:
        """Return the game of a name, which is in the dataset from then on. Raises DirectoryError, FolderError.

        name: in any case, with `_` for a space if need be; digits are an id. game_id: that of an export; 0 otherwise.
        """
        key = (game_id, name)
        if key not in self._found:
            self._found[key] = self._add(self._find(printable_line(name.replace("_", " ")), game_id))
        return self._found[key]

    def _find(self, name: str, game_id: int) -> Game:
        """Return the game; with the id 0 if it needs one of our own."""
        if game_id and not is_own_id(game_id):  # own ids of another dataset mean nothing here
            return Game(game_id, self._names.get(game_id) or name or f"game {game_id}")
        if known := self._known(name):
            return known
        if self._find_category:
            try:
                found = self._find_category(name)
                return Game(found.id, self._names.get(found.id, found.name))
            except CategoryNotFound as error:
                log.warning("added all the same, as a game that Twitch does not know: %s", error)
        return Game(int(name), f"game {name}") if _is_id(name) else Game(0, name)

    def _known(self, name: str) -> Game | None:
        """Return the game of the dataset with this id or name, one with Twitch's id first."""
        if _is_id(name) and int(name) in self._names:
            return Game(int(name), self._names[int(name)])
        same = (game_id for game_id in sorted(self._names) if _key(self._names[game_id]) == _key(name))
        return next((Game(game_id, self._names[game_id]) for game_id in same), None)

    def _add(self, game: Game) -> Game:
        is_new = game.id not in self._names
        if self._index:
            if game.id:  # also a game that was removed: adding to it brings it back
                self._store.add_games([game])
            else:
                game = self._store.add_own_game(game.name)
            self._index.add_games([game])
        if is_new:
            self.added.append(game)
        if game.id:
            self._names[game.id] = game.name
        return game


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdigit() and not name.startswith("0") and is_game_id(int(name[:19]))


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").split()).casefold()
