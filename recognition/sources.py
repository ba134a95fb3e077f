"""Source list: reads the names of sources from arguments, a file or stdin, and normalises them."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from data.entities import is_login
from data.errors import SettingsError
from data.twitch.addresses import canonical, is_url, twitch_url

log = logging.getLogger(__name__)

STDIN = "-"
_MAX_CHARACTERS = 10_000_000  # of a list: 400,000 of the longest logins; an endless file ends here
_COMMENT = re.compile(r"(^|\s)#.*")  # a # inside a word belongs to an address (its fragment)


def read_sources(arguments: Sequence[str], file: str | None = None, stdin: TextIO | None = None) -> tuple[str, ...]:
    """Return the sources of `arguments`, then those of `file`, as `unique` does; `-` stands for stdin.

    Raises SettingsError if the file cannot be read or there is no source.
    """
    names = [name for argument in arguments for name in (_read(STDIN, stdin) if argument == STDIN else [argument])]
    names += _read(file, stdin) if file else []
    if not (sources := unique(names)):
        raise SettingsError("sources: the list is empty; name at least one source")
    for name in sources:
        if is_login(name) and Path(name).exists():
            log.warning("%s is taken for a Twitch login. Write ./%s for the file or folder of that name.", name, name)
    return sources


def unique(sources: Iterable[str]) -> tuple[str, ...]:
    """Return the normalised sources in order; of several that mean the same, such as a login and its address, one."""
    found: dict[str, str] = {}
    for source in sources:
        found.setdefault(canonical(source), normalise(source))
    return tuple(found.values())


def normalise(source: str) -> str:
    """Return a login in lower case, without surrounding spaces and @; return any other source unchanged."""
    login = source.strip().removeprefix("@").lower()
    return login if is_login(login) else source


def twitch_login(source: str) -> str:
    """Return the login of a source that is a login or the address of a Twitch channel; "" for any other source."""
    login = canonical(source)
    return login if is_login(login) else ""


def refuse_files(sources: Iterable[str], work: str) -> None:
    """Raise SettingsError for a file or folder of this machine, which a cluster cannot `work` on: survey or watch."""
    for source in sources:
        name = canonical(source)
        if not (twitch_url(name) or is_url(name)) and os.path.exists(name):  # noqa: PTH110 - a name may be too long
            raise SettingsError(
                f"sources: {source!r} is a file of this machine, which nodes of a cluster cannot read; "
                f"{work} files without --ray and RAY_ADDRESS"
            )


def _read(file: str, stdin: TextIO | None) -> Iterator[str]:
    """Yield the sources in the file, or in stdin if `file` is "-": one per line, with comments that begin with #."""
    try:
        if file == STDIN:
            text = (stdin or sys.stdin).read(_MAX_CHARACTERS + 1)
        else:
            with Path(file).open(encoding="utf-8") as opened:  # not a regular file only: <(…) of a shell is a pipe
                text = opened.read(_MAX_CHARACTERS + 1)
    except UnicodeDecodeError as error:  # as of UTF-16, which PowerShell writes
        raise SettingsError(f"--from: cannot read {file}: it is not UTF-8 text; save it as UTF-8") from error
    except (OSError, ValueError) as error:  # ValueError: stdin is closed
        raise SettingsError(f"--from: cannot read {file}: {error}") from error
    if len(text) > _MAX_CHARACTERS:
        raise SettingsError(f"--from: {file} has more than {_MAX_CHARACTERS} characters")
    for line in text.split("\n"):
        # An editor or a joined file may have put a byte order mark in front of a line.
        if name := _COMMENT.sub("", line.strip().lstrip("\ufeff")).strip():
            yield name
