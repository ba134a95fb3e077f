"""Recognition: which game live streams show. `Recognizer` is the library, `recognition.recognize` the command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recognition.recognizer import Recognizer

__all__ = ["Recognizer"]


def __getattr__(name: str) -> Any:
    """Import Recognizer on first access (PEP 562), so that `--help` need not. Raises AttributeError for other names."""
    if name == "Recognizer":
        from recognition.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
