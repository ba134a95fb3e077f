"""Judging: frames of a live stream become a prediction each, and one verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recognition.recognizer import Recognizer

__all__ = ["Recognizer"]


def __getattr__(name: str) -> Any:
    """`from recognition import Recognizer` loads it then: PEP 562. Raises AttributeError for any other name."""
    if name == "Recognizer":
        from recognition.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
