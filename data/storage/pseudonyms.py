"""Pseudonymisation: keyed hashes (HMAC-SHA256) that stand for logins, and the logins that must not be collected again.

    <root>/.key            32 random bytes, made by the first use, readable by its owner only
    <root>/forgotten.txt   one line for each forgotten login, the 64 hex digits of its hash; empty lines and # comments

Whoever has the key can test a guessed login; nobody can compute a login from its hash. So the key never leaves the
folder, and without it forgotten.txt would say nothing: such a folder is refused.
"""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable

from data.errors import FolderError
from data.storage.layout import FORGOTTEN_FILE, KEY_FILE
from data.storage.store_files import StoreFiles, shown_path

_KEY_BYTES = 32
_MAX_BYTES = 64 << 20  # of forgotten.txt: a million logins
_PSEUDONYM = re.compile("s[0-9a-f]{16}")
_HASH = re.compile("[0-9a-f]{64}")


class Pseudonyms:
    """The pseudonyms of the dataset with these files. The first one makes the key."""

    def __init__(self, files: StoreFiles) -> None:
        self._files = files
        self._key = b""

    def of(self, login: str) -> str:
        """Return the login's pseudonym: s and 16 hex digits, itself a valid login. Raises FolderError."""
        return f"s{self.hash(login)[:16]}"

    def hash(self, login: str) -> str:
        """Return the login's keyed hash, 64 hex digits. Raises FolderError."""
        self._key = self._key or self._read_key() or self._make_key()
        return hmac.digest(self._key, login.encode(), "sha256").hex()

    def _read_key(self) -> bytes:
        """Return the key; b"" if there is none. Raises FolderError."""
        try:
            key = self._files.read(KEY_FILE, _KEY_BYTES + 1)
        except FileNotFoundError:
            return b""
        if len(key) != _KEY_BYTES:
            raise FolderError(f"{shown_path(self._files, KEY_FILE)} is damaged: {_CURE}.")
        return key

    def _make_key(self) -> bytes:
        """Write a new key, unless another process does; return the one that counts. Raises FolderError."""
        path = shown_path(self._files, KEY_FILE)
        if _hashes(self._files, _read_lines(self._files)):
            raise FolderError(f"{path} is missing, which {FORGOTTEN_FILE} needs: {_CURE}.")
        with contextlib.suppress(FileExistsError):
            self._files.create(KEY_FILE, secrets.token_bytes(_KEY_BYTES), private=True)
        if not (key := self._read_key()):
            raise FolderError(f"{path} leads nowhere: {_CURE}.")
        return key


class Forgotten:
    """The logins that must not be collected or imported again, of the dataset with these files.

    Another process may add logins at any time: each call sees the file as it is then.
    """

    def __init__(self, files: StoreFiles) -> None:
        self._files = files
        self._pseudonyms = Pseudonyms(files)
        self._version: object = None
        self._hashes: frozenset[str] = frozenset()
        self._starts: frozenset[str] = frozenset()  # of the hashes, as pseudonyms have them

    def holds(self, login: str) -> bool:
        """Return whether this is a forgotten login or the pseudonym of one. Raises FolderError."""
        return self.current()(login)

    def current(self) -> Callable[[str], bool]:
        """Return what does the same as `holds` by the file as it is now, for many logins. Raises FolderError."""
        hashes, starts, pseudonyms = self._read(), self._starts, self._pseudonyms

        def holds(login: str) -> bool:
            if not hashes:
                return False  # without a key, which a folder that is only read may lack
            # An export of this dataset that is imported again has pseudonyms for logins.
            is_pseudonym = _PSEUDONYM.fullmatch(login) is not None
            return pseudonyms.hash(login) in hashes or (is_pseudonym and login[1:] in starts)

        return holds

    def count(self) -> int:
        """Return the number of forgotten logins. Raises FolderError."""
        return len(self._read())

    def add(self, login: str) -> bool:
        """Add the login; return whether it was not there. It is on the disk when this returns. Raises FolderError."""
        return self._change(self._pseudonyms.hash(login), present=True)

    def remove(self, login: str) -> bool:
        """Remove the login; return whether it was there. Raises FolderError."""
        return bool(self._read()) and self._change(self._pseudonyms.hash(login), present=False)

    def _change(self, line: str, *, present: bool) -> bool:
        changed = False

        def change(content: bytes) -> bytes:
            nonlocal changed
            lines = _lines(content)
            changed = (line in _hashes(self._files, lines)) != present
            if not changed:
                return content
            kept = [*lines, line] if present else [other for other in lines if other.strip().lower() != line]
            return "".join(f"{kept_line}\n" for kept_line in kept).encode()

        self._files.update(FORGOTTEN_FILE, change)
        return changed

    def _read(self) -> frozenset[str]:
        """Return the hashes; the file is read again when it has changed."""
        version = self._files.version(FORGOTTEN_FILE)
        if version is None:
            return frozenset()
        if version != self._version:
            self._pseudonyms = Pseudonyms(self._files)  # the key may be another one, too
            # The version is older than what is read: a change in between is seen by the next call.
            self._hashes, self._version = _hashes(self._files, _read_lines(self._files)), version
            self._starts = frozenset(each[:16] for each in self._hashes)
        return self._hashes


_CURE = (
    f"restore it from a backup; or delete it and {FORGOTTEN_FILE}, and forget each login again (python -m data.forget)"
)


def _hashes(files: StoreFiles, lines: Iterable[str]) -> frozenset[str]:
    """Return the hashes in these lines. Raises FolderError for an invalid line, which may stand for somebody."""
    hashes = []
    for number, line in enumerate(lines, 1):
        text = line.strip().lower()
        if text and not text.startswith("#"):
            if not _HASH.fullmatch(text):
                path = shown_path(files, FORGOTTEN_FILE)
                raise FolderError(f"{path}: line {number} is not a hash: delete it, and forget its login again.")
            hashes.append(text)
    return frozenset(hashes)


def _read_lines(files: StoreFiles) -> list[str]:
    """Return the lines of forgotten.txt, none without the file. Raises FolderError."""
    with contextlib.suppress(FileNotFoundError):
        return _lines(files.read(FORGOTTEN_FILE, _MAX_BYTES))
    return []


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8-sig", "replace").splitlines()
