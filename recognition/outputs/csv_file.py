"""Results as rows of a table, and as a CSV file (RFC 4180). Standard library only."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from data.errors import FolderError
from recognition.events import Event, SourceFailed, VerdictReached, as_json

TEXT, INTEGER, FLOAT, BOOLEAN, TIME = "text", "integer", "real", "yes or no", "time"
# As docs/events.schema.json has them. Of a game the id is a column of its own; what does not apply is empty.
COLUMNS = {
    "source": TEXT,
    "time": TIME,
    "known": BOOLEAN,
    "game_id": INTEGER,
    "game": TEXT,
    "closest_id": INTEGER,
    "closest": TEXT,
    "confidence": FLOAT,
    "score": FLOAT,
    "frames": INTEGER,
    "unknown_frames": INTEGER,
    "early": BOOLEAN,
    "preview": BOOLEAN,
    "category_id": INTEGER,
    "category": TEXT,
    "mismatch": BOOLEAN,
    "reason": TEXT,
    "message": TEXT,
}


def to_row(result: VerdictReached | SourceFailed) -> dict[str, Any]:
    """The result by COLUMNS; None: does not apply. `time` is ISO 8601."""
    values: dict[str, Any] = {}
    for name, value in as_json(result).items():
        if isinstance(value, dict):
            values |= {f"{name}_id": value["id"], name: value["name"]}
        else:
            values[name] = value
    return {name: values.get(name) for name in COLUMNS}


class CsvFile:
    """Writes a line for each result, at once: what is killed leaves whole lines."""

    def __init__(self, file: Path) -> None:
        """Begin the file anew, with the names of the columns. Raises FolderError."""
        self._path = file
        try:
            self._file = file.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise FolderError(f"--csv: {file} cannot be written: {error}") from error
        self._writer = csv.DictWriter(self._file, list(COLUMNS), lineterminator="\n")
        self._write(dict.fromkeys(COLUMNS) | {name: name for name in COLUMNS})

    def emit(self, event: Event) -> None:
        """A line, where it is a source's result. Raises FolderError."""
        if isinstance(event, (VerdictReached, SourceFailed)):
            self._write({name: _word(value) for name, value in to_row(event).items()})

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()

    def _write(self, values: dict[str, Any]) -> None:
        try:
            self._writer.writerow(values)
            self._file.flush()
        except OSError as error:
            raise FolderError(f"--csv: {self._path} cannot be written: {error}") from error


def _word(value: Any) -> Any:
    """`true` and `false` as JSON has them, and most readers of CSV."""
    return str(value).lower() if isinstance(value, bool) else value
