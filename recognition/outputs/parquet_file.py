"""Results as a Parquet file. The only importer of arro3: Arrow's Rust library, a fifth of what pyarrow weighs."""

from __future__ import annotations

import contextlib
import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any

from arro3.core import Array, DataType, RecordBatch, Table
from arro3.io import write_parquet

from data.errors import FolderError
from recognition.events import Event, SourceFailed, VerdictReached
from recognition.outputs.csv_file import BOOLEAN, COLUMNS, FLOAT, INTEGER, TEXT, TIME, to_row

_BATCH = 1000  # rows that wait to be packed: packed, a row takes some 200 bytes
_COMPRESSION = "zstd(3)"


class ParquetFile:
    """Keeps the results packed, and writes them when it is closed: the file is there then, whole, or not at all."""

    def __init__(self, file: Path) -> None:
        """Begin a hidden file beside it. Raises FolderError."""
        self._path = file
        self._hidden = file.with_name(f".{os.getpid()}-{secrets.token_hex(8)}.tmp")  # as data.atomic names them
        self._rows: list[dict[str, Any]] = []
        self._batches: list[RecordBatch] = []
        self._closed = False
        try:
            self._hidden.touch(exist_ok=False)
        except OSError as error:
            raise FolderError(f"--parquet: {file} cannot be written: {error}") from error

    def emit(self, event: Event) -> None:
        """Keep it, where it is a source's result."""
        if isinstance(event, (VerdictReached, SourceFailed)):
            self._rows.append(to_row(event))
        if len(self._rows) >= _BATCH:
            self._pack()

    def close(self) -> None:
        """Write the file; safe to call twice. Raises FolderError."""
        if self._closed:
            return
        self._closed = True
        self._pack()
        try:
            write_parquet(Table.from_batches(self._batches), self._hidden, compression=_COMPRESSION)
            self._hidden.replace(self._path)
        except OSError as error:
            raise FolderError(f"--parquet: {self._path} cannot be written: {error}") from error
        finally:
            with contextlib.suppress(OSError):
                self._hidden.unlink(missing_ok=True)

    def _pack(self) -> None:
        """The rows as a batch; the first one also where there are none, for the sake of its columns."""
        if self._rows or not self._batches:
            columns = {name: _column(kind, [row[name] for row in self._rows]) for name, kind in COLUMNS.items()}
            self._batches.append(RecordBatch.from_pydict(columns))
            self._rows = []


def _column(kind: str, values: list[Any]) -> Array:
    if kind == TIME:
        milliseconds = [round(datetime.fromisoformat(value).timestamp() * 1000) for value in values]
        return Array(milliseconds, type=DataType.int64()).cast(DataType.timestamp("ms", tz="UTC"))
    types = {TEXT: DataType.string, INTEGER: DataType.int64, FLOAT: DataType.float64, BOOLEAN: DataType.bool}
    return Array(values, type=types[kind]())
