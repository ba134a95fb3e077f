"""Calls of Ray: wait for their results, and name their errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from data.text import printable_line

_MAX_TEXT = 300  # characters


def results(calls: Sequence[Any], timeout_s: float) -> list[Any]:
    """Wait for calls up to `timeout_s` seconds; return the result of each, or its error: TimeoutError while it runs."""
    import ray

    ended = set(ray.wait([*calls], num_returns=len(calls), timeout=timeout_s)[0]) if calls else ()
    return [_result(call) if call in ended else TimeoutError() for call in calls]


def _result(call: Any) -> Any:
    import ray

    try:
        return ray.get(call, timeout=1)  # it has arrived
    except Exception as error:  # noqa: BLE001 - whatever the call raised
        return error


def describe_error(error: Exception) -> str:
    """Return why a call failed, in one line: what the function raised there, or what happened to its process."""
    if missing := re.search(r"No module named '?([\w.]+)", str(error)):
        return f"{missing[1]} is not installed there"
    cause = getattr(error, "cause", None)  # of RayTaskError
    return printable_line(f"{type(cause).__name__}: {cause}")[:_MAX_TEXT] if cause else type(error).__name__
