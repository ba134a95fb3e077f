"""recognition.categories: the streamers' own words of watched streams, from a Helix that a test answers for."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from data.entities import Game, Stream
from data.errors import DirectoryError, DirectoryUnauthorized, DirectoryUnavailable
from recognition.categories import CurrentCategories

PONG, CHESS = Game(1, "Pong"), Game(2, "Chess")


class FakeHelix:
    """Answers with these games for all logins, one a call, the last one again and again; None: nobody is live."""

    def __init__(self, *answers: Game | DirectoryError | None) -> None:
        self._answers = deque(answers)
        self.asked: list[list[str]] = []

    def live(self, logins: Iterable[str]) -> dict[str, Stream]:
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        self.asked.append(list(logins))
        if isinstance(answer, DirectoryError):
            raise answer
        if answer is None:
            return {}
        return {login: Stream(login, answer.id, "", "en", 1, answer.name) for login in logins}


def words(*answers: Game | DirectoryError | None, calls: int) -> tuple[list[Game | None], FakeHelix]:
    """What is said of a channel after each of so many calls, without what is said twice in a row."""
    helix, over, said = FakeHelix(*answers), threading.Event(), list[Game | None]()
    fake: Any = helix
    categories = CurrentCategories(fake, ["https://www.twitch.tv/Some_One", "file.mp4", "other"], over, every_s=0.05)
    end = time.monotonic() + 20
    while len(helix.asked) < calls and time.monotonic() < end:
        word = categories.of("https://www.twitch.tv/Some_One")
        if not said or word != said[-1]:
            said.append(word)
        time.sleep(0.005)
    over.set()
    assert categories.of("file.mp4") is None
    return said, helix


def test_they_are_asked_for_anew():
    """A streamer sets another category, or goes off: the word follows, and all logins are in each call."""
    said, helix = words(PONG, CHESS, None, calls=6)
    assert said in ([None, PONG, CHESS, None], [PONG, CHESS, None])
    assert helix.asked[0] == ["some_one", "other"]


def test_while_helix_is_away_the_last_word_stands(caplog):
    """It is one warning, however often it fails, and the asking goes on."""
    with caplog.at_level(logging.WARNING):
        said, _ = words(PONG, DirectoryUnavailable("down"), DirectoryUnavailable("down"), CHESS, calls=7)
    assert [word for word in said if word] == [PONG, CHESS]
    assert caplog.text.count("down; changes are told without categories") == 1


def test_credentials_that_are_refused_end_it(caplog):
    """Asking again would not help: one warning, and no more calls."""
    helix, over = FakeHelix(DirectoryUnauthorized("no")), threading.Event()
    fake: Any = helix
    with caplog.at_level(logging.WARNING):
        categories = CurrentCategories(fake, ["x"], over, every_s=0.01)
        time.sleep(0.5)
    assert (len(helix.asked), categories.of("x")) == (1, None)
    assert "no; changes are told without categories" in caplog.text
