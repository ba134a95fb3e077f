"""Object client: the interface (Protocol) to the objects below one address, with conditional writes.

A key is a path below the address, with `/` between its parts. `data.storage.s3_client` is the implementation for S3,
`data.storage.plain_client` that for the other file systems of fsspec.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

ABSENT = ""  # a condition of a write: there is no such object


class VersionChanged(OSError):
    """Another process has changed the object, or removed it, since its version was read."""


class TooLarge(OSError):
    """The object has more bytes than the caller takes."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(errno.EFBIG, f"larger than {max_bytes} bytes")


@dataclass(frozen=True, slots=True)
class ListedFile:
    """An object, without its content."""

    path: str  # the key
    size_bytes: int
    version: str  # another one after each change of the content
    modified_at: float  # epoch seconds


class ObjectClient(Protocol):
    """Objects below an address. Each call is bounded in time. Errors are those of the library, beside what is named."""

    def get(self, key: str, max_bytes: int) -> tuple[bytes, ListedFile]:
        """Return an object's content and state. Raises FileNotFoundError, TooLarge. No more than that is read."""

    def head(self, key: str) -> ListedFile | None:
        """Return an object's state; None without it."""

    def put(self, key: str, content: bytes, expected: str | None = None, modified_at: float | None = None) -> None:
        """Write an object, complete or not at all.

        expected: version of the object that it replaces, ABSENT for none, None for any.
        modified_at: what `head` says afterwards, epoch seconds; None: the time of the write.
        Raises FileExistsError: ABSENT was expected; VersionChanged: a version.
        """

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; one that is gone is no error."""

    def listing(self, prefix: str) -> Iterator[ListedFile]:
        """Yield all objects whose keys begin with `prefix`, in the server's order; pages as they come."""

    def names(self, folder: str) -> list[str]:
        """Return the names directly below `folder`, which is "" or ends with `/`; sorted. Raises OSError: no bucket."""
