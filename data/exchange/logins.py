"""Logins of imported pictures: text of any kind becomes a valid login, and different texts different logins."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Literal

from data.entities import is_login

Streamer = Literal["folder", "prefix", "file"]  # what of a picture's path stands for its streamer
SPLITS = frozenset({"train", "val", "valid", "validation", "test"})  # folders that a set is divided into
_NO_STREAMER = SPLITS | {"images", "imgs", "img", "pictures", "frames", "data"}  # folders that group all pictures
_SLUG_CHARACTERS = 16  # with "_" and 8 hex digits these are the 25 of a login
_PREFIX = re.compile(r"(.*?)[-_. ]*[0-9]+")  # ann-12, ann_0012, ann 3, ann12


def safe_login(name: str, scope: str = "") -> str:
    """Return the login that `name` stands for: the name in lower case if that is a login, otherwise a derived one.

    A derived login is what of the name fits, and a hash of the whole name, so that names which look alike stay apart.
    scope: makes the login a derived one in any case; the same name in another scope has another login.
    """
    text = name.casefold()
    if not scope and is_login(text):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    slug = re.sub("[^a-z0-9]+", "_", plain)[:_SLUG_CHARACTERS].strip("_") or "x"
    digest = hashlib.sha256(f"{scope}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{slug}_{digest[:8]}"


def picture_login(folders: tuple[str, ...], stem: str, streamer: Streamer, root: str) -> str:
    """Return the login of a picture.

    folders: of its path below the set's folder, the class among them. stem: of its file. root: name of the set.
    """
    if streamer == "prefix" and (match := _PREFIX.fullmatch(stem)) and match[1]:
        return safe_login(match[1])
    scope = "/".join((root, *folders))
    return safe_login(stem, scope) if streamer == "file" else safe_login(folders[-1] if folders else root, scope)


def named_logins(folders: tuple[str, ...], stem: str) -> frozenset[str]:
    """Return the logins that the folders and the file of a picture name: of ann/bob_-12.jpg these are ann and bob_."""
    match = _PREFIX.fullmatch(stem)
    names = (*folders, stem, stem.rpartition("-")[0], match[1] if match else "")
    return frozenset(filter(is_login, (name.casefold() for name in names)))


def folder_login(subfolders: tuple[str, ...]) -> str:
    """Return the login that the folders below a class stand for; "" if they stand for nobody."""
    names = [name for name in subfolders if name.casefold() not in _NO_STREAMER]
    return safe_login("/".join(names)) if names else ""
