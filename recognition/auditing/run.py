"""Audit run: begin an audit or go on with one, look at its streams, write its report.

take the latest audit of this scope and model that was ended by a kill or an outage
otherwise list the streams, draw the sample, store both
look at the streams that have no outcome yet            (recognition.auditing.looks)
    store each answer at once
write the report, note the end
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from data.entities import Stream
from data.errors import StreamOffline, ToolkitError
from data.storage.audit_rows import AuditCost, AuditRecord, AuditRow
from data.storage.audits import AuditStore
from recognition.auditing.looks import Looks
from recognition.auditing.meter import Meter
from recognition.auditing.sampling import census, stratified_sample
from recognition.auditing.selection import Population, Scope, find_streams
from recognition.events import Result, VerdictReached, now
from recognition.reports.outcomes import Judgement, Outcome

if TYPE_CHECKING:
    from data.twitch.helix import Helix
    from recognition.cluster.survey_worker import SurveyPool
    from recognition.recognizer import Recognizer

_CONTINUED = timedelta(hours=24)  # an older audit would look at streams that are over
_SEED_BITS = 32

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LookOptions:
    """How streams are looked at: max_frames, certainty and preview as in Recognizer.survey.

    again_s: seconds from the first look to the second.
    """

    max_frames: int
    certainty: float
    preview: bool
    again_s: float


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What to audit. named: logins. seed: of the sample; None: a random one. new: continue no earlier audit."""

    scope: Scope
    named: tuple[str, ...]
    model: str  # its SHA-256
    seed: int | None
    new: bool


class Progress(Protocol):
    """What shows how far the looks are."""

    def add(self, result: Result) -> None:
        """Show one more result."""

    def note(self, text: str) -> None:
        """Show a sentence."""


class Auditor:
    """Makes audits with one model. Not thread-safe.

    Args:
        recognizer: looks at streams.
        helix: lists streams.
        store: keeps the audits.
        judgement: which categories count.
        options: how streams are looked at.
        is_excluded: whether a login must not be looked at.
        show_progress: gets the number of streams ahead; its context manager yields what the looks report to.
        pool: looks at streams instead of threads of this process.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        helix: Helix,
        store: AuditStore,
        judgement: Judgement,
        options: LookOptions,
        *,
        is_excluded: Callable[[str], bool],
        show_progress: Callable[[int], AbstractContextManager[Progress]],
        pool: SurveyPool | None = None,
    ) -> None:
        self._recognizer, self._helix, self._store = recognizer, helix, store
        self._judgement, self._options = judgement, options
        self._is_excluded, self._show_progress, self._pool = is_excluded, show_progress, pool

    def run(self, request: AuditRequest, write_report: Callable[[AuditRecord, Meter], object]) -> None:
        """Make one audit, or finish an earlier one, to its report.

        Raises DirectoryError, CatalogUnavailable, FolderError, ModelError; StreamOffline if no stream is live.
        """
        with ExitStack() as stack:
            record = (None if request.new else self._unfinished(request, stack)) or self._begin(request, stack)
            meter = self._meter(record.cost)
            self._look(record, meter)
            write_report(record, meter)

    def _look(self, record: AuditRecord, meter: Meter) -> None:
        """Make the looks that are left; store each answer at once."""
        rows = self._allowed_rows(record)
        with self._show_progress(sum(not row.outcome for row in rows)) as progress:
            looks = Looks(
                partial(self._survey, meter, progress),
                self._helix.streams_by_login,
                self._judgement,
                again_s=self._options.again_s,
                wait=partial(self._wait, progress),
            )
            try:
                with closing(looks.run(rows)) as changed:
                    for row in changed:
                        self._store.save(record.id, row, meter.cost())
            except (KeyboardInterrupt, ToolkitError):
                log.warning("The same command goes on with this audit within 24 hours.")
                raise

    def _allowed_rows(self, record: AuditRecord) -> list[AuditRow]:
        """Return the rows of an audit; delete those of streamers who were excluded since the listing."""
        rows = self._store.rows(record.id)
        excluded = {row.login for row in rows if self._is_excluded(row.login)}
        if excluded:
            self._store.remove(excluded)
        return [row for row in rows if row.login not in excluded]

    def _unfinished(self, request: AuditRequest, stack: ExitStack) -> AuditRecord | None:
        """Return the latest audit to go on with, claimed; None without one."""
        record = self._store.unfinished(request.scope.key(), request.model, now() - _CONTINUED, stack)
        if record:
            log.warning("continuing the audit of %s; --new begins another one", f"{record.started:%Y-%m-%d %H:%M} UTC")
        return record

    def _begin(self, request: AuditRequest, stack: ExitStack) -> AuditRecord:
        """List the streams, draw the sample, and store a new audit, claimed."""
        meter, started = self._meter(), now()
        population = find_streams(self._helix, request.scope, request.named, self._is_excluded, self._judgement)
        if not population.listed and not population.absent:
            raise StreamOffline("no live stream matches these options")
        rows = planned_rows(population, request.scope.sample, request.seed)
        key, model, number = request.scope.key(), request.model, self._store.new_id(stack)
        record = AuditRecord(number, key, model, started, population.listed, population.not_judged, meter.cost())
        self._store.begin(record, rows)
        return record

    def _survey(self, meter: Meter, progress: Progress, streams: Iterable[Stream], preview: bool) -> Iterator[Result]:
        """Yield one result for each stream; count the frames."""
        options = self._options
        survey = self._recognizer.survey if self._pool is None else self._pool.survey
        results = survey(
            streams,
            max_frames=options.max_frames,
            certainty=options.certainty,
            preview=preview and options.preview,
        )
        with closing(results):
            for result in results:
                if isinstance(result, VerdictReached):
                    meter.add_frames(result.verdict.frames)
                progress.add(result)
                yield result

    def _meter(self, before: AuditCost | None = None) -> Meter:
        return Meter(before, lambda: self._pool.cpu_seconds if self._pool is not None else 0.0)

    def _wait(self, progress: Progress, seconds: float) -> None:
        """Wait for the second looks."""
        progress.note(f"Streams that showed another game are looked at again in {seconds:.0f} s.")
        self._recognizer.stop.wait(seconds)


def planned_rows(population: Population, sample: int | None, seed: int | None) -> Sequence[AuditRow]:
    """Return the rows of a new audit: the streams to look at, and the named channels that are not live, as failed."""
    drawn = secrets.randbits(_SEED_BITS) if seed is None else seed
    planned = stratified_sample(population.judged, sample, drawn) if sample else census(population.judged)
    rows = [
        AuditRow(
            item.stream.login,
            item.stream.category,
            item.stream.viewers,
            item.stream.language,
            item.stratum,
            item.weight,
        )
        for item in planned
    ]
    absent = AuditRow("", None, 0, "", "", 0.0, outcome=Outcome.FAILED.value, at=now(), reason=StreamOffline.reason)
    return [*rows, *(replace(absent, login=login) for login in population.absent)]
