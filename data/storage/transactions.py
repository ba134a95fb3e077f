"""Transactions: run work on a database, and repeat it when the connection is lost, as at a restart of the server.

The lost response may have been that of a successful commit; therefore all work must be idempotent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from data.backoff import Backoff
from data.errors import CatalogConnectionLost
from data.storage.database import translate_errors

_T = TypeVar("_T")
_MAX_PAUSE_S = 5.0  # between two attempts to reach the server

log = logging.getLogger(__name__)


class Transactions:
    """Transactions on one database.

    Args:
        engine: an engine of `data.storage.database.connect`.
        reconnect_s: seconds that one transaction may wait for a server that went away; 0 raises at once.
        sleep: waits a number of seconds; a true result ends the waiting, as that of `threading.Event.wait`.
    """

    def __init__(
        self, engine: sa.Engine, reconnect_s: float = 0.0, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self.engine = engine
        self._reconnect_s = reconnect_s
        self._sleep = sleep

    def run(self, work: Callable[[sa.Connection], _T]) -> _T:
        """Return the result of `work` in one transaction; repeat it for up to `reconnect_s` in an outage.

        Raises CatalogUnavailable.
        """
        backoff: Backoff | None = None
        while True:
            try:
                with translate_errors(), self.engine.begin() as connection:
                    return work(connection)
            except CatalogConnectionLost:
                backoff = backoff or Backoff(self._reconnect_s, max_s=_MAX_PAUSE_S)  # begins with the outage
                if (pause_s := backoff.next_pause_s()) is None:
                    raise
                if backoff.attempts == 1:
                    log.warning("PostgreSQL went away; waiting up to %.0f s for it", self._reconnect_s)
                if self._sleep(pause_s):  # true: the run's stop event was set during the pause
                    raise
