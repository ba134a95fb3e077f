"""CSV output (RFC 4180), and the table columns that CSV and Parquet share."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from data.errors import FolderError
from data.text import printable
from recognition.events import Event, Result, SourceFailed, VerdictReached, as_json
from recognition.outputs.base import STDOUT, Output, check_replaceable, folder_errors

# Spreadsheets run such a cell as a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")

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


def to_row(result: Result) -> dict[str, Any]:
    """Return the result as one value for each of COLUMNS, None where a column does not apply; `time` is ISO 8601."""
    return json_to_row(as_json(result))


def json_to_row(event: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a verdict or failure that stands as JSON in an output of the past."""
    values: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, dict):
            values |= {f"{name}_id": value["id"], name: value["name"]}
        else:
            values[name] = value
    return {name: values.get(name) for name in COLUMNS}


class CsvFile(Output):
    """Write one line for each verdict or failure. Lines are flushed at once: a killed process leaves whole lines.

    A text that a spreadsheet would take for a formula begins with an apostrophe. On a terminal, characters that it
    would obey are replaced.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or stdout for "-". Raises FolderError, as `emit` and `close` do.

        What is in the file is replaced at the first line: a command that fails before leaves an earlier file as it is.
        """
        self._path = path
        with folder_errors("--csv", path):
            check_replaceable(path)
            self._file: BinaryIO = sys.stdout.buffer if path == STDOUT else path.open("ab")
            self._is_terminal = self._file.isatty()
            self._is_old = path != STDOUT and path.is_file() and path.stat().st_size > 0
            if not self._is_old:
                self._write_header()

    def emit(self, event: Event) -> None:
        """Write a line for a verdict or failure; ignore other events."""
        if isinstance(event, (VerdictReached, SourceFailed)):
            with folder_errors("--csv", self._path):
                if self._is_old:
                    self._is_old = False
                    self._file.truncate(0)
                    self._write_header()
                self._write(map(self._cell, to_row(event).values()))

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        if self._path != STDOUT:
            with folder_errors("--csv", self._path):
                self._file.close()  # writes again what could not be written

    def _write_header(self) -> None:
        try:
            self._write(COLUMNS)
        except OSError:
            with suppress(OSError, FolderError):
                self.close()
            raise

    def _write(self, cells: Iterable[Any]) -> None:
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\r\n").writerow(cells)  # or a carriage return in a cell would not be quoted
        self._file.write(line.getvalue().removesuffix("\r\n").encode() + b"\n")
        self._file.flush()

    def _cell(self, value: Any) -> Any:
        """Return a value as CSV has it."""
        if isinstance(value, bool):  # JSON and most CSV readers spell it `true` or `false`
            return str(value).lower()
        if not isinstance(value, str):
            return value
        text = printable(value) if self._is_terminal else value
        return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
