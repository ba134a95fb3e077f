"""Webhook output, against a real HTTP server: requests, signature, retries, refusals, queue and close."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from data.entities import Game
from data.errors import SettingsError, StreamOffline
from data.http.session import new_session
from recognition.events import GameChanged, SourceFailed, as_json, now
from recognition.outputs.webhook import Webhook, signing_key, standard_signature
from tests.scripted_server import Reply, ScriptedServer

OK = Reply(204)


def change(number: int = 1) -> GameChanged:
    """Return a change at this frame number."""
    return GameChanged("someone", now(), None, Game(7, "Bleu pâle"), True, number, 0.9)


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Webhook]:
    """Yield a webhook with short timeouts and close it."""
    with new_session(0.5, deadline_s=1.0) as session:
        webhook = Webhook(url, session, **options)
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


@pytest.mark.parametrize("first", [Reply(503), Reply(429), Reply(silence_s=0.8)])
def test_delivery_when_the_error_may_pass_is_retried(first):
    """After an error status or a missing response, the same delivery is repeated before the next one."""
    with ScriptedServer([first, OK, OK]) as server, opened(server.url) as webhook:
        webhook.emit(change(1))
        webhook.emit(change(2))
        wait_until(lambda: webhook.delivered == 2)
    assert [json.loads(body)["number"] for body in server.bodies] == [1, 1, 2]
    first_id, second_id, third_id = (headers["X-TwitchCategory-Delivery"] for *_, headers in server.requests)
    assert first_id == second_id != third_id
    assert all(headers["webhook-id"] == headers["X-TwitchCategory-Delivery"] for *_, headers in server.requests)
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


@pytest.mark.parametrize(
    "url",
    [
        *(
            "example.com/hook",
            "ftp://example.com",
            "https://",
            "file:///etc/passwd",
            "//example.com",
            "http:///path",
            "",
        ),
        *("http://[::1", "http://[::1]:x/", "http://[x]/", "http://host:99999/", "http://host:0/", "http://host:-1/"),
        *("http://ho st/", "http://host/a b", "http://host/\x1b[31m", "http://user:pw@host/", "http://" + "a" * 99),
        *("http://.", "http://\u2100/", "http://host/\udcff"),
    ],
)
def test_url_when_invalid_raises_at_once(url):
    """An invalid URL is one line of the constructor, not of the first change, and holds no password."""
    with new_session(1) as session, pytest.raises(SettingsError, match="--webhook: invalid URL") as raised:
        Webhook(url, session)
    assert str(raised.value).isprintable()
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize(
    "reply",
    [Reply(200, b"x" * 3_000_000), Reply(200, b"half", promised=100), Reply(201, b"x" * 90, byte_pause_s=0.2)],
    ids=["large", "truncated", "trickle"],
)
def test_response_of_a_success_is_delivered_whatever_its_body(reply):
    """A status from 200 to 299 counts as delivered: a change is not posted again for the sake of the body."""
    with ScriptedServer([reply, OK]) as server, opened(server.url) as webhook:
        webhook.emit(change(1))
        webhook.emit(change(2))
        wait_until(lambda: webhook.delivered == 2)
    assert [json.loads(body)["number"] for body in server.bodies] == [1, 2]


@pytest.mark.parametrize("location", ["http://[", "\xff\xfe", "http://a:99999/x", "//", "http://\xe2\x84\x80/", ""])
def test_redirect_when_its_location_is_invalid_is_refused(location):
    """Whatever a redirect's address and body are, the thread lives: the change is dropped, the next one delivered."""
    redirect = Reply(302, b"x" * 1_000_000, headers={"Location": location})
    with ScriptedServer([redirect, OK]) as server, opened(server.url) as webhook:
        webhook.emit(change(1))
        webhook.emit(change(2))
        wait_until(lambda: webhook.delivered)
    assert (webhook.delivered, webhook.dropped) == (1, 1)


def test_signature_of_the_published_example_is_the_published_one():
    """Key and signature are those of the example in the specification of Standard Webhooks."""
    key = signing_key("whsec_plJ3nmyCDGBKInavdOK15jsl")
    body = b'{"event_type":"ping","data":{"success":true}}'
    signature = standard_signature(key, "msg_loFOjxBNrRLzqYUf", "1731705121", body)
    assert signature == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


@pytest.mark.parametrize("secret", ["s3cret", "whsec_plJ3nmyCDGBKInavdOK15jsl", "gehe\u00efm\udcff"])
def test_request_is_signed_with_its_time(secret):
    """A receiver verifies id, time and body with the secret; the time is that of the attempt, in epoch seconds."""
    start = int(time.time())
    with ScriptedServer([OK]) as server, opened(server.url, secret=secret) as webhook:
        webhook.emit(change())
        wait_until(lambda: webhook.delivered)
    [(*_, headers)] = server.requests
    assert start <= int(headers["webhook-timestamp"]) <= time.time()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + server.bodies[0]
    expected = base64.b64encode(hmac.new(signing_key(secret), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.parametrize("secret", ["whsec_", "whsec_s3cret!", "whsec_abc", "whsec_\u00e9"])
def test_secret_when_not_base64_names_the_setting(secret):
    """The error is a line that names the setting, not the secret."""
    with new_session(1) as session, pytest.raises(SettingsError, match=r"^WEBHOOK_SECRET: ") as raised:
        Webhook("http://127.0.0.1:9/", session, secret=secret)
    assert secret == "whsec_" or secret not in str(raised.value)


def test_log_at_debug_level_never_holds_the_path(caplog):
    """At -vv, urllib3 logs each request and each retry: not those of the webhook."""
    with caplog.at_level(logging.DEBUG), ScriptedServer([Reply(503), OK]) as server:
        with opened(f"{server.url}/s3cret/path?key=s3cret") as webhook:
            webhook.emit(change())
            wait_until(lambda: webhook.delivered)
        with opened("http://127.0.0.1:9/s3cret/path", close_timeout_s=0.2) as webhook:
            webhook.emit(change())
            wait_until(lambda: "does not respond" in caplog.text)
        with new_session(1) as session:
            session.get(f"{server.url}/other")
    assert "s3cret" not in caplog.text
    assert "/other" in caplog.text


def test_change_of_a_source_that_is_not_utf8_is_delivered():
    """A file's name that is not UTF-8 has replacement characters in the posted JSON."""
    with ScriptedServer([OK]) as server, opened(server.url) as webhook:
        webhook.emit(dataclasses.replace(change(), source="caf\udce9.mp4"))
        wait_until(lambda: webhook.delivered)
    assert json.loads(server.bodies[0].decode("utf-8"))["source"] == "caf\ufffd.mp4"


def test_close_when_the_server_is_silent_returns_after_its_timeout(caplog):
    """A server that accepts the connection and says nothing does not delay the end; its change is counted as lost."""
    with socket.create_server(("127.0.0.1", 0)) as silent, new_session(60) as session:
        webhook = Webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/", session, close_timeout_s=0.2)
        webhook.emit(change())
        start = time.monotonic()
        webhook.close()
        assert time.monotonic() - start < 20
    assert "1 change not delivered to 127.0.0.1, 0 delivered" in caplog.text
