"""Source list: reads the names of sources from arguments, a file or stdin, and normalises them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from data.entities import is_login
from data.errors import SettingsError

STDIN = "-"
_CHANNEL = re.compile(r"(?:https?://)?(?:www\.|m\.)?twitch\.tv/([A-Za-z0-9_]+)/?")
_COMMENT = re.compile(r"(^|\s)#.*")  # a # inside a word belongs to an address (its fragment)


def read_sources(arguments: Sequence[str], file: str = "", stdin: TextIO | None = None) -> tuple[str, ...]:
    """Return the normalised sources of `arguments`, then those of `file`, without duplicates; `-` stands for stdin.

    Raises SettingsError if the file cannot be read or there is no source.
    """
    names = [name for argument in arguments for name in (_read(STDIN, stdin) if argument == STDIN else [argument])]
    names += _read(file, stdin) if file else []
    sources = tuple(dict.fromkeys(map(normalise, names)))  # a dict keeps the order
    if not sources:
        raise SettingsError("sources: the list is empty; name at least one source")
    return sources


def normalise(source: str) -> str:
    """Return a login in lower case and without surrounding spaces; return any other source unchanged."""
    login = source.strip().lower()
    return login if is_login(login) else source


def twitch_login(source: str) -> str:
    """Return the login of a source that is a login or the address of a Twitch channel; "" for any other source."""
    match = _CHANNEL.fullmatch(source)
    login = (match[1] if match else source).lower()
    return login if is_login(login) else ""


def _read(file: str, stdin: TextIO | None) -> Iterator[str]:
    """Yield the sources in the file, or in stdin if `file` is "-": one per line, with comments that begin with #."""
    try:
        lines = (stdin or sys.stdin) if file == STDIN else Path(file).read_text(encoding="utf-8").splitlines()
        for line in lines:
            if text := _COMMENT.sub("", line).strip():
                yield text
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--from: cannot read {file}: {error}") from error
