"""Courier: the thread that delivers the stored alerts of one target, one after the other.

until the outbox closes:
    in quiet hours, or in the pause after a failure: wait
    take the oldest alert of those that the target refused least often
    accepted      note it: the alert never comes again
    failed        the same alert again after 1 s, 2 s, … 60 s, or when the target says (Retry-After)
    refused       (404 and such) the next alert; the refused one again after 10 s, 20 s, … 1 h, whatever others do
    for 7 days    drop the alert
at the close: one attempt for each alert that waits, without pauses, as long as there is time
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import datetime

from data.backoff import Backoff
from data.errors import FolderError
from recognition.outputs.outbox.filters import Filter
from recognition.outputs.outbox.store import Delivery, OutboxStore, StoreError
from recognition.outputs.targets.base import KINDS, Alert, DeliveryError, Target

GIVE_UP_AFTER_S = 7 * 86400.0
# Before an alert is dropped, since its age may be a wrong clock's: failures in this process, or refusals of the alert.
_MIN_FAILING_S, _MIN_REFUSALS = 3600.0, 20
_RETRY_S, _MAX_RETRY_S = 1.0, 60.0
_REFUSED_PAUSE_S, _MAX_REFUSED_PAUSE_S = 10.0, 3600.0
_IDLE_S = 30.0  # between two looks at the clock in quiet hours; a new alert wakes the thread
_STORE_RETRY_S = 5.0  # after an error of the disk
_MAX_RETRY_AFTER_S = 3600.0
_START_WITHIN_S = 1.0  # of the close: a later delivery could be cut off, and come twice
_DEFAULT_KINDS = frozenset(KINDS) - {"failure"}

log = logging.getLogger(__name__)


class Courier:
    """Delivers to one target from a thread of its own. The attributes `delivered` and `dropped` count alerts."""

    def __init__(
        self,
        target: Target,
        wanted: Filter,
        store: OutboxStore,
        key: str,
        *,
        before_each: Callable[[], object] = lambda: None,
        local_now: Callable[[], datetime] = datetime.now,
        give_up_after_s: float = GIVE_UP_AFTER_S,
    ) -> None:
        """Start nothing yet.

        key: names the target in the store.
        before_each: called before each look into the store.
        local_now: returns the time on the local clock, for the quiet hours.
        """
        self.target, self.key = target, key
        self.delivered = self.dropped = 0
        self._filter, self._store = wanted, store
        self._before_each, self._local_now, self._give_up_after_s = before_each, local_now, give_up_after_s
        self._wake, self._closing_at = threading.Event(), math.inf
        self._accepted: int | None = None  # number of an alert whose acceptance is not noted yet
        self._next_attempt = self._next_refused = 0.0  # time.monotonic()
        self._failing_since: float | None = None
        self._asked_to_wait = self._store_failed = False
        self._retry = _new_backoff()
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)

    def accepts(self, alert: Alert) -> bool:
        """Return whether the target wants the alert."""
        return self._filter.accepts(alert, getattr(self.target, "default_kinds", _DEFAULT_KINDS))

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Let the thread look into the store."""
        self._wake.set()

    def close(self) -> None:
        """Let the thread end: after the delivery that is going on, and a last attempt for what waits."""
        self._closing_at = time.monotonic()
        self._wake.set()

    def join(self, deadline: float) -> None:
        """Wait for the thread's end until `deadline` (time.monotonic()). Then close the target."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self.target.close()

    def _work(self) -> None:
        while True:
            pause_s = self._step()
            if self._closing_at < math.inf and (pause_s or time.monotonic() > self._closing_at + _START_WITHIN_S):
                return
            if pause_s and self._wake.wait(min(pause_s, _IDLE_S)):
                self._wake.clear()

    def _step(self) -> float:
        """Deliver one alert; return the seconds until there may be more to do, 0 for at once."""
        try:
            self._before_each()
            self._note_accepted()
            return self._wait_s() or self._deliver_next()
        except StoreError as error:
            if self._closing_at == math.inf:
                self._on_store_error(error)
            return _STORE_RETRY_S

    def _on_store_error(self, error: StoreError) -> None:
        if not self._store_failed:
            log.warning("%s: %s", self._store.path, error)
        self._store_failed = True
        try:
            self._store.repair(error)
        except (FolderError, StoreError) as fault:
            log.error("%s", fault)

    def _wait_s(self) -> float:
        if self._filter.is_quiet(self._local_now()):
            return _IDLE_S
        pause_s = max(0.0, self._next_attempt - time.monotonic())
        return 0.0 if self._closing_at < math.inf and not self._asked_to_wait else pause_s

    def _deliver_next(self) -> float:
        delivery = self._store.next(self.key)
        if not delivery:
            return _IDLE_S
        if delivery.refusals and (pause_s := self._next_refused - time.monotonic()) > 0:
            return pause_s
        try:
            self.target.deliver(delivery.alert)
        except DeliveryError as error:
            return self._on_failure(delivery, error)
        except BaseException as error:  # noqa: BLE001 - a library's defect, or a panic of a Rust one
            # Its text may hold the target's secrets.
            return self._on_failure(delivery, DeliveryError(f"unexpected {type(error).__name__}", retryable=False))
        self._accepted = delivery.number
        self.delivered += 1
        if self._failing_since is not None:
            log.info("%s accepts alerts again", self.target.name)
        self._failing_since, self._asked_to_wait = None, False
        self._retry = _new_backoff()
        self._note_accepted()
        return 0.0

    def _note_accepted(self) -> None:
        """Note the acceptance. Until that succeeds, nothing more is delivered: a kill doubles one alert at most."""
        if self._accepted is not None:
            self._store.remove(self.key, self._accepted)
            self._accepted, self._store_failed = None, False

    def _on_failure(self, delivery: Delivery, error: DeliveryError) -> float:
        now = time.monotonic()
        consequence = "retrying" if error.retryable else "refused alerts are tried again later"
        is_news = self._failing_since is None and not delivery.refusals
        level = logging.WARNING if is_news else logging.INFO
        log.log(level, "%s %s; %s", self.target.name, error.reason, consequence)
        self._failing_since = now if self._failing_since is None else self._failing_since
        pause_s = self._retry.next_pause_s() or 0.0  # never None: the budget has no end
        self._asked_to_wait = error.retry_after_s is not None
        if error.retry_after_s is not None:
            pause_s = max(pause_s, min(error.retry_after_s, _MAX_RETRY_AFTER_S))
        self._next_attempt = now + pause_s
        if self._is_over(delivery, now - self._failing_since):
            self._store.remove(self.key, delivery.number)
            self.dropped += 1
            log.warning("%s: an alert of %s is dropped", self.target.name, delivery.alert.at)
        elif not error.retryable:
            # By the alert's own refusals: those that are accepted meanwhile say nothing about it.
            slow_pause_s = _REFUSED_PAUSE_S * 2.0 ** min(delivery.refusals, 20)
            self._next_refused = now + min(slow_pause_s, _MAX_REFUSED_PAUSE_S)
            self._store.count_refusal(self.key, delivery.number)
        return pause_s

    def _is_over(self, delivery: Delivery, failing_s: float) -> bool:
        """Return whether to drop an alert that failed again. `failing_s`: since the first failure after a success."""
        is_proven = failing_s >= min(_MIN_FAILING_S, self._give_up_after_s) or delivery.refusals >= _MIN_REFUSALS
        return delivery.age_s > self._give_up_after_s and is_proven


def _new_backoff() -> Backoff:
    """Return the pauses after a failure."""
    return Backoff(math.inf, first_s=_RETRY_S, max_s=_MAX_RETRY_S, jitter=0.2)
