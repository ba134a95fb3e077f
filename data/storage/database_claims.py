"""Claims of streams in PostgreSQL, for downloads on several machines into one object store: see data.storage.claims.

A claim is an advisory lock of a connection that does nothing else. The server frees it when the process or its machine
dies. A restart of the server frees all; the connection is made again with the next claim. Without the server every
claim succeeds: claims save work, and the store and the catalog keep frames apart without them.
"""

from __future__ import annotations

import contextlib
import hashlib
import time

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from data.storage.claims import StreamClaims

_RETRY_AFTER_S = 10.0  # without the server


class DatabaseClaims(StreamClaims):
    """The claims of one process, for one thread; a context manager.

    Args:
        engine: an engine of `data.storage.database.connect`.
        location: address of the store, which other downloads into it name, too.
    """

    def __init__(self, engine: sa.Engine, location: str) -> None:
        self._engine = engine
        self._location = location
        self._connection: sa.Connection | None = None
        self._retry_at = 0.0

    def __enter__(self) -> DatabaseClaims:
        self._take_number()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _lock(self, name: str) -> bool:
        return self._ask(f"SELECT pg_try_advisory_lock({self._key(name)})")

    def _unlock(self, name: str) -> None:
        self._ask(f"SELECT pg_advisory_unlock({self._key(name)})")

    def _ask(self, query: str) -> bool:
        """Return what a query says; true without the server."""
        for _ in range(2):  # the first connection may be that to a server that was restarted
            if not (connection := self._connect()):
                break
            try:
                return bool(connection.scalar(sa.text(query)))
            except SQLAlchemyError:
                self._close()
        return True

    def _connect(self) -> sa.Connection | None:
        """Return the connection, which is made if there is none; None without the server."""
        if not self._connection and time.monotonic() >= self._retry_at:
            try:
                self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            except SQLAlchemyError:
                self._close()
                self._retry_at = time.monotonic() + _RETRY_AFTER_S
        return self._connection

    def _close(self) -> None:
        """Close the connection itself: one in the engine's pool would keep its locks."""
        if self._connection:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.invalidate()
                self._connection.close()
            self._connection = None

    def _key(self, name: str) -> int:
        digest = hashlib.sha256(f"{self._location}\n{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)
