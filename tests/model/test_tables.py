"""Tables that the commands print at their end."""

from __future__ import annotations

from typing import Any

from model.reports import tables


def game(name: str, frames: int, right: int | None) -> dict[str, Any]:
    accuracy = None if right is None else right / frames
    validation = {"frames": frames, "streamers": 2}
    return {"name": name, "accuracy_by_frame": accuracy, "accuracy_by_stream": accuracy, "validation": validation}


def test_accuracies_come_worst_first_with_their_counts():
    """A game that is never right stands at the top, whatever the others are; a game without frames has no accuracy."""
    games = [game("Tetris", 21, 21), game("Pingus", 15, 0), game("Doom\x1b[2J", 30, 29), game("Empty", 0, None)]
    assert tables.accuracy_rows({"games": games}) == [
        ["game", "frames right", "", "streams right"],
        ["Pingus", "0.0%", "0 of 15", "0.0%"],
        ["Doom\ufffd[2J", "96.7%", "29 of 30", "96.7%"],
        ["Tetris", "100.0%", "21 of 21", "100.0%"],
    ]


def test_many_games_show_the_worst_and_count_the_others():
    """The table fits a terminal of 24 lines."""
    rows = tables.accuracy_rows({"games": [game(f"game {number}", 100, number) for number in range(36)]})
    assert [row[1] for row in rows[1:-1]] == [f"{number}.0%" for number in range(15)]
    assert rows[-1] == ["21 better games", "15.0% or more", "", ""]


def test_table_is_aligned_and_never_cut():
    """Long names stay whole in a pipe, and lines have no trailing spaces."""
    name = "x" * 200
    assert tables.render_table([["game", "right"], [name, "1"]]) == f"game{' ' * 198}right\n{name}      1\n"
