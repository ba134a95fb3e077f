"""CSV output (RFC 4180), and the table columns that CSV and Parquet share. Standard library only."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from recognition.events import Event, SourceFailed, VerdictReached, as_json
from recognition.outputs.base import folder_errors

TEXT, INTEGER, FLOAT, BOOLEAN, TIME = "text", "integer", "float", "boolean", "time"
# The keys of docs/events.schema.json. A game has two columns, id and name; a value that does not apply is empty.
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
    """Return the result as one value for each of COLUMNS, None where a column does not apply; `time` is ISO 8601."""
    values: dict[str, Any] = {}
    for name, value in as_json(result).items():
        if isinstance(value, dict):
            values |= {f"{name}_id": value["id"], name: value["name"]}
        else:
            values[name] = value
    return {name: values.get(name) for name in COLUMNS}


class CsvFile:
    """Write one line for each verdict or failure. Lines are flushed at once: a killed process leaves whole lines.

    Args:
        file: the path; an existing file is overwritten.

    Raises:
        FolderError: the file cannot be written; also from `emit`.
    """

    def __init__(self, file: Path) -> None:
        self._path = file
        with folder_errors("--csv", file):
            self._file = file.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, list(COLUMNS), lineterminator="\n")
        self._write({name: name for name in COLUMNS})

    def emit(self, event: Event) -> None:
        """Write a line for a verdict or failure; ignore other events."""
        if isinstance(event, (VerdictReached, SourceFailed)):
            self._write({name: _csv_value(value) for name, value in to_row(event).items()})

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        self._file.close()

    def _write(self, values: dict[str, Any]) -> None:
        """Write one line and flush it. Raises FolderError."""
        with folder_errors("--csv", self._path):
            self._writer.writerow(values)
            self._file.flush()


def _csv_value(value: Any) -> Any:
    """Return `true` or `false` for a bool, as JSON and most CSV readers spell it; any other value unchanged."""
    return str(value).lower() if isinstance(value, bool) else value
