"""Webhook output: POST each change of what a stream shows as JSON, from a thread of its own.

Delivery is at least once: if a response is lost, the same change is posted again with the same id. The headers are
those of Standard Webhooks (https://www.standardwebhooks.com): webhook-id, webhook-timestamp (of the attempt, epoch
seconds), and with a secret, webhook-signature. X-TwitchCategory-Delivery repeats the id, and X-TwitchCategory-Signature
is `sha256=` and the body's HMAC-SHA256 (RFC 2104) in hexadecimal digits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import threading
import time
import uuid
from collections import deque
from contextlib import suppress
from urllib.parse import urlsplit

import requests

from data.backoff import Backoff
from data.errors import SettingsError
from data.text import plural, printable
from recognition.events import Event, GameChanged, as_json
from recognition.outputs.base import Output

_MAX_PENDING = 1000  # changes
_FIRST_PAUSE_S, _MAX_PAUSE_S = 1.0, 60.0
_RETRY_STATUSES = frozenset({408, 425, 429})  # besides those from 500 on: RFC 9110, 8470, 6585

_ENCODED_SECRET = "whsec_"  # in front of a key in base64
_URL_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")  # their messages at -vv hold the path

log = logging.getLogger(__name__)


class Webhook(Output):
    """Post changes to a URL. The attributes `delivered` and `dropped` count them."""

    def __init__(
        self,
        url: str,
        session: requests.Session,
        *,
        secret: str = "",
        retry_for_s: float = 600.0,
        close_timeout_s: float = 1.5,
    ) -> None:
        """Start the thread. Raises SettingsError for an invalid URL or secret.

        session: sends the requests; close it after this output.
        secret: key of the signatures; empty: no signature. With `whsec_` in front, the rest is base64.
        retry_for_s: how long one change is retried before it is dropped.
        close_timeout_s: longest time that `close` spends on pending changes.
        """
        # Paths and queries of webhooks are often secret: messages name only the host.
        self._url, self._host = url, _host(url)
        self._session = session
        # Or requests would parse the Location of a redirect that we do not follow, and read its whole body.
        session.get_redirect_target = lambda _: None  # type: ignore[method-assign, assignment]
        self._secret, self._key = secret.encode(errors="surrogateescape"), signing_key(secret)
        self._retry_for_s, self._close_timeout_s = retry_for_s, close_timeout_s
        self._pending: deque[bytes] = deque(maxlen=_MAX_PENDING)
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._close_deadline = float("inf")  # time.monotonic()
        self.delivered = self.dropped = 0
        self._filter = _HidePath(url)
        for name in _URL_LOGGERS:
            logging.getLogger(name).addFilter(self._filter)
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def emit(self, event: Event) -> None:
        """Queue a change for delivery; ignore other events."""
        if not isinstance(event, GameChanged):
            return
        with self._changed:
            self.dropped += len(self._pending) == _MAX_PENDING  # the full deque drops its oldest change
            self._pending.append(json.dumps(as_json(event), ensure_ascii=False).encode())
            self._changed.notify()

    def close(self) -> None:
        """Try each pending change once more, and log how many were not delivered. A second call does nothing."""
        if self._closing.is_set():
            return
        with self._changed:
            self._close_deadline = time.monotonic() + self._close_timeout_s
            self._closing.set()
            self._changed.notify()
        self._thread.join(self._close_timeout_s)
        if not self._thread.is_alive():  # or the filter is still needed
            for name in _URL_LOGGERS:
                logging.getLogger(name).removeFilter(self._filter)
        with self._changed:
            missing = self.dropped + len(self._pending) + self._thread.is_alive()  # one without a response
        if missing:
            log.warning("%s not delivered to %s, %d delivered", plural(missing, "change"), self._host, self.delivered)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closing.is_set())
                if not self._pending or time.monotonic() > self._close_deadline:
                    return
                body = self._pending.popleft()
            done = self._deliver(body)
            with self._changed:
                self.delivered += done
                self.dropped += not done

    def _deliver(self, body: bytes) -> bool:
        """Post the change, with retries; return whether it was accepted."""
        delivery = uuid.uuid4().hex
        backoff = Backoff(self._retry_for_s, first_s=_FIRST_PAUSE_S, max_s=_MAX_PAUSE_S)
        while error := self._post_error(body, self._headers(delivery, body)):
            reason, retryable = error
            pause_s = backoff.next_pause_s() if retryable and not self._closing.is_set() else None
            if pause_s is None:
                log.warning("%s %s: a change is dropped", self._host, reason)
                return False
            (log.warning if backoff.attempts == 1 else log.info)("%s %s; retrying", self._host, reason)
            self._closing.wait(pause_s)
        return True

    def _headers(self, delivery: str, body: bytes) -> dict[str, str]:
        """Return the headers of one attempt, whose time is signed: an old request cannot be sent again by others."""
        timestamp = str(int(time.time()))
        headers = {"Content-Type": "application/json", "X-TwitchCategory-Delivery": delivery}
        headers |= {"webhook-id": delivery, "webhook-timestamp": timestamp}
        if self._secret:
            headers["webhook-signature"] = standard_signature(self._key, delivery, timestamp, body)
            old_signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
            headers["X-TwitchCategory-Signature"] = f"sha256={old_signature}"
        return headers

    def _post_error(self, body: bytes, headers: dict[str, str]) -> tuple[str, bool] | None:
        """Post once. Return None if accepted, otherwise the reason and whether a retry may help."""
        try:
            # A redirect would lead the signed body to a host that the user did not name. The status is the answer: the
            # body of the response is never read, however large or slow.
            with self._session.post(self._url, body, headers=headers, stream=True, allow_redirects=False) as response:
                status = response.status_code
        except Exception as error:  # noqa: BLE001 - whatever a server sends, the thread must live
            return f"does not respond ({type(error).__name__})", True
        if 200 <= status < 300:
            return None
        return f"responded with status {status}", status >= 500 or status in _RETRY_STATUSES


def standard_signature(key: bytes, delivery: str, timestamp: str, body: bytes) -> str:
    """Return the header webhook-signature of a request, as Standard Webhooks 1.0 defines it."""
    signed = b".".join((delivery.encode(), timestamp.encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"


class _HidePath(logging.Filter):
    """Drops the records that hold a URL's path or query."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._path = requests.Request("POST", url).prepare().path_url

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record may be logged."""
        return self._path == "/" or self._path not in record.getMessage()


def _host(url: str) -> str:
    """Return the URL's host. Raises SettingsError for an invalid URL."""
    try:
        requests.Request("POST", url).prepare()
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # raises ValueError for a host that no server can have
    except (ValueError, requests.RequestException):
        host, port = "", None
    is_graphic = url.isprintable() and " " not in url
    if not (host and port != 0 and is_graphic and parts.scheme in ("http", "https") and "@" not in parts.netloc):
        shown = "…" if "@" in url else printable(url.partition("?")[0])  # no password, no key in a query
        advice = "give one that begins with http:// or https://, without spaces and user name"
        raise SettingsError(f"--webhook: invalid URL {shown!r}; {advice}")
    return host


def signing_key(secret: str) -> bytes:
    """Return the key of a secret. Raises SettingsError for invalid base64."""
    if not secret.startswith(_ENCODED_SECRET):
        return secret.encode(errors="surrogateescape")
    with suppress(ValueError):  # of invalid base64, and of a character that is not ASCII
        if key := base64.b64decode(secret.removeprefix(_ENCODED_SECRET), validate=True):
            return key
    raise SettingsError(f"WEBHOOK_SECRET: no base64 after {_ENCODED_SECRET}; give the secret as the receiver shows it")
