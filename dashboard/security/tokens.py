"""Tokens: the secret that a visitor must know, of which only a hash is stored, and the key that signs sessions."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from pathlib import Path

from data.atomic import atomic_file
from data.errors import FolderError, SettingsError, ToolkitError

log = logging.getLogger(__name__)
MIN_CHARACTERS = 16
_TOKEN_FILE, _KEY_FILE = "token", "key"
_HASH = re.compile(rb"[0-9a-f]{64}\n")
_KEY_BYTES = 32
LOOK_S = 1.0  # between two looks at the file


def digest(token: str) -> bytes:
    """Return the hash of a token. A fast hash is enough: a token is random, or has MIN_CHARACTERS at least."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest().encode()


def is_same(token: str, expected: bytes) -> bool:
    """Return whether a token has this hash, in a time that does not depend on either."""
    return hmac.compare_digest(digest(token), expected)


def new_token(folder: Path) -> str:
    """Return a new token of 256 bits; store its hash in `folder` in place of the former one. Raises FolderError."""
    token = secrets.token_urlsafe(32)
    _write_private(folder / _TOKEN_FILE, digest(token) + b"\n")
    return token


def stored_digest(folder: Path) -> bytes | None:
    """Return the hash of the token of `new_token`; None without one. Raises FolderError, SettingsError: no hash."""
    content = _read(folder / _TOKEN_FILE)
    if content is not None and not _HASH.fullmatch(content):
        # To ignore the file would let everybody in.
        raise SettingsError(f"DASHBOARD_TOKEN: {folder / _TOKEN_FILE} is damaged; make a new token with --new-token")
    return content and content[:-1]


class StoredToken:
    """The hash of the token of `new_token`, which follows its file. `digest`: None without a token."""

    def __init__(self, folder: Path) -> None:
        """Raises FolderError, SettingsError, as stored_digest."""
        self._folder, self._next_look = folder, time.monotonic() + LOOK_S
        self._identity = _identity(folder / _TOKEN_FILE)  # before the file is read: a later one has another
        self.digest = stored_digest(folder)

    def changed(self) -> bool:
        """Return whether there is another token since the last call; look at the file at most once in LOOK_S.

        A file that is gone, damaged or unreadable keeps the last token: it must let nobody in.
        """
        if (now := time.monotonic()) < self._next_look:
            return False
        self._next_look = now + LOOK_S
        former, self._identity = self._identity, _identity(self._folder / _TOKEN_FILE)
        return self._identity != former and self._read()

    def _read(self) -> bool:
        try:
            found = stored_digest(self._folder)
        except ToolkitError as error:
            log.warning("%s; until then the last token holds", error)
            return False
        if found is None:
            log.warning("%s is gone; the last token holds until the next start", self._folder / _TOKEN_FILE)
            return False
        former, self.digest = self.digest, found
        return found != former


def signing_key(folder: Path) -> bytes:
    """Return the key that signs sessions, which outlives restarts; make one if there is none. Raises FolderError."""
    key = _read(folder / _KEY_FILE)
    if key is None or len(key) != _KEY_BYTES:
        key = secrets.token_bytes(_KEY_BYTES)
        _write_private(folder / _KEY_FILE, key)
    return key


def _identity(path: Path) -> tuple[int, ...] | None:
    """Return what differs for another content of a file; None: there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            # A user who may write into DOWNLOAD_PATH could put a known key there.
            if os.fstat(file.fileno()).st_uid not in (0, os.geteuid(), path.parent.parent.stat().st_uid):
                raise FolderError(f"{path} belongs to another user; remove it")
            return file.read(1000)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FolderError(f"{path} cannot be read: {error.strerror}; change its permissions") from error


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, in a folder that only its owner may enter."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.parent.stat().st_mode & 0o077:
            path.parent.chmod(0o700)
        with atomic_file(path) as temporary:
            temporary.chmod(0o600)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_NOFOLLOW)
            with open(descriptor, "wb") as file:  # noqa: PTH123 - the file that was just made private
                file.write(content)
    except OSError as error:
        raise FolderError(f"{path} cannot be written: {error.strerror}; change its permissions") from error
