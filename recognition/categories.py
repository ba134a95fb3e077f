"""Declared categories: what streamers say that they stream, from the Helix API, beside what the model sees."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from data.entities import Game, Stream
from data.errors import DirectoryError, DirectoryUnauthorized
from recognition.sources import twitch_login

if TYPE_CHECKING:
    from data.twitch.helix import Helix

_CHANGE_CHECK_S = 1.0

log = logging.getLogger(__name__)


class CategoryLookup:
    """Requests the categories of all sources once, in a background thread, 100 logins per request."""

    def __init__(self, helix: Helix, sources: Iterable[str]) -> None:
        """Start the requests in a daemon thread: the end of the program does not wait for them."""
        self._streams: Future[dict[str, Stream]] = Future()
        arguments = (helix, _logins(sources))
        threading.Thread(target=self._work, args=arguments, name="categories", daemon=True).start()

    def get(self, source: str) -> Game | None:
        """Wait for the responses; return the channel's category, None if it is offline, has none, or Helix fails."""
        return _category(self._streams.result(), source)

    def _work(self, helix: Helix, logins: list[str]) -> None:
        streams: dict[str, Stream] = {}
        try:
            streams = helix.streams_by_login(logins)
        except Exception as error:  # noqa: BLE001 - whatever Helix sends, recognition does not depend on it
            _warn(error, "continuing without categories")
        self._streams.set_result(streams)


class CategoryPoller:
    """Requests the categories of all sources repeatedly, for watched streams: streamers change them."""

    def __init__(self, helix: Helix, sources: Iterable[str], stop: threading.Event, interval_s: float = 60.0) -> None:
        """Start a daemon thread, which ends when `stop` is set."""
        self._streams: dict[str, Stream] = {}
        self._logins, self._changed = _logins(sources), False
        arguments = (helix, stop, interval_s)
        threading.Thread(target=self._work, args=arguments, name="categories", daemon=True).start()

    def update(self, sources: Iterable[str]) -> None:
        """Request the categories of these sources from now on, the first time within a second."""
        self._logins, self._changed = _logins(sources), True

    def get(self, source: str) -> Game | None:
        """Return the source's category as of the latest response, without waiting; None as in CategoryLookup.get."""
        return _category(self._streams, source)

    def _work(self, helix: Helix, stop: threading.Event, interval_s: float) -> None:
        healthy = True
        while not stop.is_set():
            self._changed = False
            try:
                self._streams, healthy = helix.streams_by_login(self._logins), True
            except Exception as error:  # noqa: BLE001 - whatever Helix sends, recognition does not depend on it
                if healthy:  # one warning per outage
                    _warn(error, "reporting changes without categories")
                healthy = False
                if isinstance(error, DirectoryUnauthorized):  # another request would be refused as well
                    return
            due = time.monotonic() + interval_s
            while (left_s := due - time.monotonic()) > 0 and not (self._changed or stop.is_set()):
                stop.wait(min(left_s, _CHANGE_CHECK_S))


def _warn(error: Exception, consequence: str) -> None:
    expected = isinstance(error, DirectoryError)
    log.warning("%s; %s", error if expected else f"unexpected {type(error).__name__}", consequence)
    log.debug("traceback of this error:", exc_info=True)


def _logins(sources: Iterable[str]) -> list[str]:
    return [login for source in sources if (login := twitch_login(source))]


def _category(streams: dict[str, Stream], source: str) -> Game | None:
    stream = streams.get(twitch_login(source))
    return stream.category if stream else None
