"""Looks: compare streams with their categories, and look again at those that show another game.

while streams are left:
    second looks that are due                            at streams that showed another game a while ago
    else first looks, until second looks are overdue
    else wait until all second looks are due

Each look asks Helix for the category of that moment first, 100 streams at a time: a listing that is hours old would
make mismatches of streamers who have changed game and category since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from data.entities import Stream
from data.errors import StreamOffline
from data.storage.audit_rows import AuditRow
from recognition.events import Result, SourceFailed, VerdictReached, now
from recognition.reports.outcomes import SECOND_LOOK, Judgement, Outcome, outcome_of

_PAGE = 100  # logins of one request: https://dev.twitch.tv/docs/api/reference/#get-streams

Survey = Callable[[Iterable[Stream], bool], Iterator[Result]]  # (streams, whether previews may be enough)


class Looks:
    """The looks of one audit. Not thread-safe.

    Args:
        survey: recognises many streams, one result each; draws them in the caller's thread.
        streams_by_login: returns the live streams of these logins.
        judgement: which categories count.
        again_s: seconds from the first look to the second.
        wait: waits a number of seconds.
        clock: returns the current time.
    """

    def __init__(
        self,
        survey: Survey,
        streams_by_login: Callable[[Iterable[str]], dict[str, Stream]],
        judgement: Judgement,
        *,
        again_s: float,
        wait: Callable[[float], object],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._survey, self._streams_by_login, self._judgement = survey, streams_by_login, judgement
        self._again, self._wait, self._clock = timedelta(seconds=again_s), wait, clock
        self._first: deque[AuditRow] = deque()
        self._second: dict[str, AuditRow] = {}  # by login, the oldest first look first

    def run(self, rows: Iterable[AuditRow]) -> Generator[AuditRow, None, None]:
        """Look at the streams that need a look; yield each row that a look has changed. Raises DirectoryError.

        Rows that a former run has yielded are not looked at twice.
        """
        rows = list(rows)
        self._first = deque(row for row in rows if not row.outcome)
        preliminary = sorted(filter(_is_preliminary, rows), key=self._due)
        self._second = {row.login: row for row in preliminary}
        while self._first or self._second:
            time = self._clock()
            if due := [row for row in self._second.values() if self._is_due(row, time)]:
                yield from self._look(due, preview=False)
            elif self._first:
                yield from self._look(self._first_rows(), preview=True)
            else:  # for the last one: all of them at a time take less than one after the other
                self._wait((max(map(self._due, self._second.values())) - time).total_seconds())

    def _is_due(self, row: AuditRow, time: datetime) -> bool:
        # A clock that was set back makes no look wait for longer than twice the pause.
        return self._due(row) <= time or self._due(row) > time + 2 * self._again

    def _due(self, row: AuditRow) -> datetime:
        return (row.at or self._clock()) + self._again

    def _first_rows(self) -> Iterator[AuditRow]:
        """Yield rows for a first look, until a second look is overdue by as much again."""
        while self._first:
            oldest = next(iter(self._second.values()), None)
            if oldest and self._due(oldest) + self._again < self._clock():
                return
            yield self._first.popleft()

    def _look(self, rows: Iterable[AuditRow], *, preview: bool) -> Iterator[AuditRow]:
        """Look at these streams once; yield their new rows."""
        in_flight: dict[str, AuditRow] = {}
        skipped: list[AuditRow] = []

        def streams() -> Iterator[Stream]:
            remaining = iter(rows)
            while page := list(islice(remaining, _PAGE)):
                live = self._streams_by_login([row.login for row in page])
                for row in page:
                    stream = live.get(row.login)
                    if stream and self._judgement.judges(stream.category):
                        in_flight[row.login] = row
                        yield stream
                    else:
                        skipped.append(self._without_answer(row, _CHANGED if stream else _OFFLINE))

        for result in self._survey(streams(), preview):
            yield from _drain(skipped)
            yield self._answered(in_flight.pop(result.source), result)
        yield from _drain(skipped)

    def _answered(self, row: AuditRow, result: Result) -> AuditRow:
        """Return the row with the result of a look."""
        if isinstance(result, SourceFailed):
            return self._without_answer(row, result.error.reason)
        found = self._with_answer(row, result)
        if row.login in self._second:
            del self._second[row.login]
            return _confirmed(row, found)
        if _is_preliminary(found):
            self._second[row.login] = found
        return found

    def _with_answer(self, row: AuditRow, result: VerdictReached) -> AuditRow:
        verdict, category = result.verdict, result.category
        outcome = outcome_of(verdict, category, self._judgement)
        return replace(
            row,
            category=category,
            outcome=outcome.value,
            shown=verdict.game,
            screen=verdict.screen,
            confidence=min(max(0.0, verdict.confidence), 1.0),
            frames=row.frames + verdict.frames,
            looks=row.looks + 1,
            at=result.at,
            jpeg=result.jpeg if outcome is Outcome.OTHER_GAME else b"",
        )

    def _without_answer(self, row: AuditRow, reason: str) -> AuditRow:
        """Return the row after a look that gave no answer: the stream has failed, or a mismatch is not confirmed."""
        outcome = Outcome.NOT_CONFIRMED if self._second.pop(row.login, None) else Outcome.FAILED
        looked = replace(row, outcome=outcome.value, looks=row.looks + 1, at=self._clock(), reason=reason, jpeg=b"")
        return looked if outcome is Outcome.FAILED else replace(looked, reason=f"no second look: {reason}")


_OFFLINE, _CHANGED = StreamOffline.reason, "category changed"


def _is_preliminary(row: AuditRow) -> bool:
    """Return whether the row is a mismatch that a second look has to confirm."""
    return row.outcome == Outcome.OTHER_GAME.value and row.looks < 2


def _confirmed(first: AuditRow, second: AuditRow) -> AuditRow:
    """Return the second look's row if it names the same other game, otherwise the first one's as not confirmed."""
    is_other = second.outcome == Outcome.OTHER_GAME.value
    if is_other and second.shown and first.shown and second.shown.is_same(first.shown):
        return second
    seen = SECOND_LOOK + (f"another game, {second.shown.name}" if is_other and second.shown else second.outcome)
    is_same_category = first.category and second.category and first.category.is_same(second.category)
    return replace(
        first,
        outcome=Outcome.NOT_CONFIRMED.value,
        frames=second.frames,
        looks=second.looks,
        at=second.at,
        reason=seen if is_same_category else f"no second look: {_CHANGED}",
        jpeg=b"",
    )


def _drain(rows: list[AuditRow]) -> Iterator[AuditRow]:
    """Yield and remove all rows."""
    while rows:
        yield rows.pop(0)
