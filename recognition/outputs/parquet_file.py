"""Parquet output. Owns arro3, the Python binding of Arrow's Rust library: a fifth of the size of pyarrow."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from arro3.core import Array, DataType, RecordBatch, Table
from arro3.io import write_parquet

from data.atomic import atomic_file, temporary_files
from data.errors import SettingsError
from recognition.events import Event, SourceFailed, VerdictReached
from recognition.outputs.base import STDOUT, Output, check_replaceable, folder_errors
from recognition.outputs.csv_file import COLUMNS, to_row

_BATCH = 1000  # rows kept as Python objects before they become an Arrow batch of some 200 bytes a row
_COMPRESSION = "zstd(3)"


class ParquetFile(Output):
    """Keep verdicts and failures in memory as Arrow batches and write the file when closed: whole or not at all."""

    def __init__(self, path: Path) -> None:
        """Check that the file, or stdout for "-", can be written.

        Raises SettingsError for stdout that is a terminal, FolderError as `close` does.
        """
        if path == STDOUT and sys.stdout.isatty():
            raise SettingsError("--parquet: - writes binary data to a terminal; redirect stdout to a file or program")
        self._path = path
        self._target: Path | None = None  # a file to replace; None: a stream to write to
        self._rows: list[dict[str, Any]] = []
        self._batches: list[RecordBatch] = []
        self._closed = False
        with folder_errors("--parquet", path):
            check_replaceable(path)
            # A device or pipe cannot be replaced, but written to. A link stays a link to the file.
            if path != STDOUT and (path.is_file() or path.is_dir() or not path.exists()):
                self._target = path.resolve()
                # A survey may take hours: an unwritable folder must be reported before it begins.
                with temporary_files(self._target.parent, [b""]):
                    if self._target.is_dir():
                        raise IsADirectoryError(errno.EISDIR, "is a folder")

    def emit(self, event: Event) -> None:
        """Keep a verdict or failure; ignore other events."""
        if isinstance(event, (VerdictReached, SourceFailed)):
            self.add(to_row(event))

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row, a value for each of COLUMNS."""
        self._rows.append(row)
        if len(self._rows) >= _BATCH:
            self._flush()

    def close(self) -> None:
        """Write the file; without a result, an earlier file stays. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        has_results = bool(self._rows or self._batches)
        self._flush()
        with folder_errors("--parquet", self._path):
            if self._target and not has_results and self._target.exists():
                return
            # Into memory first: an error of the disk is then Python's, not a panic inside the library.
            self._write(_content(self._batches))

    def _write(self, content: bytes) -> None:
        if self._target:
            with atomic_file(self._target) as temporary:
                temporary.write_bytes(content)
        elif self._path == STDOUT:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        else:
            self._path.write_bytes(content)

    def _flush(self) -> None:
        if self._rows or not self._batches:  # an empty first batch carries the schema of a file without rows
            self._batches.append(_batch(COLUMNS, self._rows))
            self._rows = []


def parquet_bytes(columns: Mapping[str, type], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a Parquet file with these rows. columns: str, int, float, bool or datetime, the latter as ISO 8601."""
    return _content([_batch(columns, rows)])


def _batch(columns: Mapping[str, type], rows: Sequence[Mapping[str, Any]]) -> RecordBatch:
    return RecordBatch.from_pydict({name: _column(kind, [row[name] for row in rows]) for name, kind in columns.items()})


def _content(batches: Sequence[RecordBatch]) -> bytes:
    content = io.BytesIO()
    write_parquet(Table.from_batches(batches), content, compression=_COMPRESSION)
    return content.getvalue()


def _column(kind: type, values: list[Any]) -> Array:
    if kind is datetime:  # Arrow parses ISO 8601
        return Array(values, type=DataType.string()).cast(DataType.timestamp("ms", tz="UTC"))
    if kind is int:  # an id beyond 64 bits is no id of Twitch: it must not cost the other rows
        values = [value if value is None or -(2**63) <= value < 2**63 else None for value in values]
    types = {str: DataType.string, int: DataType.int64, float: DataType.float64, bool: DataType.bool}
    return Array(values, type=types[kind]())
