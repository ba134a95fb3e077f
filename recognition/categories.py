"""Declared categories: what streamers say that they stream, from the Helix API, beside what the model sees."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from data.errors import DirectoryError, DirectoryUnauthorized
from recognition.sources import twitch_login

if TYPE_CHECKING:
    from data.entities import Game, Stream
    from data.twitch.helix import Helix

log = logging.getLogger(__name__)


class CategoryLookup:
    """Requests the categories of all sources once, in a background thread, 100 logins per request."""

    def __init__(self, helix: Helix, sources: Iterable[str]) -> None:
        """Start the requests."""
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="categories")
        self._streams: Future[dict[str, Stream]] = pool.submit(helix.live_streams, _logins(sources))
        pool.shutdown(wait=False)
        self._warned = False

    def get(self, source: str) -> Game | None:
        """Wait for the responses and return the source's category.

        Return None if the source is not a live channel or has no category, and if Helix fails: a warning is enough,
        since recognition does not depend on it.
        """
        try:
            stream = self._streams.result().get(twitch_login(source))
        except DirectoryError as error:
            if not self._warned:
                log.warning("%s; continuing without categories", error)
            self._warned = True
            return None
        return stream.category if stream else None


class CategoryPoller:
    """Requests the categories of all sources repeatedly, for watched streams: streamers change them."""

    def __init__(self, helix: Helix, sources: Iterable[str], stop: threading.Event, interval_s: float = 60.0) -> None:
        """Start a daemon thread, which ends when `stop` is set."""
        self._helix = helix
        self._logins = _logins(sources)
        self._stop = stop
        self._interval_s = interval_s
        self._streams: dict[str, Stream] = {}
        threading.Thread(target=self._work, name="categories", daemon=True).start()

    def get(self, source: str) -> Game | None:
        """Return the source's category as of the latest response, without waiting; None as in CategoryLookup.get."""
        stream = self._streams.get(twitch_login(source))
        return stream.category if stream else None

    def _work(self) -> None:
        healthy = True
        while not self._stop.is_set():
            try:
                self._streams, healthy = self._helix.live_streams(self._logins), True
            except DirectoryError as error:
                if healthy:  # one warning per outage
                    log.warning("%s; reporting changes without categories", error)
                healthy = False
                if isinstance(error, DirectoryUnauthorized):  # another request would be refused as well
                    return
            self._stop.wait(self._interval_s)


def _logins(sources: Iterable[str]) -> list[str]:
    """Return the logins of those sources that are Twitch channels."""
    return [login for source in sources if (login := twitch_login(source))]
