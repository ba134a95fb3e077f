"""A webhook: each change of what a stream shows is posted as JSON, by a thread that holds up nobody.

At least once: an answer that is lost makes a second delivery, with the same X-TwitchCategory-Delivery. With a secret,
X-TwitchCategory-Signature is `sha256=` and the HMAC-SHA256 (RFC 2104) of the body, in hexadecimal digits.
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

from data.errors import SettingsError
from data.http.session import read_body
from recognition.events import Event, GameChanged, as_json

_PENDING = 1000  # changes that wait at most; the oldest give way
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_ANSWER_BYTES = 1 << 16
_RETRY_STATUSES = frozenset({408, 425, 429})  # statuses below 500 that ask for another try: RFC 9110, 8470, 6585

log = logging.getLogger(__name__)


class Webhook:
    """Posts to `url`. An output; `delivered` and `dropped` count its changes."""

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
        """Start the thread; the caller closes `session` after this. Raises SettingsError: the URL is none.

        `retry_for_s`: how long one change is tried retryable. `close_timeout_s`: what `close` leaves to those that wait.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"--webhook: {url!r} is no http:// or https:// address")
        self._url, self._host = url, parts.hostname  # the rest of it is often secret: it is not printed
        self._session = session
        self._secret = secret.encode()
        self._deadline_s, self._retry_for_s, self._close_timeout_s = deadline_s, retry_for_s, close_timeout_s
        self._pending: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._close_deadline = float("inf")  # monotonic: when the grace is over
        self.delivered = self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def emit(self, event: Event) -> None:
        """Have a change posted; other events are nothing to it."""
        if not isinstance(event, GameChanged):
            return
        with self._changed:
            if len(self._pending) >= _PENDING:
                self._pending.popleft()
                self.dropped += 1
            self._pending.append(json.dumps(as_json(event), ensure_ascii=False).encode())
            self._changed.notify()

    def close(self) -> None:
        """Try what waits once more, and say what could not be delivered; safe to call twice."""
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
            log.warning("%d changes were not delivered to %s, %d were", missing, self._host, self.delivered)

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
        """Whether it was taken: at once, or at a later try."""
        headers = self._headers(body)
        give_up, pause_s = time.monotonic() + self._retry_for_s, _FIRST_PAUSE_S
        while fault := self._post_error(body, headers):
            reason, retryable = fault
            if not retryable or self._closing.is_set() or time.monotonic() + pause_s > give_up:
                log.warning("%s %s: a change is dropped", self._host, reason)
                return False
            (log.warning if pause_s == _FIRST_PAUSE_S else log.info)("%s %s; trying retryable", self._host, reason)
            self._closing.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return True

    def _post_error(self, body: bytes, headers: dict[str, str]) -> tuple[str, bool] | None:
        """Post once; None: it was taken. Else what is wrong, and whether another try may help."""
        try:
            answer = self._session.post(self._url, body, headers=headers, stream=True, allow_redirects=False)
            read_body(answer, self._deadline_s, _ANSWER_BYTES)
        except requests.RequestException as error:
            return f"does not answer ({type(error).__name__})", True
        if answer.ok and not answer.is_redirect:
            return None
        return f"answers {answer.status_code}", answer.status_code >= 500 or answer.status_code in _RETRY_STATUSES

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "X-TwitchCategory-Delivery": uuid.uuid4().hex}
        if self._secret:
            signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
            headers["X-TwitchCategory-Signature"] = f"sha256={signature}"
        return headers
