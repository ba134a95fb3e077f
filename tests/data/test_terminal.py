"""data.download on a terminal: what its user sees, at several sizes and while warnings come."""

from __future__ import annotations

import io
import math
import os
import pty
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from data import download
from data.collection.grab_pool import StopEvent
from data.collection.progress import ProgressDisplay
from data.collection.state import CollectionStats
from data.text import time_left
from tests.data.conftest import GREEDY, environment, rows
from tests.pseudo_terminal import PseudoTerminal, command
from tests.standin import Fault, Standin, World, faults
from tests.standin.faults import HELIX

_GAMES = 36
_HINT = "Press Enter to stop."
_WARNING = "warning: Twitch returned HTTP 503; waiting 1 s"


@pytest.fixture
def many_games(world: World) -> Iterator[Standin]:
    """A stand-in with 36 games of one channel each; some names are long, wide or hold escape codes."""
    names = ["\x1b[2J\x1b]0;owned\x07Evil", "原神: 冒険者たちの物語" * 4, "[red]A name without end[/red] " * 5]
    names += [f"Game {number}" for number in range(_GAMES - len(names))]
    # All play the smallest clip: to transcode one of its own for each takes a minute.
    clip = min(world.channels, key=lambda channel: channel.file.stat().st_size)
    channels = [
        replace(
            clip, login=f"player{number}", behaviour="live", game_id=9100000 + number, game=name, igdb_id=f"5{number}"
        )
        for number, name in enumerate(names)
    ]
    with Standin(World(tuple(channels))) as running:
        yield running


@pytest.fixture
def settings_of_a_fast_run(server, folder, many_games) -> dict[str, str]:
    """The environment of a download that tries every game within seconds."""
    values = {"MIN_STREAMERS": "1", "STREAMS_PER_GAME": "1", "FRAMES_PER_STREAM": "1", "GAME_COOLDOWN_S": "1"}
    waits = {"HELIX_RETRY_BUDGET_S": "0.5", "HELIX_RETRY_INTERVAL_S": "1", "INFO_INTERVAL_S": "600"}
    dataset = {**server, "DOWNLOAD_PATH": str(folder.root.parent), **GREEDY}
    return environment(**many_games.environment, **dataset, **values, **waits)


def test_display_at_several_sizes_while_warnings_come_shows_status_hint_and_warnings(
    settings_of_a_fast_run, many_games
):
    """Status and hint are visible at every size; games that do not fit are counted; warnings stay, headers do not."""
    run = command("data.download", "--minutes", "30")
    with PseudoTerminal(run, settings_of_a_fast_run, 200, 50) as terminal:
        terminal.wait_for(lambda lines: _shown(lines) == _GAMES and _fits(lines, 50))
        for columns, height in ((80, 14), (20, 5), (80, 24)):
            terminal.resize(columns, height)
            terminal.wait_for(lambda lines, height=height: _fits(lines, height))
        before = len(terminal.scrolled())  # a resize between two refreshes may leave lines behind
        many_games.add_fault(Fault("outage", faults.status(503), HELIX, for_s=2.5))
        terminal.wait_for(lambda lines: [*terminal.scrolled()[before:], *lines].count(_WARNING) == 2)
        assert not [line for line in terminal.scrolled()[before:] if "Frames" in line or _HINT in line]
        terminal.type("\n")
        lines = terminal.finish()[before:]
    assert terminal.process.returncode == 0
    assert lines.count(_WARNING) >= 2
    assert not [line for line in lines if "Frames" in line or _HINT in line]
    assert any(line.startswith("Downloaded ") for line in lines)
    assert b"\x1b[2J" not in terminal.written
    assert b"owned\x07" not in terminal.written
    assert terminal.written.endswith(b"\n")
    assert b"\x1b[?25h" in terminal.written  # the cursor is visible again


def _shown(lines: list[str]) -> int:
    return sum(bool(re.search(r"  \d+$", line)) for line in lines)


