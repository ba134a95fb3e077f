"""Outbox output: stores each alert before it is delivered (transactional outbox); a thread for each target delivers.

Delivery is at least once. A watch that is killed loses no stored alert; one that fell between its acceptance and the
note of it comes twice, with the same id. While the disk takes nothing, alerts wait in memory.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from data.text import plural
from recognition.events import Event
from recognition.outputs.base import Output
from recognition.outputs.outbox.courier import GIVE_UP_AFTER_S, Courier
from recognition.outputs.outbox.filters import Filter
from recognition.outputs.outbox.rules import AlertRules, Reported
from recognition.outputs.outbox.store import News, OutboxStore, StoreError
from recognition.outputs.targets.base import Target

_MAX_UNSAVED = 1000  # events; about 20 MB of pictures
_CLOSE_TIMEOUT_S = 2.0  # less than data.interruption leaves to the outputs after a signal
_TARGET_CLOSE_S = 0.3  # then, for targets whose delivery was not over

log = logging.getLogger(__name__)


class Outbox(Output):
    """Turns events into alerts and delivers them to targets. The attributes `delivered` and `dropped` count them."""

    def __init__(
        self,
        store: OutboxStore,
        targets: Iterable[tuple[Target, Filter]],
        *,
        close_timeout_s: float = _CLOSE_TIMEOUT_S,
        give_up_after_s: float = GIVE_UP_AFTER_S,
        local_now: Callable[[], datetime] = datetime.now,
        **rules: Any,
    ) -> None:
        """Start a thread for each target. The outbox closes the targets and the store.

        close_timeout_s: longest time that `close` waits for deliveries.
        give_up_after_s: age at which an alert is dropped that its target does not accept.
        local_now: returns the time on the local clock, for quiet hours.
        rules: further arguments of AlertRules.
        """
        self._store, self._close_timeout_s = store, close_timeout_s
        self._unsaved: deque[tuple[list[News], dict[str, Reported | None]]] = deque()
        self._lock = threading.Lock()  # guards `_unsaved`
        self._save_failed = self._closed = False
        self._unsaved_dropped = 0
        self._rules = AlertRules(self._reported(), **rules)
        self._couriers = []
        used: Counter[str] = Counter()
        for target, wanted in targets:
            used[target.key] += 1  # the same address with different filters
            key = target.key if used[target.key] == 1 else f"{target.key}#{used[target.key]}"
            options = {"before_each": self._save_or_log, "local_now": local_now, "give_up_after_s": give_up_after_s}
            self._couriers.append(Courier(target, wanted, store, key, **options))  # type: ignore[arg-type]
        self._report_backlog(give_up_after_s)
        for courier in self._couriers:
            courier.start()

    @property
    def delivered(self) -> int:
        """Number of accepted alerts, each target counted."""
        return sum(courier.delivered for courier in self._couriers)

    @property
    def dropped(self) -> int:
        """Number of alerts that no target gets any more, each target counted."""
        return sum(courier.dropped for courier in self._couriers) + self._store.dropped + self._unsaved_dropped

    def emit(self, event: Event) -> None:
        """Store the event's alerts, if there are any, and wake the threads."""
        before = self._rules.reported.get(event.source)
        alerts = self._rules.alerts_of(event)
        after = self._rules.reported.get(event.source)
        changed = {} if before == after else {event.source: after}
        if not (alerts or changed):
            return
        news = [(alert, self._keys(alert)) for alert in alerts]
        with self._lock:
            if len(self._unsaved) == _MAX_UNSAVED:
                lost, states = self._unsaved.popleft()
                self._unsaved_dropped += sum(len([*keys]) for _, keys in lost)
                changed = {**states, **changed}
            self._unsaved.append(([entry for entry in news if entry[1]], changed))
        self._save_or_log()
        for courier in self._couriers:
            courier.wake()

    def close(self) -> None:
        """Wait for the deliveries that are going on, and log what is left for the next start."""
        if self._closed:
            return
        self._closed = True
        deadline = time.monotonic() + self._close_timeout_s
        self._save_or_log()
        for courier in self._couriers:
            courier.close()
        # Side by side: a broker that does not answer delays its own end by a second.
        closers = [threading.Thread(target=c.join, args=(deadline,), daemon=True) for c in self._couriers]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(max(0.0, deadline + _TARGET_CLOSE_S - time.monotonic()))
        self._log_rest()
        self._store.close()

    def _reported(self) -> dict[str, Reported]:
        try:
            return self._store.reported()
        except StoreError as error:
            self._on_save_error(error)
            return {}

    def _keys(self, alert: Any) -> list[str]:
        return [courier.key for courier in self._couriers if courier.accepts(alert)]

    def _save(self) -> None:
        """Store what is not stored yet. Raises StoreError."""
        with self._lock:
            while self._unsaved:
                dropped = self._store.dropped
                self._store.add(*self._unsaved[0])
                self._unsaved.popleft()
                if self._store.dropped > dropped == 0:
                    log.warning("%s: too many alerts wait; the oldest are dropped", self._store.path)
                self._save_failed = False

    def _save_or_log(self) -> None:
        try:
            self._save()
        except StoreError as error:
            self._on_save_error(error)

    def _on_save_error(self, error: StoreError) -> None:
        if not self._save_failed:
            log.warning("%s: %s; alerts wait in memory", self._store.path, error)
        self._save_failed = True

    def _waiting(self) -> Mapping[str, int]:
        try:
            return self._store.waiting()
        except StoreError:
            return {}

    def _report_backlog(self, give_up_after_s: float) -> None:
        """Log what waits from the run before; drop what waits too long for targets that are not named any more."""
        keys = [courier.key for courier in self._couriers]
        try:
            self._store.remove_older(give_up_after_s, keys)
        except StoreError as error:
            self._on_save_error(error)
        for key, count in self._waiting().items():
            name = next((courier.target.name for courier in self._couriers if courier.key == key), "")
            owner = f"for {name}" if name else "for a target that is not named now"
            log.info("%s: %s %s", self._store.path, plural(count, "waiting alert"), owner)

    def _log_rest(self) -> None:
        waiting = self._waiting()
        for courier in self._couriers:
            if count := waiting.get(courier.key, 0):
                left, it = plural(count, "alert"), "it" if count == 1 else "them"
                log.warning("%s not delivered to %s; the next watch delivers %s", left, courier.target.name, it)
        if self._unsaved:
            log.error("%s: the alerts of %s are lost", self._store.path, plural(len(self._unsaved), "event"))
        if self.dropped:
            log.warning("%s dropped", plural(self.dropped, "alert"))
