"""Report of an audit: from its rows to the files in a new folder, the stored summary, and lines on stdout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from data.storage.audit_rows import AuditRecord, AuditRow
from data.storage.audits import AuditStore
from data.text import printable
from recognition.auditing.meter import Meter
from recognition.events import now
from recognition.reports.audit_report import AuditAbout, make_report
from recognition.reports.files import write_report
from recognition.reports.outcomes import AuditedStream, Judgement, Outcome
from recognition.reports.page import MAX_PICTURES
from recognition.reports.text import report_lines
from recognition.reports.trend import MAX_POINTS
from twitchcategory import __version__


@dataclass(frozen=True, slots=True)
class ReportWriter:
    """Writes reports.

    store: holds the rows. judgement: which categories count. folder: gets a folder for each report. scope: what is
    audited, for people. model: its name. name: what stands for a login.
    """

    store: AuditStore
    judgement: Judgement
    folder: Path
    scope: str
    model: str
    name: Callable[[str], str]

    def write(self, record: AuditRecord, meter: Meter) -> None:
        """Write the report of an audit, print its summary, and note the end. Raises FolderError, CatalogUnavailable."""
        self.store.keep_pictures(record.id, Outcome.OTHER_GAME.value, MAX_PICTURES)
        rows = [row for row in self.store.rows(record.id, with_pictures=True) if row.outcome]
        earlier = self.store.history(record.scope, MAX_POINTS)
        history = [(past.started, past.summary) for past in earlier if past.summary and past.id != record.id]
        ended = now()
        about = AuditAbout(
            id=record.id,
            scope=self.scope,
            started=record.started,
            ended=ended,
            model=self.model,
            model_hash=record.model,
            listed=record.listed,
            sampled=sum(row.looks > 0 for row in rows),  # named channels that are not live have no look
            not_judged=record.not_judged,
            version=__version__,
            **asdict(meter.cost()),
        )
        report = make_report([audited_stream(row) for row in rows], self.judgement, about, history)
        folder = self.folder / f"{record.started:%Y-%m-%d-%H%M%S}-{record.id}"
        write_report(folder, report, self.name)
        self.store.finish(record.id, ended, report.summary())
        title = f"{record.started:%Y-%m-%d %H:%M} UTC, {self.scope}:"
        lines = [title, *report_lines(report), f"Report: {folder / 'report.html'}"]
        sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
        sys.stdout.flush()  # with --every the next lines come much later


def audited_stream(row: AuditRow) -> AuditedStream:
    """Return a stored row as the report takes it."""
    same = {field.name: getattr(row, field.name) for field in fields(row)}
    outcome = next((known for known in Outcome if known.value == row.outcome), Outcome.FAILED)
    return AuditedStream(**same | {"outcome": outcome, "at": row.at or now()})
