"""Variables: the values of settings in the environment and in the file `.env`, and a warning for misspelt names."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import SecretStr

from data.errors import SettingsError
from data.readers import read_regular_file

log = logging.getLogger(__name__)

_MAX_BYTES = 100_000  # of a .env; a file that long is another one
_MAX_WARNINGS = 10  # of lines in it
# The environment holds the variables of all programs, so only one slip from a longer name counts there.
_MIN_LENGTH = 5
_OTHERS_VARIABLES = {"language", "client_ip"}  # of gettext and of CGI


def written_values(names: Collection[str], former_names: Mapping[str, str], dotenv: Path | None) -> dict[str, str]:
    """Return the values of the settings `names`, all lower case; the environment takes precedence over `dotenv`.

    `former_names`: by setting, the name that it had before. Empty values count as missing. Raises SettingsError.
    """
    values: dict[str, str] = {}
    for is_file, variables in ((True, _read_dotenv(dotenv) if dotenv else {}), (False, os.environ)):
        written = {name.lower(): value for name, value in variables.items() if value}
        for name in written.keys() - names - set(former_names.values()):
            if nearest := _nearest_name(name, tuple(names), is_file):
                warn_once(f"{name.upper()} is not a setting. Did you mean {nearest.upper()}?")
        for name in names:
            former = former_names.get(name, name)
            if former != name and former in written:
                warn_renamed(former.upper(), name.upper())
            if value := written.get(name) or written.get(former):
                values[name] = _checked(name, value)
    return values


def warn_renamed(former: str, name: str) -> None:
    """Log that a setting has a new name, once."""
    warn_once(f"The setting {former} is now called {name}. Rename it in the environment or in .env.")


@cache  # once a process
def warn_once(message: str) -> None:
    """Log a warning unless the same one was logged before."""
    log.warning("%s", message)


def _read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a .env file by name; a missing one has none. Raises SettingsError: it is unreadable."""
    try:
        if path.is_dir():  # as a virtual environment of that name, or a container's mount of a missing file
            warn_once(f"{path} is a folder, so no settings are read from it.")
            return {}
        text = read_regular_file(path, _MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: it is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise SettingsError(f"{path}: it cannot be read: {error.strerror}") from error
    if "\0" in text:  # as in UTF-16 without a byte order mark
        raise SettingsError(f"{path}: it holds a NUL character; save it as UTF-8")
    lines = list(parse_stream(io.StringIO(text)))
    ignored = [line.original.line for line in lines if line.error or (line.key and line.value is None)]
    for number in ignored[:_MAX_WARNINGS]:
        warn_once(f"{path}, line {number}: it is not NAME=value and is ignored.")
    # Only lines without an error: python-dotenv would log its own message for the others.
    valid = "".join(line.original.string for line in lines if not line.error)
    return {name: value for name, value in dotenv_values(stream=io.StringIO(valid)).items() if value}


def _checked(name: str, value: str) -> str:
    """Return `value`. Raises SettingsError for bytes that are not UTF-8, which Python keeps as lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise SettingsError(f"{name.upper()}: invalid value: it is not UTF-8 text") from error
    return value


@cache
def _nearest_name(name: str, names: tuple[str, ...], is_file: bool) -> str:
    """Return the setting that `name` is probably meant for; "" if there is none. All names are lower case."""
    slips = [other for other in names if abs(len(other) - len(name)) < 2 and _is_one_slip(name, other)]
    if is_file:
        return next(iter(slips or get_close_matches(name, names, n=1, cutoff=0.85)), "")
    if name in _OTHERS_VARIABLES:
        return ""
    return next((other for other in slips if len(other) >= _MIN_LENGTH), "")


def _is_one_slip(name: str, other: str) -> bool:
    """Return whether one letter is missing, added or another one, or two neighbours are transposed."""
    start = len(os.path.commonprefix([name, other]))  # noqa: RUF071 - of characters, not of folders
    name, other = name[start:], other[start:]
    return (
        name[1:] == other  # added
        or name == other[1:]  # missing
        or name[1:] == other[1:]  # another one
        or (name[:2] == other[1::-1] and name[2:] == other[2:])  # transposed
    )


def as_text(value: Any) -> str:
    """Return a setting's value as a variable has it."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple | frozenset):
        return json.dumps(sorted(value))
    return str(value)
