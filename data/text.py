"""Text for people: plural forms, times left, and text of foreign origin that is safe to print."""

from __future__ import annotations

import math
import re

_SECRET = (
    re.compile(  # a parameter of a URL, a value in JSON, a header; user and password; Twitch's addresses of playlists
        r"""((?:\b(?:token|sig|nauth\w*|access_token|client_secret)=|"""
        r"""\b(?:token|sig|signature|access_token|client_secret)["']\s*:\s*["']|"""
        r"""[Aa]uthorization["']?\s*[:=]\s*["']?(?:\w+\s+)?))(?:\{[^}]*\}|[^\s&"',;]+)"""
        r"""|(?<=://)[^/\s@]+(?=@)|[\w%-]{80,}"""
    )
)
_SURROGATE = re.compile("[\ud800-\udfff]")  # a byte of a file's name that is not UTF-8, or half a character in JSON
_JOINERS = "\u200c\u200d"  # invisible but harmless: Persian words and many emoji contain them
_ENDLESS = 1e12  # in any unit: nobody lives to see its end
_UNITS = ((5400, 3600, "h"), (90, 60, "min"), (0, 1, "s"))  # least seconds for the unit, seconds in it, its name


def plural(count: int, noun: str) -> str:
    """Return the count with its noun, whose plural ends in s: "1 frame", "2 frames", "1,234 frames"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def time_left(done: float, total: float, elapsed_s: float) -> str:
    """Return how long the rest will take at the speed so far, such as "about 3 min left"; "" while that is unknown.

    done, total: in any unit. elapsed_s: seconds that `done` took.
    """
    if done <= 0 or elapsed_s <= 0 or not done < total < _ENDLESS:
        return ""
    seconds = (total - done) * elapsed_s / done
    unit_s, unit = next((unit_s, unit) for least, unit_s, unit in _UNITS if seconds >= least)
    return f"about {math.ceil(seconds / unit_s):,} {unit} left"


def printable_line(text: str) -> str:
    """Return `text` as one line: each unprintable character becomes a space, runs of spaces become one.

    Names come from the network: a tab would break games.tsv, a NUL PostgreSQL, an escape sequence the terminal.
    """
    if text.isprintable() and "  " not in text:  # the usual case: the only white space is single spaces
        return text.strip()
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


def redacted(text: str) -> str:
    """Return `text` with … for tokens, signatures and credentials in URLs, headers and JSON: text for logs."""
    return _SECRET.sub(lambda match: f"{match[1] or ''}…", text)