def _fits(lines: list[str], height: int) -> bool:
    """Return whether one status stands above the hint, and the games below it use the room that is left."""
    status = [index for index, line in enumerate(lines) if re.match(r"\d+ frames in", line)]
    if len(lines) != height or lines.count(_HINT) != 1 or len(status) != 1 or status[0] > lines.index(_HINT):
        return False
    more = _GAMES - _shown(lines)
    return height < 14 or (
        lines[lines.index(_HINT) + 1].startswith("Game ")
        and any(" min left" in line for line in lines)
        and (more == 0 if height == 50 else f"… {more} more games" in lines)
    )


def test_enter_when_stderr_is_a_pipe_stops_without_an_escape_code(monkeypatch, capfd):
    """Keys come from the terminal on stdin; `2> log` gets no code that moves a cursor."""
    master, slave = pty.openpty()
    stop = StopEvent()
    with os.fdopen(slave) as stdin, os.fdopen(master, "wb", 0) as keys:
        monkeypatch.setattr(sys, "stdin", stdin)
        download._stop_on_enter(stop)
        keys.write(b"\n")
        assert stop.wait(10)
    assert capfd.readouterr().err == ""


def test_closing_the_terminal_ends_the_run_and_keeps_its_frames(settings_of_a_fast_run, folder, catalog):
    """SIGHUP ends a download as SIGTERM does: files and rows agree, and no temporary file is left."""
    with PseudoTerminal(command("data.download"), settings_of_a_fast_run, 80, 24) as terminal:
        terminal.wait_for(lambda lines: any(re.match(r"[1-9]\d* frames", line) for line in lines))
        terminal.close()
        terminal.process.wait(30)
    assert list(folder.frames())
    assert rows(catalog) == set(folder.frames())
    assert not folder.scan().stale_files


def test_download_in_the_background_of_a_terminal_is_not_suspended(settings_of_a_fast_run):
    """With `&` a shell keeps the keys for itself; a process that tried to read them would be stopped."""
    words = " ".join(command("data.download", "--frames", "2"))
    with PseudoTerminal(["bash", "-c", f"set -m; {words} & wait"], settings_of_a_fast_run, 120, 24) as terminal:
        lines = terminal.wait_for(lambda lines: any(line.startswith("Downloaded 2 frames") for line in lines))
    assert not [line for line in lines if "Stopped" in line]


@pytest.mark.parametrize("size", [(80, 24), (80, 14), (20, 5), (10, 2), (1, 1)])
def test_display_when_rendered_fits_the_terminal(size):
    """No size makes more lines than the terminal has, less one for Enter; two are the least."""
    stats = CollectionStats(frames=Counter({f"\x1b[31mGame {number}": 5 for number in range(40)}), status="原神" * 9)
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=size[0], height=size[1], color_system=None)
    lines = console.render_lines(ProgressDisplay(stats, _HINT, frames=100), pad=False)
    assert len(lines) <= max(2, size[1] - 1)
    assert "\x1b" not in "".join(segment.text for line in lines for segment in line)


def test_status_with_limits_says_what_is_left():
    """The limit that ends the run first counts; without frames or a limit nothing is said."""
    assert "left" not in ProgressDisplay(CollectionStats(), _HINT).status()
    assert "left" not in ProgressDisplay(CollectionStats(), _HINT, frames=9).status()
    assert "about 3 h left" in ProgressDisplay(CollectionStats(), _HINT, minutes=180).status()
    stats = CollectionStats(frames=Counter({"Doom": 1}))
    assert ProgressDisplay(stats, _HINT, frames=10, minutes=180).status().startswith("1 of 10 frames in 0 s")
    assert "h left" not in ProgressDisplay(stats, _HINT, frames=10, minutes=180).status()


@pytest.mark.parametrize(
    ("done", "total", "elapsed_s", "text"),
    [
        (1, 2, 30, "about 30 s left"),
        (1, 2, 100, "about 2 min left"),
        (1, 3, 3600, "about 2 h left"),
        (1, 11, 36_000, "about 100 h left"),
        (0, 5, 1, ""),
        (5, 5, 1, ""),
        (1, math.inf, 1, ""),
        (1, 10**40, 1, ""),
    ],
)
def test_time_left_when_printed_has_a_fitting_unit(done, total, elapsed_s, text):
    """Seconds, minutes or hours; nothing while the rest is unknown."""
    assert time_left(done, total, elapsed_s) == text
