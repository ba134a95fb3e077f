"""Webhook target: POST each alert's event as JSON.

The headers are those of Standard Webhooks (https://www.standardwebhooks.com): webhook-id, webhook-timestamp (of the
attempt, epoch seconds), and with a secret, webhook-signature. X-TwitchCategory-Delivery repeats the id,
X-TwitchCategory-Kind is the kind of the alert, and X-TwitchCategory-Signature is `sha256=` and the body's HMAC-SHA256
(RFC 2104) in hexadecimal digits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import time
from contextlib import suppress
from urllib.parse import urlsplit

import requests

from data.errors import SettingsError
from data.text import printable
from recognition.outputs.targets.base import CHANGE, START, UNKNOWN, Alert, DeliveryError
from recognition.outputs.targets.http_refusal import URL_LOGGERS, refusal, retry_after_s

_UNTIL_PATH = re.compile(r"[^/?#]*(?://[^/?#]*)?")  # scheme and host, or what is in their place
_ENCODED_SECRET = "whsec_"  # in front of a key in base64


class Webhook:
    """The target of a URL that begins with http:// or https://."""

    default_kinds = frozenset({START, CHANGE, UNKNOWN})

    def __init__(self, url: str, session: requests.Session, *, secret: str = "") -> None:
        """Take the session, which `close` closes. Raises SettingsError for an invalid URL or secret.

        secret: key of the signatures; empty: no signature. With `whsec_` in front, the rest is base64.
        """
        # Paths and queries of webhooks are often secret: messages name only the host.
        self._url, self.name = url, host_of(url)
        self.key = hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()
        self._session = session
        # Or requests would parse the Location of a redirect that we do not follow, and read its whole body.
        session.get_redirect_target = lambda _: None  # type: ignore[method-assign, assignment]
        self._secret, self._key = secret.encode(errors="surrogateescape"), signing_key(secret)
        self._filter = _HidePath(url)
        for name in URL_LOGGERS:
            logging.getLogger(name).addFilter(self._filter)

    def deliver(self, alert: Alert) -> None:
        """POST the event. Raises DeliveryError unless the status is 200 to 299."""
        body = json.dumps(alert.event, ensure_ascii=False).encode()
        try:
            # A redirect would lead the signed body to a host that the user did not name. The status is the answer: the
            # body of the response is never read, however large or slow.
            with self._session.post(
                self._url, body, headers=self._headers(alert, body), stream=True, allow_redirects=False
            ) as response:
                status, retry_after = response.status_code, response.headers.get("Retry-After", "")
        except Exception as error:  # noqa: BLE001 - whatever a server sends
            raise DeliveryError(f"does not respond ({type(error).__name__})", retryable=True) from None
        if not 200 <= status < 300:
            raise refusal(status, retry_after_s(retry_after))

    def close(self) -> None:
        """Close the session. A delivery that is going on ends at the session's deadline."""
        self._session.close()

    def _headers(self, alert: Alert, body: bytes) -> dict[str, str]:
        """Return the headers of one attempt, whose time is signed: an old request cannot be sent again by others."""
        delivery, timestamp = alert.id, str(int(time.time()))
        headers = {"Content-Type": "application/json", "X-TwitchCategory-Delivery": delivery}
        headers["X-TwitchCategory-Kind"] = alert.kind
        headers |= {"webhook-id": delivery, "webhook-timestamp": timestamp}
        if self._secret:
            headers["webhook-signature"] = standard_signature(self._key, delivery, timestamp, body)
            old_signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
            headers["X-TwitchCategory-Signature"] = f"sha256={old_signature}"
        return headers


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


def host_of(url: str, option: str = "--alert") -> str:
    """Return the host of a webhook's URL. Raises SettingsError, which begins with `option`, for an invalid URL."""
    try:
        requests.Request("POST", url).prepare()
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # raises ValueError for a host that no server can have
    except (ValueError, requests.RequestException):
        host, port = "", None
    is_graphic = url.isprintable() and " " not in url
    if not (host and port != 0 and is_graphic and parts.scheme in ("http", "https") and "@" not in parts.netloc):
        shown = "…" if "@" in url else printable(_UNTIL_PATH.findall(url)[0])  # no secret
        advice = "give one that begins with http:// or https://, without spaces and user name"
        raise SettingsError(f"{option}: invalid URL {shown!r}; {advice}")
    return host


def signing_key(secret: str) -> bytes:
    """Return the key of a secret. Raises SettingsError for invalid base64."""
    if not secret.startswith(_ENCODED_SECRET):
        return secret.encode(errors="surrogateescape")
    with suppress(ValueError):  # of invalid base64, and of a character that is not ASCII
        if key := base64.b64decode(secret.removeprefix(_ENCODED_SECRET), validate=True):
            return key
    raise SettingsError(f"WEBHOOK_SECRET: no base64 after {_ENCODED_SECRET}; give the secret as the receiver shows it")
