"""What the command is asked to look at: sources from its arguments, a file and stdin."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from data.entities import is_login
from data.errors import SettingsError

STDIN = "-"

_CHANNEL = re.compile(r"(?:https?://)?(?:www\.|m\.)?twitch\.tv/([A-Za-z0-9_]+)/?")


def sources(words: Sequence[str], file: str = "", stdin: TextIO | None = None) -> tuple[str, ...]:
    """The sources that `words` and the lines of `file` name, each once, in this order; the word `-` stands for stdin's.

    Raises SettingsError: the file cannot be read, or there is no source at all.
    """
    named = [name for word in words for name in (_read(word, stdin) if word == STDIN else [word])]
    if file:
        named += _read(file, stdin)
    found = tuple(dict.fromkeys(map(source, named)))
    if not found:
        raise SettingsError("sources: none is named")
    return found


def source(text: str) -> str:
    """A source as the toolkit writes it: a login in small letters, whatever people write; the rest as it is."""
    login = text.strip().lower()
    return login if is_login(login) else text


def login_of(source: str) -> str:
    """The login of a source that is a channel on Twitch, by itself or in its address; "" for any other."""
    match = _CHANNEL.fullmatch(source)
    login = (match[1] if match else source).lower()
    return login if is_login(login) else ""


def _read(file: str, stdin: TextIO | None) -> list[str]:
    """The sources in the file, or in stdin where it is `-`."""
    try:
        if file == STDIN:
            return list(_lines(stdin or sys.stdin))
        return list(_lines(Path(file).read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--from: {file} cannot be read: {error}") from error


def _lines(lines: Iterable[str]) -> Iterator[str]:
    """Sources, one a line; what follows a # at a line's beginning, or after a space, is a comment."""
    for line in lines:
        text = ("\n" + line).replace("\t#", " #").partition(" #")[0].strip()
        if text and not text.startswith("#"):
            yield text
