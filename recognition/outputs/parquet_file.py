"""Parquet output. Owns arro3, the Python binding of Arrow's Rust library: a fifth of the size of pyarrow."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from arro3.core import Array, DataType, RecordBatch, Table
from arro3.io import write_parquet

from data.atomic import atomic_file, temporary_files
from recognition.events import Event, SourceFailed, VerdictReached
from recognition.outputs.base import Output, folder_errors
from recognition.outputs.csv_file import COLUMNS, to_row

_BATCH = 1000  # rows kept as Python objects before they become an Arrow batch of some 200 bytes a row
_COMPRESSION = "zstd(3)"


class ParquetFile(Output):
    """Keep verdicts and failures in memory as Arrow batches and write the file when closed: whole or not at all."""

    def __init__(self, file: Path) -> None:
        """Check that the file can be written; `close` creates or replaces it. Raises FolderError, as `close` does."""
        self._path = file
        self._rows: list[dict[str, Any]] = []
        self._batches: list[RecordBatch] = []
        self._closed = False
        # A survey may take hours: an unwritable folder must be reported before it begins.
        with folder_errors("--parquet", file), temporary_files(file.parent, [b""]):
            pass

    def emit(self, event: Event) -> None:
        """Keep a verdict or failure; ignore other events."""
        if isinstance(event, (VerdictReached, SourceFailed)):
            self._rows.append(to_row(event))
        if len(self._rows) >= _BATCH:
            self._flush()

    def close(self) -> None:
        """Write the file. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._flush()
        with folder_errors("--parquet", self._path), atomic_file(self._path) as temporary:
            write_parquet(Table.from_batches(self._batches), temporary, compression=_COMPRESSION)

    def _flush(self) -> None:
        if self._rows or not self._batches:  # an empty first batch carries the schema of a file without rows
            columns = {name: _column(kind, [row[name] for row in self._rows]) for name, kind in COLUMNS.items()}
            self._batches.append(RecordBatch.from_pydict(columns))
            self._rows = []


def _column(kind: type, values: list[Any]) -> Array:
    if kind is datetime:  # Arrow parses ISO 8601
        return Array(values, type=DataType.string()).cast(DataType.timestamp("ms", tz="UTC"))
    types = {str: DataType.string, int: DataType.int64, float: DataType.float64, bool: DataType.bool}
    return Array(values, type=types[kind]())
