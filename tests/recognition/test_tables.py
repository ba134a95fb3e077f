"""Where a survey's results go: rows of CSV and Parquet, a table on a terminal, and a summary."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from arro3.io import read_parquet
from rich.console import Console

from data.entities import Game
from data.errors import FolderError, OnlyAds, StreamOffline
from recognition.decision.verdict import VerdictAccumulator
from recognition.events import SourceFailed, VerdictReached
from recognition.outputs import parquet_file
from recognition.outputs.csv_file import COLUMNS, CsvFile, to_row
from recognition.outputs.parquet_file import ParquetFile
from recognition.outputs.survey_summary import SurveyStats
from recognition.outputs.terminal_table import ProgressLine, ResultTable

TETRIS, CHESS = Game(2**40, 'Tetris, "the" Game'), Game(743, "Schach für Türme")
AT = datetime(2026, 11, 25, 1, 2, 3, 456_000, tzinfo=timezone.utc)


def answered(source: str, *, known: bool = True, category: Game | None = None, preview: bool = False) -> VerdictReached:
    """Two frames of Tetris."""
    accumulator = VerdictAccumulator((TETRIS, CHESS))
    for _ in range(2):
        accumulator.add_frame(np.array([np.log(3), 0.0]), known)
    return VerdictReached(source, AT, accumulator.verdict(), category, from_preview=preview)


RESULTS = (
    answered("one", category=TETRIS),
    answered("two", category=CHESS, preview=True),
    answered("three", known=False),
    SourceFailed("four", AT, StreamOffline("four is not live")),
)


def test_a_row_has_all_columns():
    """Those of the JSON, games as two columns each; what does not apply is None."""
    rows = [to_row(result) for result in RESULTS]
    assert all(list(one) == list(COLUMNS) for one in rows)
    one, two, three, four = rows
    assert (one["source"], one["game"], one["game_id"], one["confidence"], one["mismatch"]) == (
        "one",
        TETRIS.name,
        2**40,
        0.75,
        False,
    )
    assert (two["category"], two["category_id"], two["mismatch"], two["preview"]) == (CHESS.name, 743, True, True)
    assert (three["known"], three["game"], three["closest"], three["unknown_frames"]) == (False, None, TETRIS.name, 2)
    assert (four["reason"], four["message"], four["known"]) == ("offline", "four is not live", None)
    assert one["time"] == "2026-11-25T01:02:03.456Z"


def written(kind: type[CsvFile] | type[ParquetFile], file: Path, results: tuple[VerdictReached | SourceFailed, ...] = RESULTS) -> Path:
    output = kind(file)
    for result in results:
        output.emit(result)
    output.close()
    output.close()  # twice is fine
    return file


def test_csv(tmp_path):
    """Any reader of CSV finds the same values; quotes, commas and letters of any script survive."""
    text = written(CsvFile, tmp_path / "answers.csv").read_text(encoding="utf-8")
    found = list(csv.DictReader(io.StringIO(text)))
    assert [list(one) for one in found] == [list(COLUMNS)] * len(RESULTS)
    words = {None: "", True: "true", False: "false"}
    for one, result in zip(found, RESULTS, strict=True):
        assert one == {
            name: words[value] if value is None or isinstance(value, bool) else str(value)
            for name, value in to_row(result).items()
        }


def test_csv_lines_are_there_at_once(tmp_path):
    """Whoever kills the survey finds each line whole."""
    output = CsvFile(tmp_path / "answers.csv")
    output.emit(RESULTS[0])
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 2
    output.close()


def test_parquet(tmp_path):
    """A reader finds columns of their types with the same values, more rows than fit a batch among them."""
    many = RESULTS * parquet_file._BATCH
    table = read_parquet(written(ParquetFile, tmp_path / "answers.parquet", many)).read_all()
    assert table.column_names == list(COLUMNS)
    for name in COLUMNS:
        values = table.column(name).to_pylist()
        if name == "time":
            assert set(values) == {AT}
        else:
            assert values == [to_row(result)[name] for result in RESULTS] * parquet_file._BATCH
    assert [path.name for path in tmp_path.iterdir()] == ["answers.parquet"]


def test_parquet_of_nothing(tmp_path):
    """A survey without results has a file with its columns, too."""
    table = read_parquet(written(ParquetFile, tmp_path / "answers.parquet", ())).read_all()
    assert (table.num_rows, table.column_names) == (0, list(COLUMNS))


def test_parquet_appears_whole_or_not_at_all(tmp_path):
    """Until it is closed an older file stays as it is."""
    file = tmp_path / "answers.parquet"
    file.write_bytes(b"old")
    output = ParquetFile(file)
    output.emit(RESULTS[0])
    assert file.read_bytes() == b"old"
    output.close()
    assert read_parquet(file).read_all().num_rows == 1


@pytest.mark.parametrize(("kind", "option"), [(CsvFile, "--csv"), (ParquetFile, "--parquet")])
def test_a_file_that_cannot_be_written(tmp_path, kind, option):
    """It is said before the survey begins, with the option's name."""
    with pytest.raises(FolderError, match=f"^{option}: .*nowhere"):
        kind(tmp_path / "nowhere" / "answers")


