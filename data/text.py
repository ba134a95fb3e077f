"""Text for people: plural forms and lines that are safe to print."""

from __future__ import annotations


def plural(count: int, noun: str) -> str:
    """Return the count with its noun, whose plural ends in s: "1 frame", "2 frames", "1,234 frames"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable_line(text: str) -> str:
    """Return `text` as one line: each unprintable character becomes a space, runs of spaces become one.

    Names come from the network: a tab would break games.tsv, a NUL PostgreSQL, an escape sequence the terminal.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
