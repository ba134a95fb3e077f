"""Files of a report: report.html, report.json (docs/audit.schema.json) and streams.parquet."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from data.atomic import atomic_file, temporary_files
from recognition.outputs.base import folder_errors
from recognition.outputs.parquet_file import parquet_bytes
from recognition.reports.audit_report import AuditReport
from recognition.reports.json_report import as_json, finite, iso_time
from recognition.reports.outcomes import AuditedStream
from recognition.reports.page import render_page
from recognition.reports.text import name_of

PAGE, VALUES, STREAMS = "report.html", "report.json", "streams.parquet"
_COLUMNS = {
    "stream": str,
    "category_id": int,
    "category": str,
    "viewers": int,
    "language": str,
    "stratum": str,
    "weight": float,
    "outcome": str,
    "shown_id": int,
    "shown": str,
    "screen": str,
    "confidence": float,
    "frames": int,
    "looks": int,
    "at": datetime,
    "reason": str,
}


def prepare_folder(folder: Path) -> None:
    """Create the folder of all reports. Raises FolderError if nothing can be written into it."""
    with folder_errors("--out", folder):
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_files(folder, [b""]):
            pass


def write_report(folder: Path, report: AuditReport, name: Callable[[str], str]) -> None:
    """Create `folder` and write the three files, each whole or not at all. Raises FolderError.

    name: what stands for a login in them, such as its pseudonym.
    """
    contents = {
        PAGE: render_page(report, name).encode(),
        VALUES: (json.dumps(as_json(report, name), indent=1, ensure_ascii=False) + "\n").encode(),
        STREAMS: parquet_bytes(_COLUMNS, [_row(stream, name) for stream in report.streams]),
    }
    with folder_errors("--out", folder):
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in contents.items():
            with atomic_file(folder / file) as temporary:
                temporary.write_bytes(content)


def _row(stream: AuditedStream, name: Callable[[str], str]) -> dict[str, Any]:
    """Return a stream's row of the Parquet file, a value for each of _COLUMNS."""
    category, shown = stream.category, stream.shown
    return {
        "stream": name(stream.login),
        "category_id": category.id if category else None,
        "category": name_of(category.name) if category else None,
        "viewers": stream.viewers,
        "language": name_of(stream.language),
        "stratum": name_of(stream.stratum),
        "weight": stream.weight,
        "outcome": stream.outcome.value,
        "shown_id": shown.id if shown else None,
        "shown": name_of(shown.name) if shown else None,
        "screen": stream.screen,
        "confidence": finite(stream.confidence),
        "frames": stream.frames,
        "looks": stream.looks,
        "at": iso_time(stream.at),
        "reason": name_of(stream.reason),
    }
