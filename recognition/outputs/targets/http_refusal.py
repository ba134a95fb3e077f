"""Refusals of HTTP receivers: the error of a status, the pause that a response asks for, and logs that hold URLs."""

from __future__ import annotations

import time
from contextlib import suppress
from email.utils import parsedate_to_datetime

from recognition.outputs.targets.base import DeliveryError

URL_LOGGERS = ("urllib3.connectionpool", "urllib3.util.retry")  # their messages at -vv hold paths, which are secret
_RETRY_STATUSES = frozenset({408, 425, 429})  # besides those from 500 on: RFC 9110, 8470, 6585


def refusal(status: int, pause_s: float | None) -> DeliveryError:
    """Return the error of a status that is not 200 to 299."""
    return DeliveryError(f"responded with status {status}", status >= 500 or status in _RETRY_STATUSES, pause_s)


def retry_after_s(value: str) -> float | None:
    """Return the seconds that a header Retry-After (RFC 9110, section 10.2.3) asks to wait; None if it is invalid."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return None
