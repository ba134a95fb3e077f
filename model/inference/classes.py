"""classes.txt: line i (from 0) names output i of the model, as `<game_id>\\t<name>`. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.atomic import temporary_files
from data.entities import Game
from data.errors import ModelError
from data.text import printable_line

FILE = "classes.txt"


def read(path: Path) -> tuple[Game, ...]:
    """The games in the order of the model's outputs. Raises ModelError: missing, unreadable or malformed."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing: python -m model.create makes it.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if lines[-1] == "":
        lines.pop()
    games = tuple(_game(path, number, line) for number, line in enumerate(lines, start=1))
    if not games or len({game.id for game in games}) < len(games):
        raise ModelError(
            f"{path} names {'a game twice' if games else 'no game'}: python -m model.create makes it anew."
        )
    return games


def _game(path: Path, number: int, line: str) -> Game:
    game_id, tab, name = line.partition("\t")
    if not (tab and game_id.isascii() and game_id.isdecimal() and name.strip()):
        raise ModelError(f"{path}, line {number}, is no <game_id><tab><name>: python -m model.create makes it anew.")
    return Game(int(game_id), name)


def write(path: Path, games: Sequence[Game]) -> None:
    """Write `games`, given in the order of the model's outputs, all at once or not at all. Raises OSError."""
    lines = (f"{game.id}\t{printable_line(game.name) or f'game {game.id}'}\n" for game in games)
    with temporary_files(path.parent, ["".join(lines).encode()]) as (temporary,):
        temporary.replace(path)
