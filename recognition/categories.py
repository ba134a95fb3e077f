"""Twitch's own word: what the streamers say they show, asked for while their streams are looked at."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from data.errors import DirectoryError, DirectoryUnauthorized
from recognition.engine.signals import undisturbed
from recognition.sources import login_of

if TYPE_CHECKING:
    from data.entities import Game, Stream
    from data.twitch.helix import Helix

log = logging.getLogger(__name__)


class Categories:
    """Asks for all `sources` at once, a hundred in a call, in a thread of its own."""

    def __init__(self, helix: Helix, sources: Iterable[str]) -> None:
        """The asking begins."""
        logins = [login for source in sources if (login := login_of(source))]
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="categories")
        with undisturbed():
            self._found: Future[dict[str, Stream]] = pool.submit(helix.live, logins)
        pool.shutdown(wait=False)
        self._told = False

    def of(self, source: str) -> Game | None:
        """What the streamer has set, once it is known; None: the source is no live channel, or no category is set.

        None as well where Helix gives no answer: the recogniser's own does not depend on it, so that is a warning.
        """
        try:
            stream = self._found.result().get(login_of(source))
        except DirectoryError as error:
            if not self._told:
                log.warning("%s; the answers stand without categories", error)
            self._told = True
            return None
        return stream.category if stream else None


class CurrentCategories:
    """Asks for all `sources` again and again, for streams that are watched: streamers change what they say."""

    def __init__(self, helix: Helix, sources: Iterable[str], over: threading.Event, every_s: float = 60.0) -> None:
        """The asking begins, and ends when `over` is set."""
        self._helix = helix
        self._logins = [login for source in sources if (login := login_of(source))]
        self._over = over
        self._every_s = every_s
        self._found: dict[str, Stream] = {}
        threading.Thread(target=self._work, name="categories", daemon=True).start()

    def of(self, source: str) -> Game | None:
        """What the streamer had set when Helix was last asked, or answered; None as in Categories. It never waits."""
        stream = self._found.get(login_of(source))
        return stream.category if stream else None

    def _work(self) -> None:
        well = True
        while not self._over.is_set():
            try:
                self._found, well = self._helix.live(self._logins), True
            except DirectoryError as error:
                if well:
                    log.warning("%s; changes are told without categories", error)
                well = False
                if isinstance(error, DirectoryUnauthorized):
                    return
            self._over.wait(self._every_s)
