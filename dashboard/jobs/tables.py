"""Tables of a survey's results: CSV, Parquet, and counts."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from dashboard.jobs.commands import TABLE
from dashboard.jobs.runner import OUTPUT
from dashboard.jobs.schemas import SurveyGame, SurveySummary
from dashboard.jobs.survey_results import SurveyCounts, SurveyResults

_MAX_GAMES = 100


def csv_table(folder: Path) -> Path | None:
    """Return the table that the survey writes line by line; None before its first result."""
    path = folder / TABLE
    return path if path.exists() and (folder / OUTPUT).stat().st_size else None


def parquet_table(folder: Path, results: SurveyResults) -> Path | None:
    """Return a Parquet file of the results so far, None if there are none. Raises FolderError."""
    from recognition.outputs.csv_file import json_to_row
    from recognition.outputs.parquet_file import ParquetFile

    path, source = folder / "results.parquet", folder / OUTPUT
    if not len(results):
        return None
    if not (path.exists() and path.stat().st_mtime_ns > source.stat().st_mtime_ns):
        with closing(ParquetFile(path)) as table:
            for event in results.events():
                table.add(json_to_row(event))
    return path


def summarise(counts: SurveyCounts) -> SurveySummary:
    """Return the counts as the API has them, the games with the most streams."""
    games = sorted(counts.games.items(), key=lambda each: (-each[1].streams, each[1].name))
    return SurveySummary(
        streams=counts.outcomes.total(),
        known=counts.outcomes["known"],
        unknown=counts.outcomes["unknown"],
        failed=counts.outcomes["failed"],
        frames=counts.frames,
        compared=counts.compared,
        mismatches=counts.mismatches,
        games=[
            SurveyGame(id=str(game_id), name=count.name, streams=count.streams, mismatches=count.mismatches)
            for game_id, count in games[:_MAX_GAMES]
        ],
        failures=dict(counts.failures),
    )
