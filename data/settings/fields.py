"""Field types: how the text of a setting becomes its value. A ValueError is reported as `Form` says.

A `Form` in the metadata of a field says in words what a value must be; data.settings.messages says it for the rest.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

_MAX_PATH_BYTES, _MAX_NAME_BYTES = 4000, 255  # Linux allows 4095; files in a folder need some of them
# What a user may copy with a token: Twitch's own "oauth:", or the header that it stands in.
_TOKEN_PREFIX = re.compile(r"(?:(?:authorization|bearer|oauth)(?:\s*[:\s]\s*|$))*", re.IGNORECASE)
_HEADER_VALUE = re.compile(r"[!-~]{0,1000}")  # visible ASCII
_STORE_URL = re.compile(r"(?:(?:file|local):///|(?!file:|local:)[a-z][a-z0-9+.-]*://)[^\s\x00-\x1f]+")
_RAY_ADDRESS = re.compile(r"local|auto|(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")


class Form(str):
    """What a value must be, in words: metadata of a field whose type does not say it."""

    __slots__ = ()


def _split_list(value: Any) -> Any:
    """Return the items of comma-separated text or a JSON list. A comma after the last item changes nothing."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        try:
            return json.loads(value)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
    items = [item.strip() for item in value.split(",")]
    return items if items[-1] else items[:-1]


def _split_without_empty(value: Any) -> Any:
    items = _split_list(value)
    return [item for item in items if item != ""] if isinstance(items, list) else items


def _split_entries(value: Any) -> Any:
    items = _split_without_empty(value)
    # [509658, "Chess"] in JSON: ids may be numbers.
    return [str(item) if type(item) is int else item for item in items] if isinstance(items, list) else items


def _lower_case(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(item.strip().lower() for item in items)


def _check_languages(codes: tuple[str, ...]) -> tuple[str, ...]:
    # Helix would answer every request of the run with an error; it takes 100.
    if len(codes) > 100 or not all(re.fullmatch("[a-z]{2}|other", code) for code in codes):
        raise ValueError("invalid languages")
    return tuple(dict.fromkeys(codes))


def _clean_credential(value: Any) -> Any:
    """Return a token or id without what was copied with it: white space, quotes, `oauth:` or `Bearer `."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str):
        return value
    text = _TOKEN_PREFIX.sub("", text.strip("\"' \t\r\n\ufeff\u200b\u00a0").strip(), count=1).strip("\"' ")
    if not _HEADER_VALUE.fullmatch(text):
        raise ValueError("it cannot stand in a header")
    return text


def _expand_path(path: Path) -> Path:
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(path)):
        raise ValueError("an address")
    whole, *names = (len(text.encode()) for text in (str(path), *path.parts))  # UnicodeEncodeError is a ValueError
    if "\0" in str(path) or whole > _MAX_PATH_BYTES or max(names, default=0) > _MAX_NAME_BYTES:
        raise ValueError("invalid path")
    try:
        return path.expanduser()
    except RuntimeError as error:  # ~name of an unknown user
        raise ValueError("no such user") from error


def _check_host(text: str) -> str:
    host = text.strip()
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host  # [::1] as in a URL
    if re.search(r"[\s/\x00-\x1f\x7f]", host):
        raise ValueError("invalid host")
    host.encode("idna")  # raises UnicodeError, a ValueError
    return host


def _check_server(text: str) -> str:
    """Return hosts as libpq reads them: names and addresses, separated by commas, or the folder of a socket."""
    if re.match(r"\s*[/@]", text):
        if not text.isprintable():
            raise ValueError("invalid folder")
        return text.strip()
    return ",".join(map(_check_host, text.split(",")))


def _check_store_url(text: str) -> str:
    text = text.strip().rstrip("/")
    if text and not _STORE_URL.fullmatch(text):
        raise ValueError("invalid address")
    return text


def check_ray_address(text: str) -> str:
    """Return the address of a cluster. Raises ValueError for an invalid one."""
    text = text.strip()
    if text and not _RAY_ADDRESS.fullmatch(text):
        raise ValueError("invalid address")
    return text


def _check_interval(seconds: float) -> float:
    # A list of the times of a recording would use up the memory.
    if seconds != 0 and not seconds >= 0.01:
        raise ValueError("too short an interval")
    return seconds


_LIST = "separated by commas or as a JSON list"
_LowerCase = Annotated[tuple[str, ...], AfterValidator(_lower_case)]
NameList = Annotated[_LowerCase, BeforeValidator(_split_without_empty), Form(f"names, {_LIST}")]
EntryList = Annotated[
    tuple[str, ...],
    BeforeValidator(_split_entries),
    Form(f"names or ids, {_LIST}; @path stands for a file with one a line"),
]
IdSet = Annotated[frozenset[int], BeforeValidator(_split_without_empty), Form(f"whole numbers, {_LIST}")]
# An empty item is refused here: without it the list may be empty, which stands for all languages.
Languages = Annotated[
    _LowerCase,
    BeforeValidator(_split_list),
    AfterValidator(_check_languages),
    Form(f"at most 100 ISO 639-1 codes such as en, or other, {_LIST}"),
]
_CREDENTIAL = Form("at most 1000 visible ASCII characters without spaces")
Identifier = Annotated[str, BeforeValidator(_clean_credential), _CREDENTIAL]
Token = Annotated[SecretStr, BeforeValidator(_clean_credential), _CREDENTIAL]
_PATH = Form(
    f"a path of at most {_MAX_PATH_BYTES} bytes, {_MAX_NAME_BYTES} in each name, without NUL; "
    "~ stands for a home folder that exists. The address of an object store belongs into STORE_URL"
)
FilePath = Annotated[Path, AfterValidator(_expand_path), _PATH]
OptionalPath = Annotated[str, AfterValidator(lambda text: text and str(_expand_path(Path(text)))), _PATH]
StoreUrl = Annotated[str, AfterValidator(_check_store_url), Form("an address such as s3://bucket/folder, or empty")]
RayAddress = Annotated[str, AfterValidator(check_ray_address), Form("host:port, auto, local, or empty")]
Host = Annotated[str, AfterValidator(_check_host), Form("a host name or an IP address")]
Server = Annotated[str, AfterValidator(_check_server), Form("a host name, an IP address or the folder of a socket")]
Name = Annotated[str, AfterValidator(str.strip)]
# Limits far above any use, below which no number overflows a timeout, a counter or a column of the database.
Count = Annotated[int, Field(le=1_000_000_000)]
Seconds = Annotated[float, Field(le=1_000_000)]
Interval = Annotated[Seconds, AfterValidator(_check_interval), Form("0, or a number of seconds from 0.01 to 1000000")]
