"""Pseudonymisation: keyed hashes (HMAC-SHA256) that stand for logins, and the logins that must not be collected again.

    <root>/.key            32 random bytes, made by the first use, readable by its owner only
    <root>/forgotten.txt   one line for each forgotten login, the 64 hex digits of its hash; empty lines and # comments

Whoever has the key can test a guessed login; nobody can compute a login from its hash. So the key never leaves the
folder, and without it forgotten.txt would say nothing: such a folder is refused.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from data.atomic import atomic_file, flush_to_disk, folder_lock, publish, temporary_files
from data.errors import FolderError
from data.readers import read_regular_file
from data.storage.folder_errors import folder_errors
from data.storage.folder_scan import FORGOTTEN_FILE, KEY_FILE
from data.text import printable

_KEY_BYTES = 32
_MAX_BYTES = 64 << 20  # of forgotten.txt: a million logins
_PSEUDONYM = re.compile("s[0-9a-f]{16}")
_HASH = re.compile("[0-9a-f]{64}")


class Pseudonyms:
    """The pseudonyms of the dataset in the folder `root`. The first one makes the key."""

    def __init__(self, root: Path) -> None:
        self._root = root
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
        path = self._root / KEY_FILE
        with folder_errors(path):
            try:
                key = read_regular_file(path, _KEY_BYTES + 1)
            except FileNotFoundError:
                return b""
        if len(key) != _KEY_BYTES:
            raise FolderError(f"{printable(str(path))} is damaged: {_CURE}.")
        return key

    def _make_key(self) -> bytes:
        """Write a new key, unless another process does; return the one that counts. Raises FolderError."""
        path = self._root / KEY_FILE
        if _hashes(self._root, _read_lines(self._root)):
            raise FolderError(f"{printable(str(path))} is missing, which {FORGOTTEN_FILE} needs: {_CURE}.")
        with folder_errors(path):
            self._root.mkdir(parents=True, exist_ok=True)
            with folder_lock(self._root), temporary_files(self._root, [b""]) as (temporary,):
                temporary.unlink()
                temporary.touch(0o600, exist_ok=False)  # nobody else has it open
                temporary.write_bytes(secrets.token_bytes(_KEY_BYTES))
                flush_to_disk(temporary)  # after a power cut the key would be zeros
                with contextlib.suppress(FileExistsError):
                    publish(temporary, path)
                _flush_folder(self._root)
        if not (key := self._read_key()):
            raise FolderError(f"{printable(str(path))} leads nowhere: {_CURE}.")
        return key


class Forgotten:
    """The logins that must not be collected or imported again, of the dataset in the folder `root`.

    Another process may add logins at any time: each call sees the file as it is then.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pseudonyms = Pseudonyms(root)
        self._state: tuple[int, ...] = ()
        self._hashes: frozenset[str] = frozenset()

    def holds(self, login: str) -> bool:
        """Return whether this is a forgotten login or the pseudonym of one. Raises FolderError."""
        hashes = self._read()
        if not hashes:
            return False  # without a key, which a folder that is only read may lack
        # An export of this dataset that is imported again has pseudonyms for logins.
        is_pseudonym = _PSEUDONYM.fullmatch(login) is not None
        return self._pseudonyms.hash(login) in hashes or (is_pseudonym and login[1:] in {h[:16] for h in hashes})

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
        path = self._root / FORGOTTEN_FILE
        with folder_errors(path), folder_lock(self._root):
            lines = _read_lines(self._root)
            if (line in _hashes(self._root, lines)) == present:
                return False
            kept = [*lines, line] if present else [other for other in lines if other.strip().lower() != line]
            with atomic_file(path) as temporary:
                temporary.write_text("".join(f"{kept_line}\n" for kept_line in kept), encoding="utf-8")
            _flush_folder(self._root)
        return True

    def _read(self) -> frozenset[str]:
        """Return the hashes; the file is read again when it has changed."""
        path = self._root / FORGOTTEN_FILE
        with folder_errors(path):
            try:
                path.lstat()
            except FileNotFoundError:
                return frozenset()
            status = path.stat()  # raises for a link to an unmounted disk
        state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if state != self._state:
            self._pseudonyms = Pseudonyms(self._root)  # the key may be another one, too
            # The state is older than what is read: a change in between is seen by the next call.
            self._hashes, self._state = _hashes(self._root, _read_lines(self._root)), state
        return self._hashes


_CURE = (
    f"restore it from a backup; or delete it and {FORGOTTEN_FILE}, and forget each login again (python -m data.forget)"
)


def _hashes(root: Path, lines: Iterable[str]) -> frozenset[str]:
    """Return the hashes in these lines. Raises FolderError for an invalid line, which may stand for somebody."""
    hashes = []
    for number, line in enumerate(lines, 1):
        text = line.strip().lower()
        if text and not text.startswith("#"):
            if not _HASH.fullmatch(text):
                path = printable(str(root / FORGOTTEN_FILE))
                raise FolderError(f"{path}: line {number} is not a hash: delete it, and forget its login again.")
            hashes.append(text)
    return frozenset(hashes)


def _read_lines(root: Path) -> list[str]:
    """Return the lines of forgotten.txt, none without the file. Raises FolderError."""
    path = root / FORGOTTEN_FILE
    with folder_errors(path):
        try:
            return read_regular_file(path, _MAX_BYTES).decode("utf-8-sig", "replace").splitlines()
        except FileNotFoundError:
            return []


def _flush_folder(folder: Path) -> None:
    """Force a renaming in the folder to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
