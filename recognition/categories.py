"""Declared categories: what streamers say that they stream, from the Helix API, beside what the model sees."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

from data.entities import Game, Stream
from data.errors import DirectoryError, DirectoryUnauthorized
from recognition.sources import twitch_login

if TYPE_CHECKING:
    from data.twitch.helix import Helix

log = logging.getLogger(__name__)


class CategoryLookup:
    """Requests the categories of all sources once, in a background thread, 100 logins per request."""

    def __init__(self, helix: Helix, sources: Iterable[str]) -> None:
        """Start the requests."""
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="categories")
        self._response = pool.submit(helix.streams_by_login, _logins(sources))
        pool.shutdown(wait=False)

    def get(self, source: str) -> Game | None:
        """Wait for the responses; return the channel's category, None if it is offline, has none, or Helix fails."""
        return _category(self._streams, source)

    @cached_property
    def _streams(self) -> dict[str, Stream]:
        try:
            return self._response.result()
        except DirectoryError as error:  # a warning is enough: recognition does not depend on it
            log.warning("%s; continuing without categories", error)
            return {}


class CategoryPoller:
    """Requests the categories of all sources repeatedly, for watched streams: streamers change them."""

    def __init__(self, helix: Helix, sources: Iterable[str], stop: threading.Event, interval_s: float = 60.0) -> None:
        """Start a daemon thread, which ends when `stop` is set."""
        self._streams: dict[str, Stream] = {}
        arguments = (helix, _logins(sources), stop, interval_s)
        threading.Thread(target=self._work, args=arguments, name="categories", daemon=True).start()

    def get(self, source: str) -> Game | None:
        """Return the source's category as of the latest response, without waiting; None as in CategoryLookup.get."""
        return _category(self._streams, source)

    def _work(self, helix: Helix, logins: list[str], stop: threading.Event, interval_s: float) -> None:
        healthy = True
        while not stop.is_set():
            try:
                self._streams, healthy = helix.streams_by_login(logins), True
            except DirectoryError as error:
                if healthy:  # one warning per outage
                    log.warning("%s; reporting changes without categories", error)
                healthy = False
                if isinstance(error, DirectoryUnauthorized):  # another request would be refused as well
                    return
            stop.wait(interval_s)


def _logins(sources: Iterable[str]) -> list[str]:
    return [login for source in sources if (login := twitch_login(source))]


def _category(streams: dict[str, Stream], source: str) -> Game | None:
    stream = streams.get(twitch_login(source))
    return stream.category if stream else None
