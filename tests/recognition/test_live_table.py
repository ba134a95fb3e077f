"""The live table on a real terminal: a pseudo-terminal, read by a terminal emulator."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from data.entities import Game
from data.errors import StreamOffline
from recognition.decision.verdict import Prediction, Verdict
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, now
from recognition.outputs.channel_row import RowLayout
from recognition.outputs.channel_state import ChannelState
from tests.pseudo_terminal import PseudoTerminal

CHESS, GO = Game(1, "Chess"), Game(2, "Go")
# Runs the lines that the test types, unseen, as Python code.
_PROGRAM = """
import logging, sys, termios, time, types
from data import cli
from recognition.outputs.live_table import LiveTable
from rich.console import Console
from tests.recognition.test_live_table import *
attributes = termios.tcgetattr(0)
attributes[3] &= ~termios.ECHO
termios.tcsetattr(0, termios.TCSANOW, attributes)
cli._log_to_stderr(types.SimpleNamespace(verbose=0, quiet=False))
log, categories = logging.getLogger("recognition"), {}
table = LiveTable(Console(highlight=False), SOURCES, categories.get)
for line in sys.stdin:
    exec(line)
"""


class Shown(PseudoTerminal):
    """A table of these sources in a process of its own, which runs the code that a test types."""

    def __init__(self, sources: Sequence[str], columns: int = 80, lines: int = 24, messages: Path | None = None):
        """`messages`: the file for stderr; None: the terminal."""
        words = [sys.executable, "-c", _PROGRAM.replace("SOURCES", repr(sources))]
        shell = ["sh", "-c", f'exec "$@" 2> {messages}', "sh"] if messages else []
        super().__init__([*shell, *words], {**os.environ, "LANG": "C.UTF-8"}, columns, lines)

    def run(self, *code: str) -> None:
        """Run these lines of Python in the process."""
        self.type("\n".join(code) + "\n")

    def wait_for_texts(self, *texts: str) -> list[str]:
        """Wait until the screen has all texts; return its lines that are not empty."""
        lines = self.wait_for(lambda lines: all(any(text in line for line in lines) for text in texts), 20)
        return [line for line in lines if line]


def answer(source: str, game: Game = CHESS, number: int = 4) -> list[Event]:
    """Return the events of a channel's first answer."""
    return [
        GameChanged(source, now(), None, game, True, number, 0.9),
        FrameClassified(source, now(), number, Prediction(game, 0.97)),
    ]


def verdict(source: str, game: Game = CHESS) -> VerdictReached:
    """Return a verdict of one frame."""
    return VerdictReached(source, now(), Verdict(game, 0.9, 0.9, (Prediction(game, 0.9),)))


def test_table_shows_answers_categories_and_states_and_leaves_verdicts_only():
    """Rows follow the events; log lines stand above; at the end the table is gone, the verdicts stay, cursor shown."""
    with Shown(["a", "b", "c"]) as table:
        table.wait_for_texts("3 channels: 3 opening")
        table.run(
            "[table.emit(event) for event in answer('a') + answer('b', GO)]",
            "categories['b'] = CHESS",
            "table.emit(SourceFailed('c', now(), StreamOffline('c: offline')))",
            "log.warning('something happened')",
        )
        lines = table.wait_for_texts(
            "3 channels: 2 live, 1 offline; 1 in another category", "something happened", "c: off"
        )
        rows = {line.split()[0]: line for line in lines[-4:-1]}
        assert [rows["a"].split()[n] for n in (1, 3, 4)] == ["Chess", "97%", "live"]
        assert "≠ Chess" in rows["b"]
        assert "offline" in rows["c"]
        table.run("[table.emit(verdict(source)) for source in 'ab']", "table.close(); table.close(); print('END')")
        lines = table.wait_for_texts("END")
        assert [line.split(maxsplit=2)[2] for line in lines[-3:-1]] == [f"{s}: Chess with a score of 0.9" for s in "ab"]
        assert not any("channels:" in line or line.startswith("Channel") for line in lines)
        assert table.written.rindex(b"\x1b[?25h") > table.written.rindex(b"\x1b[?25l")


