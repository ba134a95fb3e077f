"""recognition.outputs.webhook: what is posted, how often it is tried, and that nobody waits for it."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from data.entities import Game
from data.errors import SettingsError, StreamOffline
from data.http import session as web
from recognition.events import GameChanged, SourceFailed, as_json, now
from recognition.outputs.webhook import Webhook
from tests.scripted import Reply, Scripted

OK = Reply(204)


def change(number: int = 1) -> GameChanged:
    return GameChanged("someone", now(), None, Game(7, "Bleu pâle"), True, number, 0.9)


@contextmanager
def hook(url: str, **options: Any) -> Iterator[Webhook]:
    """A webhook, closed in the end."""
    with web.new_session(0.5, deadline_s=1.0) as session:
        opened = Webhook(url, session, deadline_s=1.0, **options)
        yield opened
        opened.close()


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_change_is_posted():
    """As JSON, the object that --json prints; other events are not."""
    told = change()
    with Scripted([OK]) as server, hook(f"{server.url}/path?key=1") as opened:
        opened.emit(SourceFailed("someone", now(), StreamOffline("x")))
        opened.emit(told)
        until(lambda: opened.delivered)
    [(_, path, query, headers)] = server.requests
    assert (path, query, headers["Content-Type"]) == ("/path", {"key": ["1"]}, "application/json")
    assert json.loads(server.bodies[0]) == as_json(told)
    assert "X-TwitchCategory-Signature" not in headers


def test_it_can_be_signed():
    """With a secret, who receives it can tell that it is from here."""
    with Scripted([OK]) as server, hook(server.url, secret="s3cret") as opened:
        opened.emit(change())
        until(lambda: opened.delivered)
    expected = hmac.new(b"s3cret", server.bodies[0], hashlib.sha256).hexdigest()
    assert server.requests[0][3]["X-TwitchCategory-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize("first", [Reply(503), Reply(429), Reply(200, b"half", promised=100), Reply(silence_s=0.8)])
def test_what_may_pass_is_tried_again(first):
    """A server in trouble, one that breaks off, one that is silent: the same delivery retryable, and in order."""
    with Scripted([first, OK, OK]) as server, hook(server.url) as opened:
        opened.emit(change(1))
        opened.emit(change(2))
        until(lambda: opened.delivered == 2)
    assert [json.loads(body)["number"] for body in server.bodies] == [1, 1, 2]
    one, retryable, other = (headers["X-TwitchCategory-Delivery"] for *_, headers in server.requests)
    assert one == retryable != other
    assert opened.dropped == 0


@pytest.mark.parametrize("refusal", [Reply(404), Reply(400), Reply(302, headers={"Location": "http://127.0.0.1:1/"})])
def test_a_refusal_is_final(refusal, caplog):
    """What would be refused retryable is not tried retryable, nor is a redirect followed; it is said, the address is not."""
    with caplog.at_level(logging.WARNING), Scripted([refusal, OK]) as server:
        with hook(f"{server.url}/s3cret") as opened:
            opened.emit(change(1))
            opened.emit(change(2))
            until(lambda: opened.delivered)
        assert (opened.delivered, opened.dropped, server.left) == (1, 1, 0)
    assert f"answers {refusal.status}: a change is dropped" in caplog.text
    assert "1 changes were not delivered to 127.0.0.1, 1 were" in caplog.text
    assert "s3cret" not in caplog.text


def test_whoever_tells_never_waits():
    """Of a dead server's changes a thousand wait, the oldest give way; telling them takes no time, nor does the end."""
    with hook("http://127.0.0.1:9/", close_timeout_s=0.5) as opened:
        start = time.monotonic()
        for number in range(1500):
            opened.emit(change(number))
        assert time.monotonic() - start < 5
        opened.close()
        assert time.monotonic() - start < 10
    assert (opened.delivered, opened.dropped >= 499) == (0, True)


def test_patience_ends():
    """A change that nobody takes for so long is dropped, for those behind it."""
    with Scripted([Reply(503), Reply(503), OK]) as server, hook(server.url, retry_for_s=1.5) as opened:
        opened.emit(change(1))
        opened.emit(change(2))
        until(lambda: opened.delivered)
    assert [json.loads(body)["number"] for body in server.bodies] == [1, 1, 2]
    assert opened.dropped == 1


def test_what_waits_at_the_end_is_still_tried():
    """`close` delivers what was just told."""
    with Scripted([OK] * 20) as server:
        with hook(server.url) as opened:
            for number in range(20):
                opened.emit(change(number))
        assert (opened.delivered, server.left) == (20, 0)


@pytest.mark.parametrize("url", ["example.com/hook", "ftp://example.com", "https://", "file:///etc/passwd"])
def test_what_is_no_address(url):
    """It is an error at once, and not when the first change comes."""
    with web.new_session(1) as session, pytest.raises(SettingsError, match="--webhook"):
        Webhook(url, session)
