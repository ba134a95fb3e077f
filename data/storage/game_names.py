"""Names of the games: the file `games.tsv`, with `<game_id><tab><name>` on each line, UTF-8, sorted by id.

A game that the file names and that has no folder was removed. Every function raises FolderError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from data.entities import FIRST_OWN_ID, Game
from data.storage.layout import GAME_FOLDER, NAMES_FILE
from data.storage.store_files import StoreFiles
from data.text import printable_line

_MAX_BYTES = 64 << 20


def read(files: StoreFiles) -> dict[int, str]:
    """Return the names by id; invalid lines are skipped."""
    with suppress(FileNotFoundError):
        return _parse(files.read(NAMES_FILE, _MAX_BYTES))
    return {}


def add(files: StoreFiles, games: Sequence[Game]) -> None:
    """Add the games or rename them, and create their folders."""
    for game in games:
        files.make_folder(str(game.id))  # even an empty folder keeps the game in the catalog
    files.update(NAMES_FILE, lambda content: _with_names(content, games))


def add_own(files: StoreFiles, name: str) -> Game:
    """Return the game with this name, in any letter case, or a new one with an id of our own; create its folder."""
    name = printable_line(name)
    game = Game(0, name)

    def change(content: bytes) -> bytes:
        nonlocal game
        names = _parse(content)
        folders = (int(entry) for entry in files.names("") if GAME_FOLDER.fullmatch(entry))
        new_id = max([FIRST_OWN_ID - 1, *folders, *names]) + 1
        same = (Game(key, other) for key, other in names.items() if other.casefold() == name.casefold())
        game = next(same, None) or Game(new_id, name or f"game {new_id}")
        return _with_names(content, [game])

    files.update(NAMES_FILE, change)
    files.make_folder(str(game.id))
    return game


def record(files: StoreFiles, games: Sequence[Game]) -> None:
    """Write the names of games without creating folders."""
    if games:
        files.update(NAMES_FILE, lambda content: _with_names(content, games))


def _parse(content: bytes) -> dict[int, str]:
    text = content.decode("utf-8-sig", "replace")  # some editors put a byte order mark first
    pairs = (line.partition("\t") for line in text.split("\n"))
    names = ((game_id, printable_line(name)) for game_id, _, name in pairs if GAME_FOLDER.fullmatch(game_id))
    return {int(game_id): name for game_id, name in names if name}


def _with_names(content: bytes, games: Iterable[Game]) -> bytes:
    """Return the file with the games' names; as it is if it has them."""
    names = _parse(content)
    merged = names | {game.id: printable_line(game.name) or f"game {game.id}" for game in games}
    if merged == names:
        return content
    return "".join(f"{game_id}\t{name}\n" for game_id, name in sorted(merged.items())).encode()
