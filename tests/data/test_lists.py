"""data.settings.lists: entries, and files of entries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data.errors import SettingsError
from data.settings.lists import read_entries
from tests.data.conftest import settings


def test_entries_and_files_are_joined_each_entry_once(tmp_path: Path):
    """Lines that begin with # and empty lines are skipped; a # within a name stays; a byte order mark is dropped."""
    path = tmp_path / "games.txt"
    path.write_bytes("\ufeff# puzzles\r\nTetris\r\n\r\n  # no\nHack #2, the sequel\n原神\n".encode())
    entries = read_entries(["Chess", f"@{path}", "Tetris", " "], "--game")
    assert entries == ["Chess", "Tetris", "Hack #2, the sequel", "原神"]


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "latin-1", "nobody"])
def test_unreadable_file_names_the_option_and_the_file(tmp_path: Path, kind: str):
    """A FIFO does not block; each error says what to check."""
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "latin-1":
        path.write_bytes("Pokémon".encode("latin-1"))
    name = "~nobody-is-called-so/x" if kind == "nobody" else str(path)
    with pytest.raises(SettingsError, match=r"^EXCLUDE_GAMES: .*(check the path|save it as UTF-8)$") as raised:
        read_entries([f"@{name}"], "EXCLUDE_GAMES")
    assert name in str(raised.value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Chess, 509658,@Games.txt,", ("Chess", "509658", "@Games.txt")),
        ('["Warhammer 40,000: Darktide", 509658]', ("Warhammer 40,000: Darktide", "509658")),
        ("", ()),
    ],
)
def test_excluded_games_are_read_by_commas_or_as_json(written: str, expected: tuple[str, ...]):
    """JSON takes names with commas, and ids as numbers; nothing is opened before a download needs it."""
    assert settings(EXCLUDE_GAMES=written).exclude_games == expected


def test_invalid_list_says_what_it_must_be():
    """Nested lists are no names."""
    with pytest.raises(SettingsError, match=r"EXCLUDE_STREAMERS: invalid value .* must be names or ids, separated"):
        settings(EXCLUDE_STREAMERS="[[1]]")
