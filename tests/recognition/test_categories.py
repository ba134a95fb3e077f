"""recognition.categories: the declared categories of watched streams, from a fake Helix client."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

import pytest

from data.entities import Game, Stream
from data.errors import DirectoryUnauthorized, DirectoryUnavailable
from recognition.categories import CategoryLookup, CategoryPoller

PONG, CHESS = Game(1, "Pong"), Game(2, "Chess")


class FakeHelix:
    """Gives all logins the same game: one response per call, the last one for ever. None: nobody is live."""

    def __init__(self, *responses: Game | Exception | None) -> None:
        self._responses = deque(responses)
        self.requests: list[list[str]] = []

    def streams_by_login(self, logins: Iterable[str]) -> dict[str, Stream]:
        response = self._responses.popleft() if len(self._responses) > 1 else self._responses[0]
        self.requests.append(list(logins))
        if isinstance(response, Exception):
            raise response
        if response is None:
            return {}
        return {login: Stream(login, response.id, "", "en", 1, response.name) for login in logins}


def poll(*responses: Game | Exception | None, calls: int) -> tuple[list[Game | None], FakeHelix]:
    """Return the categories of a channel during `calls` requests, without repetitions."""
    helix, stop, found = FakeHelix(*responses), threading.Event(), list[Game | None]()
    fake: Any = helix
    categories = CategoryPoller(fake, ["https://www.twitch.tv/Some_One", "file.mp4", "other"], stop, interval_s=0.05)
    end = time.monotonic() + 20
    while len(helix.requests) < calls and time.monotonic() < end:
        category = categories.get("https://www.twitch.tv/Some_One")
        if not found or category != found[-1]:
            found.append(category)
        time.sleep(0.005)
    stop.set()
    assert categories.get("file.mp4") is None
    return found, helix


def test_poller_follows_changes_of_the_category():
    """The category changes when the streamer sets another one or goes offline; each request has all logins."""
    found, helix = poll(PONG, CHESS, None, calls=6)
    assert found in ([None, PONG, CHESS, None], [PONG, CHESS, None])
    assert helix.requests[0] == ["some_one", "other"]


def test_poller_keeps_the_last_category_while_helix_is_down(caplog):
    """An outage gives one warning, however often a request fails, and polling continues."""
    with caplog.at_level(logging.WARNING):
        found, _ = poll(PONG, DirectoryUnavailable("down"), DirectoryUnavailable("down"), CHESS, calls=7)
    assert [category for category in found if category] == [PONG, CHESS]
    assert caplog.text.count("down; reporting changes without categories") == 1


def test_poller_stops_when_the_credentials_are_refused(caplog):
    """Another request would be refused as well: one warning, and no more requests."""
    helix, stop = FakeHelix(DirectoryUnauthorized("no")), threading.Event()
    fake: Any = helix
    with caplog.at_level(logging.WARNING):
        categories = CategoryPoller(fake, ["x"], stop, interval_s=0.01)
        time.sleep(0.5)
    assert (len(helix.requests), categories.get("x")) == (1, None)
    assert "no; reporting changes without categories" in caplog.text


@pytest.mark.parametrize("error", [RecursionError("deep"), OverflowError("inf"), AttributeError("x"), MemoryError()])
def test_poller_survives_an_unexpected_exception(error, caplog):
    """Whatever Helix sends, polling goes on; one warning names the exception's type."""
    with caplog.at_level(logging.WARNING):
        found, _ = poll(PONG, error, error, CHESS, calls=7)
    assert [category for category in found if category] == [PONG, CHESS]
    assert caplog.text.count(f"unexpected {type(error).__name__}; reporting changes without categories") == 1


@pytest.mark.parametrize("error", [DirectoryUnavailable("down"), DirectoryUnauthorized("no"), RecursionError("deep")])
def test_lookup_without_a_response_continues_without_categories(error, caplog):
    """Recognition does not depend on it: one warning, and each source has no category."""
    fake: Any = FakeHelix(error)
    with caplog.at_level(logging.WARNING):
        categories = CategoryLookup(fake, ["x", "y"])
        assert [categories.get(source) for source in ("x", "y", "file.mp4")] == [None, None, None]
    assert caplog.text.count("continuing without categories") == 1


def test_lookup_returns_the_categories():
    """Of all sources with one call."""
    helix = FakeHelix(PONG)
    fake: Any = helix
    categories = CategoryLookup(fake, ["https://www.twitch.tv/Some_One", "file.mp4", "other"])
    assert [categories.get(source) for source in ("other", "some_one", "file.mp4")] == [PONG, PONG, None]
    assert helix.requests == [["some_one", "other"]]


def test_poller_requests_a_new_source_within_a_second_or_two():
    """After `update`, the next request has the new logins, long before the interval is over."""
    helix, stop = FakeHelix(PONG), threading.Event()
    fake: Any = helix
    categories = CategoryPoller(fake, [], stop, interval_s=1000.0)
    categories.update(["added", "file.mp4"])
    end = time.monotonic() + 20
    while categories.get("added") != PONG:
        assert time.monotonic() < end
        time.sleep(0.01)
    stop.set()
    assert helix.requests[-1] == ["added"]
