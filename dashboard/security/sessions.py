"""Sessions: signed values of a cookie that say who signed in and until when, and those that a sign-out revoked."""

from __future__ import annotations

import copy
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.errors import FolderError

LIFETIME_S = 7 * 24 * 3600
_VALUE = re.compile(r"([\w-]{22})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)
_REVOKED_FILE = "revoked"


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor who signed in. `expires`: seconds since 1970."""

    id: str
    expires: int


class Sessions:
    """Issues, verifies and revokes sessions. Thread-safe: it only adds to a dict and to a file.

    key: another key makes all sessions invalid.
    folder: where the ids of revoked sessions are stored, so that a restart revives none.
    """

    def __init__(self, key: bytes, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._key, self._file, self._clock = key, folder / _REVOKED_FILE, clock
        self._revoked = self._read_revoked()

    def with_key(self, key: bytes) -> Sessions:
        """Return the same with another key, which makes all sessions invalid."""
        made = copy.copy(self)
        made._key = key
        return made

    def issue(self) -> tuple[Session, str]:
        """Return a new session, and the value of its cookie."""
        session = Session(secrets.token_urlsafe(16), int(self._clock()) + LIFETIME_S)
        return session, f"{session.id}.{session.expires}.{self._sign('session', session)}"

    def verify(self, value: str) -> Session | None:
        """Return the session of a cookie's value; None if it is not ours, has expired or is revoked."""
        if not (match := _VALUE.fullmatch(value)):
            return None
        session = Session(match[1], int(match[2]))
        if not hmac.compare_digest(self._sign("session", session), match[3]):
            return None
        return session if session.expires > self._clock() and session.id not in self._revoked else None

    def revoke(self, session: Session) -> None:
        """Make a session invalid for good. Raises FolderError: it is invalid until the next restart only."""
        self._revoked[session.id] = session.expires
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._file.open("a") as file:
                file.write(f"{session.id} {session.expires}\n")
        except OSError as error:
            raise FolderError(f"{self._file} cannot be written: {error.strerror}; change its permissions") from error

    def csrf_token(self, session: Session | None) -> str:
        """Return the token that a page of this session must send with what changes something. None: not signed in."""
        return self._sign("csrf", session or Session("", 0))

    def _sign(self, purpose: str, session: Session) -> str:
        text = f"{purpose}.{session.id}.{session.expires}".encode()
        return hmac.digest(self._key, text, "sha256").hex()

    def _read_revoked(self) -> dict[str, int]:
        """Return the revoked sessions that have not expired, by id, and forget the others. Raises FolderError."""
        try:
            lines = self._file.read_text("ascii", "replace").splitlines()
        except FileNotFoundError:
            return {}
        except OSError as error:  # to ignore the file would revive all sessions
            raise FolderError(f"{self._file} cannot be read: {error.strerror}; change its permissions") from error
        parts = (line.partition(" ") for line in lines)
        revoked = {
            identity: int(expires) for identity, _, expires in parts if expires.isdecimal() and len(expires) < 13
        }
        return {name: expires for name, expires in revoked.items() if expires > self._clock()}
