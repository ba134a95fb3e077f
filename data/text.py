"""Text for people: plural forms and lines that are safe to print."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")  # a byte of a file's name that is not UTF-8, or half a character in JSON
_JOINERS = "\u200c\u200d"  # invisible but harmless: Persian words and many emoji contain them


def plural(count: int, noun: str) -> str:
    """Return the count with its noun, whose plural ends in s: "1 frame", "2 frames", "1,234 frames"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable_line(text: str) -> str:
    """Return `text` as one line: each unprintable character becomes a space, runs of spaces become one.

    Names come from the network: a tab would break games.tsv, a NUL PostgreSQL, an escape sequence the terminal.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def printable(text: str) -> str:
    """Return `text` without characters that a terminal obeys: escape codes, line ends, changes of direction.

    White space becomes a space, each other unprintable character U+FFFD; everything else is unchanged.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS else " " if c.isspace() else "\ufffd" for c in text)


def valid_unicode(text: str) -> str:
    """Return `text` with U+FFFD for each lone surrogate, which UTF-8 cannot encode."""
    return _SURROGATE.sub("\ufffd", text)
