"""Bounded requests of Apprise: its services send through our session, which has limits, and their responses are seen.

Apprise says of a delivery only whether it succeeded, waits without a limit for a slow response and reads all of a large
one. Its services call `requests.post` and the like. For them this module replaces `requests`.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import requests

from data.http.session import read_body
from recognition.outputs.targets.base import DeliveryError
from recognition.outputs.targets.http_refusal import URL_LOGGERS, refusal, retry_after_s

_MAX_BODY_BYTES = 1 << 20
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")
_RETRY_CODES = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"})


class Exchange:
    """The requests of one delivery: sends them, and remembers the last refusal.

    session: sends the requests; it reads no redirects.
    closing: set when the target closes; no further request begins.
    deadline_s: seconds from now on in which a request may begin, and those that one may take.
    delivery: id of the alert, sent as a header.
    """

    def __init__(self, session: requests.Session, closing: threading.Event, deadline_s: float, delivery: str) -> None:
        self._session, self._closing, self._deadline_s = session, closing, deadline_s
        self._end = time.monotonic() + deadline_s
        self._delivery = delivery
        self._error = DeliveryError("did not accept the alert", retryable=True)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send one request as `requests.request` does. Raises RequestException, and DeliveryError for status 429."""
        if self._closing.is_set() or time.monotonic() > self._end:
            self._error = DeliveryError("has no time left", retryable=True)
            raise requests.Timeout("no time left")
        options["headers"] = {**(options.get("headers") or {}), "X-TwitchCategory-Delivery": self._delivery}
        # A redirect would lead the alert to a host that the user did not name.
        options |= {"timeout": None, "allow_redirects": False, "stream": True}
        try:
            response = self._session.request(method, url, **options)
        except requests.RequestException as error:
            self._error = DeliveryError(f"does not respond ({type(error).__name__})", retryable=True)
            raise
        response._content = self._body(response)
        self._note(response)
        return response

    def error(self) -> DeliveryError:
        """Return why the delivery failed."""
        return self._error

    def _body(self, response: requests.Response) -> bytes:
        """Return the response's body; b"" if it is too large or too slow: the status counts."""
        with suppress(requests.RequestException):
            return read_body(response, self._deadline_s, _MAX_BODY_BYTES)
        return b""

    def _note(self, response: requests.Response) -> None:
        status = response.status_code
        if 200 <= status < 300:  # a service may still see an error in the body, as Slack's do
            self._error = _refused(f"refused the alert (status {status}{_error_code(response)})", response)
            return
        self._error = refusal(status, _pause_s(response))
        if status == 429:
            raise self._error  # a service would sleep, or send the next part of its message


class _Requests:
    """The module `requests`, whose functions use the exchange of the current delivery if there is one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        exchange = _current.get()
        return exchange.request(method, url, **options) if exchange else requests.request(method, url, **options)

    def get(self, url: str, params: Any = None, **options: Any) -> requests.Response:
        return self.request("GET", url, params=params, **options)

    def post(self, url: str, data: Any = None, json: Any = None, **options: Any) -> requests.Response:
        return self.request("POST", url, data=data, json=json, **options)

    def put(self, url: str, data: Any = None, **options: Any) -> requests.Response:
        return self.request("PUT", url, data=data, **options)

    def patch(self, url: str, data: Any = None, **options: Any) -> requests.Response:
        return self.request("PATCH", url, data=data, **options)

    def delete(self, url: str, **options: Any) -> requests.Response:
        return self.request("DELETE", url, **options)

    def head(self, url: str, **options: Any) -> requests.Response:
        return self.request("HEAD", url, **options)


class _HideRequests(logging.Filter):
    """Drops the records that a delivery's own thread writes."""

    def filter(self, _: logging.LogRecord) -> bool:
        """Return whether the record may be logged."""
        return _current.get() is None


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
_REQUESTS, _HIDE_REQUESTS = _Requests(), _HideRequests()


def install() -> None:
    """Let all loaded modules of Apprise use this module's requests, and silence its log, which holds secrets."""
    for name, module in [*sys.modules.items()]:
        if name.startswith("apprise.") and vars(module).get("requests") is requests:
            vars(module)["requests"] = _REQUESTS
    logging.getLogger("apprise").disabled = True
    for name in URL_LOGGERS:
        logging.getLogger(name).addFilter(_HIDE_REQUESTS)  # a second time this does nothing


@contextmanager
def active(exchange: Exchange) -> Iterator[None]:
    """Send the requests of Apprise in this block, in this thread, through the exchange."""
    token = _current.set(exchange)
    try:
        yield
    finally:
        _current.reset(token)


def _refused(reason: str, response: requests.Response) -> DeliveryError:
    code = _error_code(response).removeprefix(", ")
    return DeliveryError(reason, code in _RETRY_CODES or not code, _pause_s(response))


def _error_code(response: requests.Response) -> str:
    """Return ", " and the error code in a JSON body, such as Slack's invalid_auth; "" without one."""
    code = _json_object(response).get("error")
    return f", {code}" if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""


def _json_object(response: requests.Response) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        if isinstance(found := json.loads(response.content), dict):
            return found
    return {}


def _pause_s(response: requests.Response) -> float | None:
    """Return the seconds that a response asks to wait: Retry-After, or Discord's and Telegram's JSON."""
    if (in_header := retry_after_s(response.headers.get("Retry-After", ""))) is not None:
        return in_header
    body = _json_object(response)
    parameters = body.get("parameters")
    value = (parameters if isinstance(parameters, dict) else body).get("retry_after")
    with suppress(TypeError, ValueError, OverflowError):
        return max(0.0, seconds) if math.isfinite(seconds := float(value)) else None  # type: ignore[arg-type]
    return None
