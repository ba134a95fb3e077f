"""classes.txt: names survive a round trip, and malformed files are rejected."""

from __future__ import annotations

import os

import pytest

from data.entities import Game
from data.errors import ModelError
from model.inference import classes


def test_classes_round_trip(tmp_path):
    """Order, ids past 32 bits and names in any script survive writing and reading."""
    games = (Game(9, "Tom Clancy's Rainbow Six: Siege"), Game(2**40, "原神"), Game(10, "Pokémon\u2028Red"))
    classes.write_classes(tmp_path / "classes.txt", games)
    assert classes.read_classes(tmp_path / "classes.txt")[:2] == games[:2]
    assert (tmp_path / "classes.txt").read_bytes().startswith(b"9\tTom Clancy's Rainbow Six: Siege\n1099511627776\t")
    assert [path.name for path in tmp_path.iterdir()] == ["classes.txt"]


def test_tabs_and_line_breaks_in_names_become_spaces(tmp_path):
    """A name cannot break its line: line i stays output i."""
    classes.write_classes(tmp_path / "classes.txt", [Game(1, "a\tb\nc"), Game(2, "d")])
    assert classes.read_classes(tmp_path / "classes.txt") == (Game(1, "a b c"), Game(2, "d"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"9 Red\n",
        b"9\t\n",
        b"x\tRed\n",
        b"-9\tRed\n",
        b"9\tRed\n9\tBlue\n",
        b"9\tRed\n\n10\tBlue\n",
        b"\xff\t",
        "9\tRed\n".encode("utf-16"),
        b"9" * 5000 + b"\tRed\n",
        b"1e9\tRed\n",
        "\u0669\tRed\n".encode(),  # an Arabic nine
    ],
    ids=range(13),
)
def test_malformed_file_raises_model_error(tmp_path, content):
    """An error is better than a wrong name for an output."""
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(ModelError, match=r"classes\.txt"):
        classes.read_classes(tmp_path / "classes.txt")


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbf9\tRed\n10\tGreen\n", b"9\tRed\r\n10\tGreen\r\n"], ids=["BOM", "CRLF"]
)
def test_file_saved_by_a_windows_editor_is_read(tmp_path, content):
    """A byte order mark and CRLF are no part of an id or a name."""
    (tmp_path / "classes.txt").write_bytes(content)
    assert classes.read_classes(tmp_path / "classes.txt") == (Game(9, "Red"), Game(10, "Green"))


def test_names_have_no_control_characters(tmp_path):
    """A name that someone wrote into the file cannot control the terminal, and is not empty."""
    (tmp_path / "classes.txt").write_bytes(b"9\tR\x1b[31med\0\n10\t\0\n")
    assert classes.read_classes(tmp_path / "classes.txt") == (Game(9, "R [31med"), Game(10, "game 10"))


@pytest.mark.parametrize("kind", ["folder", "FIFO", "device"])
def test_what_is_no_regular_file_raises_model_error(tmp_path, kind):
    """A FIFO would block, and a device never ends."""
    path = tmp_path / "classes.txt"
    {"folder": path.mkdir, "FIFO": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero")}[kind]()
    with pytest.raises(ModelError, match=r"classes\.txt cannot be read \(not a regular file\)"):
        classes.read_classes(path)


def test_missing_file_names_the_command_that_creates_it(tmp_path):
    """The message tells how to train a model."""
    with pytest.raises(ModelError, match=r"python -m model\.create"):
        classes.read_classes(tmp_path / "classes.txt")
