"""Store of the outbox: a SQLite file with the alerts that are not delivered yet, and what was reported of each source.

Write-ahead log with synchronous=FULL: what a method wrote is on the disk when it returns, whatever kills the process.
The file is locked as long as it is open; the kernel frees the lock of a killed process.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from data.entities import Game
from data.errors import FolderError
from recognition.outputs.outbox.rules import Reported
from recognition.outputs.outbox.sqlite_file import is_sound, open_file
from recognition.outputs.targets.base import Alert

MAX_WAITING = 100_000  # deliveries; then the oldest alert is dropped
_MAX_WAITING_PICTURES = 10_000  # about 150 MB; further alerts are stored without a picture
_REPORTED_FOR_S = 48 * 3600.0  # Twitch ends each stream after 48 hours
_SCHEMA = """
create table if not exists alerts (number integer primary key autoincrement, created real, body text, jpeg blob);
create table if not exists deliveries (target text, refusals integer, alert integer,
    primary key (target, refusals, alert)) without rowid;
create index if not exists deliveries_of_alert on deliveries (alert);
create table if not exists reported (source blob primary key, at real, body text) without rowid;
"""
_IS_UNUSED = "not exists (select 1 from deliveries where alert = number)"  # of an alert

News = tuple[Alert, Iterable[str]]  # an alert, the keys of its targets
StoreError = sqlite3.Error  # of any method: the disk is full, or the file is damaged


@dataclass(frozen=True, slots=True)
class Delivery:
    """An alert on its way to one target.

    number: of the alert in the store. refusals: how often the target refused it. age_s: since it was stored.
    """

    number: int
    refusals: int
    age_s: float
    alert: Alert


class OutboxStore:
    """The file. All methods are thread-safe and raise StoreError if the file cannot be read or written."""

    def __init__(
        self,
        path: Path,
        *,
        option: str = "--outbox",
        max_waiting: int = MAX_WAITING,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the file. A damaged one is kept under another name, and a new one begins.

        option: names the path in messages. wall_clock: returns epoch seconds; read once.
        Raises FolderError if the file cannot be used, or another process uses it. If the disk is full, each use of
        the store raises StoreError until there is space: a watch starts all the same.
        """
        self.path, self._option = path, option
        self.dropped = 0  # deliveries, because too many waited
        self._max_waiting = max_waiting
        self._lock = threading.Lock()
        # A wall clock that jumps must not make alerts old: the time that passes is the monotonic clock's.
        self._epoch_s = wall_clock() - time.monotonic()
        self._count: int | None = None  # of deliveries; None: count again
        self._last_number = 0
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        with suppress(StoreError):
            self._open()

    def reported(self) -> dict[str, Reported]:
        """Return what was reported by source. Entries that cannot be read are left out."""
        found = {}
        for source, body in self._select("select source, body from reported"):
            with suppress(ValueError, TypeError, KeyError, AttributeError):
                data = json.loads(body)
                pair = tuple(map(int, data["mismatch"])) if data["mismatch"] else None
                found[source.decode("utf-8", "surrogatepass")] = Reported(_to_game(data["game"]), pair)  # type: ignore[arg-type]
        return found

    def add(self, news: Iterable[News], reported: Mapping[str, Reported | None]) -> None:
        """Store alerts and what is reported from now on, None for nothing, in one transaction."""
        with self._transaction():
            for alert, targets in news:
                self._insert(alert, targets)
            for source, entry in reported.items():
                key = source.encode("utf-8", "surrogatepass")
                self._execute("delete from reported where source = ?", key)
                if entry:
                    body = json.dumps({"game": _from_game(entry.game), "mismatch": entry.mismatch})
                    self._execute("insert into reported values (?, ?, ?)", key, self._now(), body)

    def next(self, target: str) -> Delivery | None:
        """Return the target's oldest delivery of those that it refused least often; None if none waits."""
        statement = (
            "select number, refusals, created, body, jpeg from deliveries join alerts on number = alert"
            " where target = ? order by refusals, alert limit 1"
        )
        while rows := self._select(statement, target):
            number, refusals, created, body, jpeg = rows[0]
            try:
                return Delivery(number, refusals, self._now() - created, _to_alert(body, jpeg))
            except (ValueError, TypeError, KeyError, AttributeError):  # somebody edited the file
                self.remove(target, number)
        return None

    def remove(self, target: str, number: int) -> None:
        """Note that the target has the alert, or never gets it."""
        with self._transaction():
            self._delete_deliveries("target = ? and alert = ?", target, number)
            self._remove_unused(number)

    def count_refusal(self, target: str, number: int) -> None:
        """Note that the target refused the alert: those that it refused less often go first."""
        statement = "update deliveries set refusals = refusals + 1 where target = ? and alert = ?"
        with self._transaction():
            self._execute(statement, target, number)

    def waiting(self) -> dict[str, int]:
        """Return the number of waiting alerts by target."""
        return dict(self._select("select target, count(*) from deliveries group by target"))

    def remove_older(self, seconds: float, targets: Iterable[str]) -> None:
        """Remove deliveries of this age to targets that are not among `targets`."""
        kept = json.dumps([*targets])
        with self._transaction():
            self._delete_deliveries(
                "alert in (select number from alerts where created < ?)"
                " and target not in (select value from json_each(?))",
                self._now() - seconds,
                kept,
            )
            self._execute(f"delete from alerts where {_IS_UNUSED}")

    def repair(self, error: StoreError) -> None:
        """If the file is damaged, as `error` may say, go on with a new one. Raises FolderError if there can be none."""
        if type(error) is not sqlite3.DatabaseError:  # its subclasses stand for a full disk, a closed file and others
            return
        with self._lock:
            if self._connection and not is_sound(self._connection):  # or another thread was faster
                self._connection.close()
                self._connection = None
                self._open()

    def close(self) -> None:
        """Close the file, which frees its lock."""
        with self._lock, suppress(StoreError):
            self._closed = True
            if self._connection:
                self._connection.close()

    def _open(self) -> sqlite3.Connection:
        """Open the file if it is not open. Raises StoreError if the disk is full, FolderError for other reasons."""
        if self._connection is None and not self._closed:
            # A number of a damaged file, whose note is still to be made, must not mean another alert.
            script = f"""{_SCHEMA}
                delete from reported where at < {self._now() - _REPORTED_FOR_S};
                insert into sqlite_sequence select 'alerts', {self._last_number}
                    where not exists (select 1 from sqlite_sequence);"""
            self._connection, self._count = open_file(self.path, script, self._option), None
            [(self._last_number,)] = self._connection.execute("select cast(max(seq) as integer) from sqlite_sequence")
        if self._connection is None:
            raise sqlite3.ProgrammingError("the store is closed")
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        """Return the open file. Raises StoreError."""
        try:
            return self._open()
        except FolderError as error:
            raise sqlite3.OperationalError(str(error)) from error

    def _insert(self, alert: Alert, targets: Iterable[str]) -> None:
        if self._count is None:
            [(self._count,)] = self._execute("select count(*) from deliveries")
        jpeg = alert.jpeg if self._count < _MAX_WAITING_PICTURES else b""
        values = self._now(), _from_alert(alert), jpeg
        number = self._execute("insert into alerts (created, body, jpeg) values (?, ?, ?)", *values).lastrowid
        self._last_number = number or 0
        for target in targets:
            self._count += self._execute("insert into deliveries values (?, 0, ?)", target, number).rowcount
        while self._count > self._max_waiting:
            [(oldest,)] = self._execute("select min(alert) from deliveries")
            self.dropped += self._delete_deliveries("alert = ?", oldest)
            self._remove_unused(oldest)

    def _delete_deliveries(self, condition: str, *values: Any) -> int:
        """Delete the deliveries that a condition in SQL describes; return their number."""
        deleted = self._execute(f"delete from deliveries where {condition}", *values).rowcount
        self._count = None if self._count is None else self._count - deleted
        return deleted

    def _remove_unused(self, number: int) -> None:
        self._execute(f"delete from alerts where number = ? and {_IS_UNUSED}", number)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Hold the lock, and commit at the end of the block or roll back."""
        with self._lock:
            try:
                with self._opened():
                    yield
            except BaseException:
                self._count = None
                raise

    def _now(self) -> float:
        return self._epoch_s + time.monotonic()

    def _execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._opened().execute(statement, values)

    def _select(self, statement: str, *values: Any) -> list[Any]:
        with self._lock, closing(self._execute(statement, *values)) as cursor:
            return cursor.fetchall()


def _from_game(game: Game | None) -> list[Any] | None:
    return [game.id, game.name] if game else None


def _to_game(value: Any) -> Game | None:
    return Game(int(value[0]), str(value[1])) if value else None


def _from_alert(alert: Alert) -> str:
    values = {field.name: getattr(alert, field.name) for field in fields(Alert) if field.name != "jpeg"}
    games = {name: _from_game(values[name]) for name in ("before", "game", "category")}
    return json.dumps({**values, **games, "at": alert.at.isoformat(), "event": dict(alert.event)})


def _to_alert(body: str, jpeg: bytes) -> Alert:
    """Return an alert from its row. Raises ValueError, TypeError, KeyError or AttributeError for an invalid one."""
    values = json.loads(body)
    games = {name: _to_game(values[name]) for name in ("before", "game", "category")}
    return Alert(**{**values, **games, "at": datetime.fromisoformat(values["at"]), "jpeg": bytes(jpeg)})
