"""Outputs of a survey: rows in CSV and Parquet files, the table on a terminal, and the summary."""

from __future__ import annotations

import csv
import io
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.sample_images import RED, flat, segment

TETRIS, CHESS = Game(2**40, 'Tetris, "the" Game'), Game(743, "Schach für Türme")
AT = datetime(2026, 11, 25, 1, 2, 3, 456_000, tzinfo=timezone.utc)


def answered(source: str, *, known: bool = True, category: Game | None = None, preview: bool = False) -> VerdictReached:
    """Return a verdict of two Tetris frames."""
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


def test_row_has_a_value_for_each_column():
    """A row has the values of the JSON, a game in two columns; a column that does not apply is None."""
    rows = [to_row(result) for result in RESULTS]
    assert all(list(row) == list(COLUMNS) for row in rows)
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


def written(
    kind: type[CsvFile] | type[ParquetFile], file: Path, results: tuple[VerdictReached | SourceFailed, ...] = RESULTS
) -> Path:
    output = kind(file)
    for result in results:
        output.emit(result)
    output.close()
    output.close()  # the second call does nothing
    return file


def test_csv_when_read_has_the_same_values(tmp_path):
    """A CSV reader finds the values of the rows; quotes, commas and non-ASCII letters survive."""
    text = written(CsvFile, tmp_path / "answers.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [list(row) for row in rows] == [list(COLUMNS)] * len(RESULTS)
    spelling = {None: "", True: "true", False: "false"}
    for row, result in zip(rows, RESULTS, strict=True):
        assert row == {
            name: spelling[value] if value is None or isinstance(value, bool) else str(value)
            for name, value in to_row(result).items()
        }


def test_csv_line_when_written_is_flushed(tmp_path):
    """After each result its line is in the file, so that a killed survey leaves whole lines."""
    output = CsvFile(tmp_path / "answers.csv")
    output.emit(RESULTS[0])
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 2
    output.close()


def test_parquet_when_read_has_the_same_values(tmp_path):
    """A Parquet reader finds typed columns with the values of the rows, also with several batches."""
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


def test_parquet_without_results_has_all_columns(tmp_path):
    """The file of a survey without results has no rows, but the columns."""
    table = read_parquet(written(ParquetFile, tmp_path / "answers.parquet", ())).read_all()
    assert (table.num_rows, table.column_names) == (0, list(COLUMNS))


def test_parquet_until_closed_keeps_the_old_file(tmp_path):
    """An older file of the same name is unchanged until `close`, and no other file is in the folder then."""
    file = tmp_path / "answers.parquet"
    file.write_bytes(b"old")
    output = ParquetFile(file)
    output.emit(RESULTS[0])
    assert file.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [file]
    output.close()
    assert read_parquet(file).read_all().num_rows == 1


@pytest.mark.parametrize(("kind", "option"), [(CsvFile, "--csv"), (ParquetFile, "--parquet")])
def test_file_when_unwritable_raises_before_the_survey(tmp_path, kind, option):
    """The constructor raises an error that begins with the option's name."""
    with pytest.raises(FolderError, match=f"^{option}: .*nowhere"):
        kind(tmp_path / "nowhere" / "answers")


@pytest.mark.parametrize("start", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(1)", "\tx", "\rx", "\nx", "＝1", "－1"])
def test_csv_cell_that_begins_as_a_formula_has_an_apostrophe(tmp_path, start):
    """Texts of every column are neutralised for spreadsheets; numbers are not."""
    category = Game(-5, start)
    file = written(
        CsvFile, tmp_path / "a.csv", (answered(start, category=category), SourceFailed("x", AT, failed(start)))
    )
    with file.open(newline="", encoding="utf-8") as lines:
        answer, failure = csv.DictReader(lines)
    assert [answer[name] for name in ("source", "category", "category_id")] == [f"'{start}", f"'{start}", "-5"]
    assert failure["message"] == f"'{start}"


def failed(message: str) -> StreamOffline:
    return StreamOffline(message)


@pytest.mark.parametrize("kind", [CsvFile, ParquetFile])
def test_text_that_is_not_unicode_has_replacement_characters(tmp_path, kind):
    """A byte of a file's name that is not UTF-8, or half a character from JSON, costs neither row nor file."""
    results = (answered("caf\udce9", category=Game(1, "\ud83d")), RESULTS[0], SourceFailed("x", AT, failed("\udcff")))
    file = written(kind, tmp_path / "answers", results)
    if kind is CsvFile:
        rows = [*csv.DictReader(file.read_bytes().decode().splitlines())]
    else:
        table = read_parquet(file).read_all()
        columns = {name: table.column(name).to_pylist() for name in ("source", "category", "message")}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    assert (rows[0]["source"], rows[0]["category"], rows[2]["message"]) == ("caf\ufffd", "\ufffd", "\ufffd")


@pytest.mark.parametrize("large", [2**63, -(2**63) - 1, 10**40])
def test_parquet_when_an_id_exceeds_64_bits_has_null_there(tmp_path, large):
    """One id that no column of integers can hold costs this value, not the file; the CSV file has it."""
    results = (answered("one", category=Game(large, "Huge")), answered("two", category=Game(2**63 - 1, "Most")))
    table = read_parquet(written(ParquetFile, tmp_path / "a.parquet", results)).read_all()
    assert table.column("category_id").to_pylist() == [None, 2**63 - 1]
    assert table.column("category").to_pylist() == ["Huge", "Most"]
    assert str(large) in written(CsvFile, tmp_path / "a.csv", results).read_text()


@contextmanager
def limited_disk(size: int) -> Iterator[None]:
    """Let the kernel refuse to make any file larger than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_parquet_when_the_disk_is_full_keeps_the_earlier_file(tmp_path):
    """The error is one line with the option; the temporary file is removed and the earlier file untouched."""
    file = tmp_path / "answers.parquet"
    file.write_bytes(b"old")
    output = ParquetFile(file)
    output.emit(RESULTS[0])
    with (
        limited_disk(100),
        pytest.raises(FolderError, match=r"^--parquet: cannot write .*answers.parquet: .*too large"),
    ):
        output.close()
    output.close()
    assert ([*tmp_path.iterdir()], file.read_bytes()) == ([file], b"old")


def test_parquet_to_a_full_device_raises(tmp_path):
    """A device is written to, never replaced by a file."""
    output = ParquetFile(Path("/dev/full"))
    output.emit(RESULTS[0])
    with pytest.raises(FolderError, match=r"^--parquet: cannot write /dev/full: .*No space left"):
        output.close()
    assert Path("/dev/full").is_char_device()


def test_parquet_through_a_link_keeps_the_link(tmp_path):
    """The file that a symbolic link leads to is replaced, not the link."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    written(ParquetFile, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert read_parquet(tmp_path / "real").read_all().num_rows == len(RESULTS)


def test_parquet_to_a_named_pipe_is_written_into_it(tmp_path):
    """A pipe stays a pipe, and its reader gets the whole file."""
    pipe, copy = tmp_path / "pipe", tmp_path / "copy"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: copy.write_bytes(pipe.read_bytes()))
    reader.start()
    written(ParquetFile, pipe)
    reader.join()
    assert pipe.is_fifo()
    assert read_parquet(copy).read_all().num_rows == len(RESULTS)


@pytest.mark.parametrize("output", [CsvFile, ParquetFile])
def test_file_that_is_not_a_table_is_never_replaced(tmp_path, output):
    """A video, by a name that a shell completed or by a link to it. Each kind of table may replace the other."""
    video, link, table = tmp_path / "a.mp4", tmp_path / "link", tmp_path / "table"
    video.write_bytes(content := segment(flat(RED), container="mp4"))
    link.symlink_to(video)
    for path in (video, link):
        with pytest.raises(FolderError, match=r"cannot write .*binary file"):
            output(path)
    assert video.read_bytes() == content
    for earlier in (ParquetFile, CsvFile):
        written(earlier, table)
        written(output, table)


def test_csv_until_its_first_line_keeps_the_earlier_file(tmp_path):
    """An earlier file is replaced by the header and the first line, or not at all."""
    file = tmp_path / "a.csv"
    written(CsvFile, file)
    text = file.read_text()
    written(CsvFile, file, ())
    assert file.read_text() == text
    written(CsvFile, file, RESULTS[:1])
    assert file.read_text() == "".join(text.splitlines(keepends=True)[:2])


def table_lines(*results: VerdictReached | SourceFailed, width: int = 100) -> list[str]:
    """Return the lines of the table of these results on a terminal of this width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    table = ResultTable(console)
    for result in results:
        table.emit(result)
    table.close()
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_table_has_aligned_columns_and_marks_mismatches():
    """There is a heading and a row for each result, in columns of constant position; mismatches are marked."""
    heading, *rows = table_lines(*RESULTS)
    assert heading.split() == ["Source", "Shows", "Confidence", "Frames", "Category"]
    assert [line.split()[0] for line in rows] == ["one", "two", "three", "four"]
    shows = heading.index("Shows")
    assert [line[shows:].split("  ")[0] for line in rows] == [
        TETRIS.name,
        TETRIS.name,
        "Unknown (closest: Tetris,…",
        "– offline",
    ]
    assert [f"≠ {CHESS.name}" in line for line in rows] == [False, True, False, False]
    assert "preview" in rows[1]
    assert "75.0%" in rows[0]


def test_table_when_the_terminal_is_narrow_has_one_line_per_row():
    """Long cells are cut: no row takes more than one line."""
    assert len(table_lines(*RESULTS, width=40)) == 1 + len(RESULTS)


def test_progress_line_shows_the_status_until_closed():
    """The line shows bar, count and status; `close` clears it."""
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


def test_summary_has_rate_games_mismatches_and_failures():
    """The summary has streams per minute, failures by reason, verdicts by game, and mismatches by source."""
    now = 100.0
    stats = SurveyStats(clock=lambda: now)
    for result in (*RESULTS, answered("five"), SourceFailed("six", AT, OnlyAds("six: ads")), RESULTS[3]):
        stats.add(result)
    now += 30
    assert list(stats.summary()) == [
        "7 streams, 14 a minute: 3 known, 1 unknown, 3 failed (2 offline, 1 only ads); "
        "8 frames in 30 s, 1 from previews only",
        f"{TETRIS.name} 3",
        f"1 stream in another category: two shows {TETRIS.name}, not {CHESS.name}",
    ]


def test_summary_when_mismatches_are_many_lists_twenty():
    """The summary lists the first 20 mismatches and counts the others."""
    stats = SurveyStats()
    for number in range(1000):
        stats.add(answered(f"n{number}", category=CHESS))
    *_, last = stats.summary()
    assert last.startswith("1,000 streams in another category: n0 shows")
    assert last.endswith("; and 980 more")
