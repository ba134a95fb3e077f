"""Tables of a survey's results: CSV, Parquet, and counts."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from dashboard.jobs.commands import TABLE
from dashboard.jobs.schemas import SurveyGame, SurveySummary
from dashboard.jobs.survey_results import SurveyCounts, SurveyResults
from data.storage.folder_errors import folder_errors

_MAX_GAMES = 100


def csv_table(folder: Path) -> bytes:
    """Return the table that the survey writes line by line; it is empty before the first result. Raises FolderError."""
    path = folder / TABLE
    with folder_errors(path), suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


def parquet_table(folder: Path, results: SurveyResults) -> bytes:
    """Return the results so far as a Parquet file; it is empty if there are none. Raises FolderError."""
    from recognition.outputs.csv_file import json_to_row
    from recognition.outputs.parquet_file import ParquetFile

    if not len(results):
        return b""
    with folder_errors(folder), TemporaryDirectory(dir=folder) as private:
        path = Path(private, "table")
        with closing(ParquetFile(path)) as table:
            for event in results.events():
                table.add(json_to_row(event))
        return path.read_bytes()


def summarise(counts: SurveyCounts) -> SurveySummary:
    """Return the counts as the API has them, the games with the most streams."""
    outcomes = counts.outcomes.copy()  # another request may be counting
    games = sorted(counts.games.copy().items(), key=lambda each: (-each[1].streams, each[1].name))
    return SurveySummary(
        streams=outcomes.total(),
        known=outcomes["known"],
        unknown=outcomes["unknown"],
        failed=outcomes["failed"],
        frames=counts.frames,
        compared=counts.compared,
        mismatches=counts.mismatches,
        games=[
            SurveyGame(id=str(game_id), name=count.name, streams=count.streams, mismatches=count.mismatches)
            for game_id, count in games[:_MAX_GAMES]
        ],
        failures=dict(counts.failures.most_common()),
    )
