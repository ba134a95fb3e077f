"""classes.txt."""

from __future__ import annotations

import pytest

from data.entities import Game
from data.errors import ModelError
from model.inference import classes


def test_what_is_written_is_read(tmp_path):
    """Order, ids past 32 bits and names in any script come back, one line for each."""
    games = (Game(9, "Tom Clancy's Rainbow Six: Siege"), Game(2**40, "原神"), Game(10, "Pokémon\u2028Red"))
    classes.write(tmp_path / "classes.txt", games)
    assert classes.read(tmp_path / "classes.txt")[:2] == games[:2]
    assert (tmp_path / "classes.txt").read_bytes().startswith(b"9\tTom Clancy's Rainbow Six: Siege\n1099511627776\t")
    assert [path.name for path in tmp_path.iterdir()] == ["classes.txt"]


def test_a_name_cannot_break_the_line(tmp_path):
    """Tabs and line breaks in a name become blanks: line i stays output i."""
    classes.write(tmp_path / "classes.txt", [Game(1, "a\tb\nc"), Game(2, "d")])
    assert classes.read(tmp_path / "classes.txt") == (Game(1, "a b c"), Game(2, "d"))


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
    ],
)
def test_a_malformed_file_is_refused(tmp_path, content):
    """Rather a clear line than a name for the wrong output."""
    (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(ModelError, match=r"classes\.txt"):
        classes.read(tmp_path / "classes.txt")


def test_a_missing_file_says_how_to_make_it(tmp_path):
    """The line names the command."""
    with pytest.raises(ModelError, match=r"python -m model\.create"):
        classes.read(tmp_path / "classes.txt")