def test_more_channels_than_lines_shows_those_that_differ_then_the_latest_and_counts_the_rest():
    """On ten lines, seven rows: the channel in another category, then the latest changes; 33 are counted only."""
    with Shown([f"s{n}" for n in range(40)], lines=10) as table:
        table.run(
            "categories['s3'] = CHESS",
            "[table.emit(event) for n in (3, 30, 31, 32, 33, 34, 35, 36) for event in answer(f's{n}', GO)]",
        )
        lines = table.wait_for_texts("40 channels: 8 live, 32 opening; 1 in another category; 33 not shown")
        rows = [line.split()[0] for line in lines if line.startswith("s")]
        assert rows == ["s3", "s36", "s35", "s34", "s33", "s32", "s31"]


def test_resize_draws_the_table_once_with_the_columns_that_fit():
    """After the terminal shrinks and grows, there is one table, with fewer columns on a narrow terminal."""
    with Shown(["a", "b"]) as table:
        table.run("categories['a'] = GO; [table.emit(event) for event in answer('a')]")
        table.wait_for_texts("Since", "1 live")
        table.resize(24, 8)
        lines = table.wait_for_texts("≠ Chess", "2 channels: 1 live, …")
        assert [line.split() for line in lines[:3]] == [["Channel", "Game"], ["a", "≠", "Chess"], ["b", "opening"]]
        table.resize(100, 20)
        lines = table.wait_for_texts("Conf.", "≠ Go")
        assert len(lines) == 4


def test_messages_in_a_file_stay_there(tmp_path):
    """With stderr in a file, log lines go to the file, not to the terminal."""
    with Shown(["a"], messages=tmp_path / "messages") as table:
        table.wait_for_texts("1 channel: 1 opening")
        table.run("log.warning('for the file')", "print('printed')")
        table.wait_for_texts("printed")
        assert (tmp_path / "messages").read_text() == "warning: for the file\n"
        assert b"for the file" not in table.written


def test_frames_alone_draw_once_a_second_and_changes_four_times():
    """A flood of events costs at most four drawings a second."""
    with Shown(["a"]) as table:
        table.wait_for_texts("1 channel")
        before = table.written.count(b"1 channel")
        table.run(
            "end = time.monotonic() + 2",
            "while time.monotonic() < end: [table.emit(answer('a', g)[0]) for g in (CHESS, GO)]; time.sleep(0.001)",
            "print('END')",
        )
        table.wait_for_texts("END")
        assert table.written.count(b"1 channel") - before <= 12


@pytest.mark.parametrize("width", [1, 2, 10, 26, 46, 56, 66, 80, 200])
def test_row_of_hostile_text_has_the_width_of_its_columns(width: int):
    """Wide, joined, combining and right-to-left characters and escapes keep each row within the terminal."""
    layout = RowLayout(width, with_category=True)
    hostile = [
        "原神" * 50,
        "👨\u200d👩\u200d👧 x",
        "e" + "\u0301" * 5000,
        "\x1b[2J\r\n\t\u202e",
        "لعبة 2",
        "",
        "x" * 9999,
    ]
    for text in hostile:
        segments = layout.row({name: (text, "") for name in layout.names})
        drawn = "".join(segment.text for segment in segments)
        assert sum(segment.cell_length for segment in segments) <= max(width, 9)
        assert not {"\x1b", "\n", "\r", "\t", "\u202e", "\u200d"} & set(drawn)


def test_state_after_a_verdict_is_ended_and_offline_forgets_the_answer():
    """A channel that is not watched further keeps its verdict; one that is offline has no game."""
    channel = ChannelState("a")
    for event in [*answer("a"), verdict("a", GO)]:
        channel.apply(event, CHESS)
    assert (channel.state, channel.game, channel.mismatch, channel.known) == ("ended", GO, True, True)
    channel.apply(SourceFailed("a", now(), StreamOffline("a: offline")), CHESS)
    assert (channel.state, channel.game, channel.mismatch, channel.answered) == ("offline", None, None, False)
