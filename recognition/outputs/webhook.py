"""Webhook output: POST each change of what a stream shows as JSON, from a thread of its own.

Delivery is at least once: if a response is lost, the same change is posted again with the same
X-TwitchCategory-Delivery header. With a secret, X-TwitchCategory-Signature is `sha256=` and the body's HMAC-SHA256
(RFC 2104) in hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
import uuid
from collections import deque
from urllib.parse import urlsplit

import requests

from data.backoff import Backoff
from data.errors import SettingsError
from data.http.session import read_body
from data.text import plural
from recognition.events import Event, GameChanged, as_json
from recognition.outputs.base import Output

_MAX_PENDING = 1000  # changes
_FIRST_PAUSE_S, _MAX_PAUSE_S = 1.0, 60.0
_MAX_RESPONSE_BYTES = 1 << 16
_RETRY_STATUSES = frozenset({408, 425, 429})  # besides those from 500 on: RFC 9110, 8470, 6585

log = logging.getLogger(__name__)


class Webhook(Output):
    """Post changes to a URL. The attributes `delivered` and `dropped` count them."""

    def __init__(
        self,
        url: str,
        session: requests.Session,
        *,
        secret: str = "",
        deadline_s: float = 30.0,
        retry_for_s: float = 600.0,
        close_timeout_s: float = 5.0,
    ) -> None:
        """Start the thread. Raises SettingsError for an invalid URL.

        session: sends the requests; close it after this output.
        secret: key of the signature; empty: no signature.
        deadline_s: longest time of one response.
        retry_for_s: how long one change is retried before it is dropped.
        close_timeout_s: longest time that `close` spends on pending changes.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"--webhook: invalid URL {url!r}; give one that begins with http:// or https://")
        # Paths and queries of webhooks are often secret: messages name only the host.
        self._url, self._host = url, parts.hostname
        self._session = session
        self._secret = secret.encode()
        self._deadline_s, self._retry_for_s, self._close_timeout_s = deadline_s, retry_for_s, close_timeout_s
        self._pending: deque[bytes] = deque(maxlen=_MAX_PENDING)
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._close_deadline = float("inf")  # time.monotonic()
        self.delivered = self.dropped = 0
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
        with self._changed:
            missing = self.dropped + len(self._pending)
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
        headers = {"Content-Type": "application/json", "X-TwitchCategory-Delivery": uuid.uuid4().hex}
        if self._secret:
            signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
            headers["X-TwitchCategory-Signature"] = f"sha256={signature}"
        backoff = Backoff(self._retry_for_s, first_s=_FIRST_PAUSE_S, max_s=_MAX_PAUSE_S)
        while error := self._post_error(body, headers):
            reason, retryable = error
            pause_s = backoff.next_pause_s() if retryable and not self._closing.is_set() else None
            if pause_s is None:
                log.warning("%s %s: a change is dropped", self._host, reason)
                return False
            (log.warning if backoff.attempts == 1 else log.info)("%s %s; retrying", self._host, reason)
            self._closing.wait(pause_s)
        return True

    def _post_error(self, body: bytes, headers: dict[str, str]) -> tuple[str, bool] | None:
        """Post once. Return None if accepted, otherwise the reason and whether a retry may help."""
        try:
            # A redirect would lead the signed body to a host that the user did not name.
            response = self._session.post(self._url, body, headers=headers, stream=True, allow_redirects=False)
            read_body(response, self._deadline_s, _MAX_RESPONSE_BYTES)
        except requests.RequestException as error:
            return f"does not respond ({type(error).__name__})", True
        if response.ok and not response.is_redirect:
            return None
        status = response.status_code
        return f"responded with status {status}", status >= 500 or status in _RETRY_STATUSES
