"""Names of the games: `<root>/games.tsv`, with `<game_id><tab><name>` on each line, UTF-8, sorted by id.

A game that the file names and that has no folder was removed. Every function raises FolderError.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from data.atomic import atomic_file, folder_lock
from data.entities import FIRST_OWN_ID, Game
from data.readers import read_regular_file
from data.storage.folder_errors import folder_errors, repeat_if_removed
from data.storage.folder_scan import GAME_FOLDER, NAMES_FILE
from data.text import printable_line

_MAX_BYTES = 64 << 20


def read(root: Path) -> dict[int, str]:
    """Return the names by id; invalid lines are skipped."""
    path, content = root / NAMES_FILE, b""
    with folder_errors(path), suppress(FileNotFoundError):  # also of a file that is removed just now
        if path.is_file():
            content = read_regular_file(path, _MAX_BYTES)
    text = content.decode("utf-8-sig", "replace")  # some editors put a byte order mark first
    pairs = (line.partition("\t") for line in text.split("\n"))
    names = ((game_id, printable_line(name)) for game_id, _, name in pairs if GAME_FOLDER.fullmatch(game_id))
    return {int(game_id): name for game_id, name in names if name}


def removed(root: Path) -> dict[int, Game]:
    """Return the removed games by id."""
    names = read(root).items()
    return {key: Game(key, name) for key, name in names if not os.path.lexists(root / str(key))}


def add(root: Path, games: Sequence[Game]) -> None:
    """Add the games or rename them, and create their folders."""

    def work() -> None:
        root.mkdir(parents=True, exist_ok=True)
        with folder_lock(root):  # two downloads may add games at the same time
            _make(root, games)

    with folder_errors(root / NAMES_FILE, writing=True):
        repeat_if_removed(work)


def add_own(root: Path, name: str) -> Game:
    """Return the game with this name, in any letter case, or a new one with an id of our own; create its folder."""
    name = printable_line(name)

    def work() -> Game:
        root.mkdir(parents=True, exist_ok=True)
        with folder_lock(root):
            names = read(root)
            folders = (int(entry.name) for entry in os.scandir(root) if GAME_FOLDER.fullmatch(entry.name))
            new_id = max([FIRST_OWN_ID - 1, *folders, *names]) + 1
            same = (Game(key, other) for key, other in names.items() if other.casefold() == name.casefold())
            game = next(same, None) or Game(new_id, name or f"game {new_id}")
            _make(root, [game])
        return game

    with folder_errors(root / NAMES_FILE, writing=True):
        return repeat_if_removed(work)


def record(root: Path, games: Sequence[Game]) -> None:
    """Write the names of games without creating folders."""
    if games:
        with folder_errors(root / NAMES_FILE, writing=True), folder_lock(root):
            _record(root, games)


def _make(root: Path, games: Sequence[Game]) -> None:
    """Create the games' folders and write their names; the caller holds the root's lock."""
    for game in games:
        (root / str(game.id)).mkdir(exist_ok=True)  # even an empty folder keeps the game in the catalog
    _record(root, games)


def _record(root: Path, games: Iterable[Game]) -> None:
    names = read(root)
    merged = names | {game.id: printable_line(game.name) or f"game {game.id}" for game in games}
    if merged != names:
        lines = (f"{game_id}\t{name}\n" for game_id, name in sorted(merged.items()))
        with atomic_file(root / NAMES_FILE) as temporary:
            temporary.write_bytes("".join(lines).encode())
