"""Webhook output, against a real HTTP server: requests, signature, retries, refusals, queue and close."""

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
from data.http.session import new_session
from recognition.events import GameChanged, SourceFailed, as_json, now
from recognition.outputs.webhook import Webhook
from tests.scripted_server import Reply, ScriptedServer

OK = Reply(204)


def change(number: int = 1) -> GameChanged:
    """Return a change at this frame number."""
    return GameChanged("someone", now(), None, Game(7, "Bleu pâle"), True, number, 0.9)


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Webhook]:
    """Yield a webhook with short timeouts and close it."""
    with new_session(0.5, deadline_s=1.0) as session:
        webhook = Webhook(url, session, deadline_s=1.0, **options)
        yield webhook
        webhook.close()


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Poll the condition until it holds; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_change_is_posted_as_json():
    """A change is posted as the object that --json prints; a failure is not posted."""
    event = change()
    with ScriptedServer([OK]) as server, opened(f"{server.url}/path?key=1") as webhook:
        webhook.emit(SourceFailed("someone", now(), StreamOffline("x")))
        webhook.emit(event)
        wait_until(lambda: webhook.delivered)
    [(_, path, query, headers)] = server.requests
    assert (path, query, headers["Content-Type"]) == ("/path", {"key": ["1"]}, "application/json")
    assert json.loads(server.bodies[0]) == as_json(event)
    assert "X-TwitchCategory-Signature" not in headers


def test_change_when_a_secret_is_set_is_signed():
    """The signature header is the HMAC-SHA256 of the body with the secret as key."""
    with ScriptedServer([OK]) as server, opened(server.url, secret="s3cret") as webhook:
        webhook.emit(change())
        wait_until(lambda: webhook.delivered)
    expected = hmac.new(b"s3cret", server.bodies[0], hashlib.sha256).hexdigest()
    assert server.requests[0][3]["X-TwitchCategory-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize("first", [Reply(503), Reply(429), Reply(200, b"half", promised=100), Reply(silence_s=0.8)])
def test_delivery_when_the_error_may_pass_is_retried(first):
    """After an error status, a truncated or a missing response, the same delivery is repeated before the next one."""
    with ScriptedServer([first, OK, OK]) as server, opened(server.url) as webhook:
        webhook.emit(change(1))
        webhook.emit(change(2))
        wait_until(lambda: webhook.delivered == 2)
    assert [json.loads(body)["number"] for body in server.bodies] == [1, 1, 2]
    first_id, second_id, third_id = (headers["X-TwitchCategory-Delivery"] for *_, headers in server.requests)
    assert first_id == second_id != third_id
    assert webhook.dropped == 0


@pytest.mark.parametrize("refusal", [Reply(404), Reply(400), Reply(302, headers={"Location": "http://127.0.0.1:1/"})])
def test_delivery_when_refused_is_dropped(refusal, caplog):
    """A client error is not retried and a redirect not followed; the log names the host, never the secret path."""
    with caplog.at_level(logging.WARNING), ScriptedServer([refusal, OK]) as server:
        with opened(f"{server.url}/s3cret") as webhook:
            webhook.emit(change(1))
            webhook.emit(change(2))
            wait_until(lambda: webhook.delivered)
        assert (webhook.delivered, webhook.dropped, server.left) == (1, 1, 0)
    assert f"responded with status {refusal.status}: a change is dropped" in caplog.text
    assert "1 change not delivered to 127.0.0.1, 1 delivered" in caplog.text
    assert "s3cret" not in caplog.text


def test_emit_when_the_server_is_down_never_blocks():
    """A thousand changes are queued and older ones dropped; neither `emit` nor `close` waits for the server."""
    with opened("http://127.0.0.1:9/", close_timeout_s=0.5) as webhook:
        start = time.monotonic()
        for number in range(1500):
            webhook.emit(change(number))
        assert time.monotonic() - start < 20
        webhook.close()
        assert time.monotonic() - start < 30
    assert (webhook.delivered, webhook.dropped >= 499) == (0, True)


def test_delivery_when_retries_take_too_long_is_dropped():
    """After `retry_for_s` seconds a change is dropped and the next one is delivered."""
    with ScriptedServer([Reply(503), Reply(503), OK]) as server, opened(server.url, retry_for_s=1.5) as webhook:
        webhook.emit(change(1))
        webhook.emit(change(2))
        wait_until(lambda: webhook.delivered)
    assert [json.loads(body)["number"] for body in server.bodies] == [1, 1, 2]
    assert webhook.dropped == 1


def test_close_delivers_pending_changes():
    """`close` waits until the changes emitted just before it are delivered."""
    with ScriptedServer([OK] * 20) as server:
        with opened(server.url) as webhook:
            for number in range(20):
                webhook.emit(change(number))
        assert (webhook.delivered, server.left) == (20, 0)


@pytest.mark.parametrize("url", ["example.com/hook", "ftp://example.com", "https://", "file:///etc/passwd"])
def test_url_when_invalid_raises_at_once(url):
    """An invalid URL is an error of the constructor, not of the first change."""
    with new_session(1) as session, pytest.raises(SettingsError, match="--webhook: invalid URL"):
        Webhook(url, session)
