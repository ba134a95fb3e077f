"""Connections: what a recogniser holds open until it is closed. Each may wait for a server."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from data import factories
from recognition.categories import CategoryLookup, CategoryPoller
from recognition.engine.signals import signals_deferred

if TYPE_CHECKING:
    from config import Settings
    from data.capture.grabber import Grabber
    from data.twitch.helix import Helix

_Self = TypeVar("_Self")


class Connections:
    """A grabber, and the sessions of `open_helix`. A context manager.

    Args:
        settings: the toolkit's settings.
        grabber: source of the frames; `close` closes it.
        stop: ends every wait when it is set; `close` sets it.
    """

    def __init__(self, settings: Settings, grabber: Grabber, stop: threading.Event) -> None:
        self.settings, self.grabber, self.stop = settings, grabber, stop
        self._closing = ExitStack()
        self._closing.callback(grabber.close)

    def close(self) -> None:
        """End all waits and close the connections. A second call does nothing."""
        self.stop.set()
        self._closing.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open_helix(self) -> Helix:
        """Open a new client of the Twitch API; `close` closes it. Raises SettingsError for missing credentials."""
        from data.http.session import new_session

        own = self.settings
        session = new_session(own.timeout_s, own.twitch_standin, deadline_s=own.deadline_s)
        return factories.make_helix(own, self._closing.enter_context(session), self.stop.wait)

    def category_lookup(self, sources: Iterable[str]) -> CategoryLookup:
        """Start to request the declared categories of these sources, once. Raises as `open_helix` does."""
        with signals_deferred():
            return CategoryLookup(self.open_helix(), sources)

    def category_poller(self, sources: Iterable[str]) -> CategoryPoller:
        """Start to request these categories every minute until `close`. Raises as `open_helix` does."""
        with signals_deferred():
            return CategoryPoller(self.open_helix(), sources, self.stop)
