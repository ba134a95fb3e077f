"""classes.txt: line i, counted from 0, names output i of the model as `<game_id>\\t<name>`, UTF-8."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from data.atomic import atomic_file
from data.entities import Game
from data.errors import ModelError
from data.readers import read_regular_file
from data.text import printable_line

CLASSES_FILE = "classes.txt"
_LINE = re.compile(r"([0-9]{1,19})\t(.*\S.*)")  # 19 digits: ids have 64 bits
_MAX_BYTES = 16 << 20


def read_classes(path: Path) -> tuple[Game, ...]:
    """Return the games in the order of the model's outputs. Raises ModelError for a missing or malformed file."""
    try:
        # utf-8-sig drops the byte order mark of Windows editors. Not splitlines(): it also breaks at characters that
        # a name may hold, such as U+2028.
        text = read_regular_file(path, _MAX_BYTES).decode("utf-8-sig").replace("\r\n", "\n")
        lines = text.removesuffix("\n").split("\n")
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing. Train a model: python -m model.create") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path} cannot be read ({reason}). Train the model again: python -m model.create") from error
    games: dict[int, Game] = {}
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if not match or int(match[1]) in games:
            problem = "each line must be <game_id><tab><name>, with a new id"
            raise ModelError(f"{path}: invalid line {number}, {problem}. Train the model again: python -m model.create")
        games[int(match[1])] = Game(int(match[1]), printable_line(match[2]) or f"game {match[1]}")
    return tuple(games.values())


def write_classes(path: Path, games: Sequence[Game]) -> None:
    """Replace the file atomically by `games`, in the order of the model's outputs. Raises OSError."""
    # A tab or a line break within a name would shift the outputs of all later lines.
    lines = (f"{game.id}\t{printable_line(game.name) or f'game {game.id}'}\n" for game in games)
    with atomic_file(path) as temporary:
        temporary.write_bytes("".join(lines).encode())
