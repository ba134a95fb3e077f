"""Webhook target, against a real HTTP server: requests, signature, and what counts as accepted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import format_datetime

import pytest

from data.entities import Game
from data.errors import SettingsError
from data.http.session import new_session
from recognition.events import GameChanged, as_json, now
from recognition.outputs.targets.base import Alert, DeliveryError
from recognition.outputs.targets.http_refusal import retry_after_s
from recognition.outputs.webhook import Webhook, host_of, signing_key, standard_signature
from tests.scripted_server import Reply, ScriptedServer

OK = Reply(204)


def change(source: str = "someone") -> Alert:
    """Return the alert of a change."""
    event = GameChanged(source, now(), None, Game(7, "Bleu p\u00e2le"), True, 1, 0.9)
    return Alert("5f" * 16, "change", source, event.at, event=as_json(event))


@contextmanager
def opened(url: str, secret: str = "") -> Iterator[Webhook]:
    """Yield a webhook with short timeouts and close it."""
    webhook = Webhook(url, new_session(0.5, deadline_s=1.0), secret=secret)
    yield webhook
    webhook.close()


def test_alert_is_posted_as_json():
    """The body is the object that --json prints; the id is the alert's, at each attempt."""
    alert = change()
    with ScriptedServer([OK, OK]) as server, opened(f"{server.url}/path?key=1") as webhook:
        webhook.deliver(alert)
        webhook.deliver(alert)
    (_, path, query, headers), (*_, again) = server.requests
    assert (path, query, headers["Content-Type"]) == ("/path", {"key": ["1"]}, "application/json")
    assert server.bodies[0] == json.dumps(alert.event, ensure_ascii=False).encode()
    assert "X-TwitchCategory-Signature" not in headers
    assert headers["X-TwitchCategory-Kind"] == alert.kind == "change"
    ids = {name: (headers[name], again[name]) for name in ("webhook-id", "X-TwitchCategory-Delivery")}
    assert set(ids.values()) == {(alert.id, alert.id)}


def test_alert_when_a_secret_is_set_is_signed():
    """The signature header is the HMAC-SHA256 of the body with the secret as key."""
    with ScriptedServer([OK]) as server, opened(server.url, "s3cret") as webhook:
        webhook.deliver(change())
    expected = hmac.new(b"s3cret", server.bodies[0], hashlib.sha256).hexdigest()
    assert server.requests[0][3]["X-TwitchCategory-Signature"] == f"sha256={expected}"


_REFUSALS = [
    (Reply(503), "responded with status 503", True, None),
    (Reply(429, headers={"Retry-After": "7"}), "responded with status 429", True, 7.0),
    (Reply(silence_s=0.8), "does not respond (ReadTimeout)", True, None),
    (Reply(404), "responded with status 404", False, None),
    (Reply(302, headers={"Location": "http://127.0.0.1:1/"}), "responded with status 302", False, None),
]


@pytest.mark.parametrize(("reply", "reason", "retryable", "retry_after"), _REFUSALS, ids=range(len(_REFUSALS)))
def test_alert_when_not_accepted_raises_why(reply, reason, retryable, retry_after):
    """The error says whether the same request may succeed soon, and holds nothing of the path."""
    with ScriptedServer([reply, OK]) as server, opened(f"{server.url}/s3cret") as webhook:
        with pytest.raises(DeliveryError) as raised:
            webhook.deliver(change())
        assert server.left == 1
    error = raised.value
    assert (error.reason, error.retryable, error.retry_after_s) == (reason, retryable, retry_after)


def test_retry_after_is_seconds_or_a_date():
    """Both forms of RFC 9110 are read; anything else counts as no header."""
    assert retry_after_s("120") == 120
    date = format_datetime(datetime.fromtimestamp(time.time() + 100, timezone.utc), usegmt=True)
    assert 90 < (retry_after_s(date) or 0) <= 100
    assert retry_after_s("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    for invalid in ("", "-1", "soon", "9" * 5000, "Fri, 99 Foo 2026", "Fri, 01 Jan 99999 00:00:00 GMT"):
        assert retry_after_s(invalid) in (None, 999_999_999)


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
        *(
            "http://ho st/",
            "http://host/a b",
            "http://host/\x1b[31m",
            "http://user:pw@host/",
            "http://host:0/pw",
            "example.com/pw",
            "ftp://host/pw?pw#pw",
            "http://" + "a" * 99,
        ),
        *("http://.", "http://\u2100/", "http://host/\udcff"),
    ],
)
def test_url_when_invalid_raises_at_once(url):
    """An invalid URL is one line at the start, not of the first alert, and holds no password."""
    with new_session(1) as session, pytest.raises(SettingsError, match="--alert: invalid URL") as raised:
        Webhook(url, session)
    assert str(raised.value).isprintable()
    assert "pw" not in str(raised.value)
    with pytest.raises(SettingsError, match=r"^--webhook: invalid URL"):
        host_of(url, "--webhook")


@pytest.mark.parametrize(
    "reply",
    [Reply(200, b"x" * 3_000_000), Reply(200, b"half", promised=100), Reply(201, b"x" * 90, byte_pause_s=0.2)],
    ids=["large", "truncated", "trickle"],
)
def test_response_of_a_success_is_delivered_whatever_its_body(reply):
    """A status from 200 to 299 counts as accepted: an alert is not posted again for the sake of the body."""
    with ScriptedServer([reply, OK]) as server, opened(server.url) as webhook:
        webhook.deliver(change())
        webhook.deliver(change())
    assert len(server.bodies) == 2


@pytest.mark.parametrize("location", ["http://[", "\xff\xfe", "http://a:99999/x", "//", "http://\xe2\x84\x80/", ""])
def test_redirect_when_its_location_is_invalid_is_refused(location):
    """Whatever a redirect's address and body are, the alert is refused and the next one accepted."""
    redirect = Reply(302, b"x" * 1_000_000, headers={"Location": location})
    with ScriptedServer([redirect, OK]) as server, opened(server.url) as webhook:
        with pytest.raises(DeliveryError, match="302"):
            webhook.deliver(change())
        webhook.deliver(change())


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
    with ScriptedServer([OK]) as server, opened(server.url, secret) as webhook:
        webhook.deliver(change())
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
        with opened(f"{server.url}/s3cret/path?key=s3cret") as webhook, pytest.raises(DeliveryError):
            webhook.deliver(change())
        with opened("http://127.0.0.1:9/s3cret/path") as webhook, pytest.raises(DeliveryError, match="not respond"):
            webhook.deliver(change())
        with new_session(1) as session:
            session.get(f"{server.url}/other")
    assert "s3cret" not in caplog.text
    assert "/other" in caplog.text


def test_change_of_a_source_that_is_not_utf8_is_delivered():
    """A file's name that is not UTF-8 has replacement characters in the posted JSON."""
    with ScriptedServer([OK]) as server, opened(server.url) as webhook:
        webhook.deliver(change("caf\udce9.mp4"))
    assert json.loads(server.bodies[0].decode("utf-8"))["source"] == "caf\ufffd.mp4"
