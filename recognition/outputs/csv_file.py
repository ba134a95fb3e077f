"""CSV output (RFC 4180), and the table columns that CSV and Parquet share."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path
from typing import Any

from recognition.events import Event, SourceFailed, VerdictReached, as_json
from recognition.outputs.base import Output, folder_errors

# The keys of docs/events.schema.json. A game has two columns, id and name; a value that does not apply is empty.
COLUMNS: dict[str, type] = {
    "source": str,
    "time": datetime,
    "known": bool,
    "game_id": int,
    "game": str,
    "closest_id": int,
    "closest": str,
    "confidence": float,
    "score": float,
    "frames": int,
    "unknown_frames": int,
    "early": bool,
    "preview": bool,
    "category_id": int,
    "category": str,
    "mismatch": bool,
    "reason": str,
    "message": str,
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


class CsvFile(Output):
    """Write one line for each verdict or failure. Lines are flushed at once: a killed process leaves whole lines."""

    def __init__(self, file: Path) -> None:
        """Create or overwrite the file. Raises FolderError, as `emit` does."""
        self._path = file
        with folder_errors("--csv", file):
            self._file = file.open("w", encoding="utf-8", newline="")
            self._writer = csv.DictWriter(self._file, list(COLUMNS), lineterminator="\n")
            self._writer.writeheader()
            self._file.flush()

    def emit(self, event: Event) -> None:
        """Write a line for a verdict or failure; ignore other events."""
        if isinstance(event, (VerdictReached, SourceFailed)):
            # JSON and most CSV readers spell a bool `true` or `false`.
            row = {name: str(v).lower() if isinstance(v, bool) else v for name, v in to_row(event).items()}
            with folder_errors("--csv", self._path):
                self._writer.writerow(row)
                self._file.flush()

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        self._file.close()
