"""Lists that a user writes: entries, and files of entries, which `@path` stands for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from data.errors import SettingsError
from data.readers import read_regular_file
from data.text import printable

_MAX_BYTES = 10 << 20  # of a file: a million logins


def read_entries(entries: Iterable[str], what: str) -> list[str]:
    """Return the entries, each once; `@path` stands for the lines of a UTF-8 file, without lines that begin with #.

    what: name of the setting or option, for errors. Raises SettingsError: a file cannot be read.
    """
    texts = (line for entry in entries for line in (_lines(entry[1:], what) if entry.startswith("@") else [entry]))
    return list(dict.fromkeys(text.strip() for text in texts if text.strip()))


def _lines(path: str, what: str) -> Iterator[str]:
    """Yield the lines of the file. Only a whole line is a comment: names of games have a # in them."""
    try:
        text = read_regular_file(Path(path).expanduser(), _MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{what}: {printable(path)} is not UTF-8 text; save it as UTF-8") from error
    except (OSError, RuntimeError, ValueError) as error:  # a home folder of nobody; a NUL
        cause = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{what}: {printable(path)} cannot be read ({cause}); check the path") from error
    yield from (line for line in text.splitlines() if not line.lstrip().startswith("#"))
