"""Outputs together: one that fails costs itself only; foreign text on the terminal obeys nobody."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from data.entities import Game
from data.errors import FolderError, SettingsError, StreamOffline
from data.text import printable
from recognition.decision.verdict import VerdictAccumulator
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, as_json, now
from recognition.outputs.base import FanOut, Output
from recognition.outputs.console import ChangeLines, JsonLines, TextLines
from recognition.outputs.survey_summary import SurveyStats
from recognition.outputs.terminal_table import ProgressLine, ResultTable


class Panic(BaseException):
    """A panic of a Rust library: no Exception."""


class Recorder(Output):
    """Records its events and calls of `close`; raises an error at the second event, at `close`, or never."""

    def __init__(self, error: BaseException | None = None, at_close: bool = False) -> None:
        self.events: list[Event] = []
        self.closed = 0
        self._error, self._at_close = error, at_close

    def emit(self, event: Event) -> None:
        self.events.append(event)
        if self._error and not self._at_close and len(self.events) == 2:
            raise self._error

    def close(self) -> None:
        self.closed += 1
        if self._error:
            raise self._error


EVENT = SourceFailed("one", now(), StreamOffline("one is not live"))


@pytest.mark.parametrize("error", [FolderError("--csv: full"), UnicodeError("x"), RecursionError(), Panic("full")])
@pytest.mark.parametrize("at_close", [False, True])
def test_output_that_fails_costs_itself_only(error, at_close, caplog):
    """It is logged once and closed; the others get all events and are closed; the exit code is 1."""
    before, failing, after = Recorder(), Recorder(error, at_close), Recorder()
    outputs = FanOut([before, failing, after])
    for _ in range(3):
        outputs.emit(EVENT)
    outputs.close()
    outputs.close()
    assert [len(one.events) for one in (before, failing, after)] == [3, 3 if at_close else 2, 3]
    assert [one.closed for one in (before, failing, after)] == [1, 1, 1]
    assert outputs.exit_code == 1
    [record] = [record for record in caplog.records if record.levelname.lower() == "error"]
    assert str(error) in record.getMessage()


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError("stdout is full"), KeyboardInterrupt()])
def test_error_of_stdout_and_interrupts_pass(error):
    """Without stdout there is no reader: the run ends; all outputs are closed nevertheless."""
    first, failing = Recorder(), Recorder(error)
    outputs = FanOut([first, failing])
    outputs.emit(EVENT)
    with pytest.raises(type(error)):
        outputs.emit(EVENT)
    with pytest.raises(type(error)):
        outputs.close()
    assert (first.closed, failing.closed, outputs.exit_code) == (1, 1, 0)


def test_output_that_cannot_be_created_closes_those_before_it():
    """An invalid option leaves no thread and no open file."""
    first = Recorder()

    def outputs() -> Any:
        yield first
        raise SettingsError("--metrics: no")

    with pytest.raises(SettingsError):
        FanOut(outputs())
    assert first.closed == 1


# --- what a terminal obeys ---------------------------------------------------------------------------

EVIL = "a\x1b]0;owned\x07\x1b[2J\r\nb\x9b31m\u202ec\u2066\u2028\x7f\ud800 é原🎮"
GAME = Game(5, EVIL)


def foreign_events() -> list[Event]:
    """Return an event of each kind whose texts are hostile."""
    accumulator = VerdictAccumulator([GAME, Game(6, "Chess")], top=2)
    prediction = accumulator.add_frame(np.array([2.0, 0.0]))
    verdict = VerdictReached(EVIL, now(), accumulator.verdict(), category=Game(7, EVIL))
    unknown = VerdictAccumulator([GAME])
    unknown.add_frame(np.array([1.0]), known=False)
    return [
        FrameClassified(EVIL, now(), 1, prediction),
        GameChanged(EVIL, now(), None, GAME, True, 1, 0.5, category=Game(7, EVIL)),
        verdict,
        dataclasses.replace(verdict, verdict=unknown.verdict()),
    ]


@pytest.mark.parametrize("output", [TextLines(with_source=True), ChangeLines(), JsonLines()])
def test_lines_hold_no_character_that_a_terminal_obeys(output, capsys):
    """Each event is one line without control characters and changes of direction; letters of any script stay."""
    events = foreign_events()
    for event in events:
        output.emit(event)
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert len(lines) == len(events) - isinstance(output, ChangeLines)
    assert all(line.isprintable() for line in lines)
    if isinstance(output, JsonLines):
        assert [json.loads(line) for line in lines] == [as_json(event) for event in events]
    else:
        assert all("é原🎮" in line for line in lines)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_json_is_utf8_whatever_the_encoding_of_stdout(encoding, monkeypatch):
    """A reader of the pipe finds the same values in every locale."""
    raw, events = io.BytesIO(), foreign_events()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding))
    for event in events:
        JsonLines().emit(event)
    assert [json.loads(line) for line in raw.getvalue().decode().splitlines()] == [as_json(event) for event in events]


def test_table_progress_and_summary_hold_no_character_that_a_terminal_obeys():
    """The terminal gets no control character but those of the progress line itself."""
    file = io.StringIO()
    console = Console(file=file, width=300, force_terminal=False)
    stats = SurveyStats()
    outputs = FanOut([ResultTable(console), ProgressLine(console, stats, 3)])
    for event in (*foreign_events()[2:], SourceFailed(EVIL, now(), StreamOffline(EVIL))):
        assert isinstance(event, VerdictReached | SourceFailed)
        stats.add(event)
        outputs.emit(event)
    outputs.close()
    assert file.getvalue().count("é原🎮") == 7
    assert all(line.isprintable() for line in file.getvalue().split("\n"))
    assert all(printable(line).isprintable() for line in stats.summary())


@pytest.mark.parametrize("text", ["Pokémon Émeraude", "a  b", "👨\u200d👩\u200d👧", "می\u200cخواهم", ""])
def test_text_that_is_harmless_is_unchanged(text):
    """Spaces, joined emoji and joined letters stay as they are."""
    assert printable(text) == text