def printed(*results: VerdictReached | SourceFailed, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    rows = ResultTable(console)
    for result in results:
        rows.emit(result)
    rows.close()
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_table():
    """A head, and a row for each result in columns that stay where they are; mismatches are marked."""
    head, *rows = printed(*RESULTS)
    assert head.split() == ["Source", "Shows", "Sure", "Frames", "Category"]
    assert [line.split()[0] for line in rows] == ["one", "two", "three", "four"]
    shows = head.index("Shows")
    assert [line[shows:].split("  ")[0] for line in rows] == [
        TETRIS.name,
        TETRIS.name,
        "Unknown (closest: Tetris, …",
        "– offline",
    ]
    assert [f"≠ {CHESS.name}" in line for line in rows] == [False, True, False, False]
    assert "preview" in rows[1]
    assert "75.0%" in rows[0]


def test_a_narrow_terminal():
    """No row takes more than a line."""
    assert len(printed(*RESULTS, width=40)) == 1 + len(RESULTS)


def test_the_progress():
    """While it goes on a line says how far it is; at the end it is gone."""
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    stats = SurveyStats()
    progress = ProgressLine(console, stats, total=4)
    for result in RESULTS:
        stats.add(result)
        progress.emit(result)
    progress._progress.refresh()
    assert isinstance(console.file, io.StringIO)
    assert "4/4" in console.file.getvalue()
    assert "2 known, 1 unknown, 1 failed (1 offline)" in console.file.getvalue()
    progress.close()
    progress.close()
    assert console.file.getvalue().endswith("\x1b[2K")


def test_the_summary():
    """Streams a minute, games, mismatches by name, failures by reason."""
    now = 100.0
    stats = SurveyStats(clock=lambda: now)
    for result in (*RESULTS, answered("five"), SourceFailed("six", AT, OnlyAds("six: ads")), RESULTS[3]):
        stats.add(result)
    now += 30
    assert list(stats.summary()) == [
        "7 streams, 14 a minute: 3 known, 1 unknown, 3 failed (2 offline, 1 only ads); "
        "8 frames in 30 s, 1 by their previews alone",
        f"{TETRIS.name} 3",
        f"1 stream under another category: two shows {TETRIS.name}, not {CHESS.name}",
    ]


def test_the_summary_of_very_many_mismatches():
    """It names some, and counts the others."""
    stats = SurveyStats()
    for number in range(1000):
        stats.add(answered(f"n{number}", category=CHESS))
    *_, last = stats.summary()
    assert last.startswith("1000 streams under another category: n0 shows")
    assert last.endswith("; and 980 more")
