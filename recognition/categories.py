"""Twitch's own word: what the streamers say they show, asked for while their streams are looked at."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from data.errors import HelixError
from recognition.asked import login_of
from recognition.interrupts import undisturbed

if TYPE_CHECKING:
    from data.entities import Game, Stream
    from data.helix import Helix

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
        except HelixError as error:
            if not self._told:
                log.warning("%s; the answers stand without categories", error)
            self._told = True
            return None
        return stream.category if stream else None
