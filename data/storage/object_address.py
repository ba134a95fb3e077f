"""Addresses that fsspec knows, such as s3:// and gs://: the file system of one, and its errors as FolderErrors."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from data.commands import install_command
from data.errors import ExtraMissing, FolderError, ToolkitError
from data.text import printable

# A user with a password, which may contain @ and /; a user; a query, which may hold a token.
_SECRETS = re.compile(r'(?<=//)(?:[^/\s@:]*:\S*|[^/\s@]*)@|\?[^\s"]*')


def is_s3(address: str) -> bool:
    """Return whether this is an address of S3."""
    return address.startswith(("s3://", "s3a://"))


def normal_address(address: str) -> str:
    """Return the one spelling of a store's address: s3:// or gs://, without credentials of S3 and a `/` at its end.

    Credentials of S3 come from the environment: what stands in their place is cut off.
    """
    if is_s3(address):
        address = "s3://" + shown_address(address).partition("://")[2]
    return re.sub(r"^gcs://", "gs://", address).rstrip("/")


def open_file_system(address: str, **options: Any) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the path in it. Raises FolderError, ExtraMissing.

    options: of the file system, as fsspec names them.
    """
    import fsspec

    with library_needed(address), translate_errors(shown_address(address)):
        return fsspec.core.url_to_fs(address, **options)


@contextlib.contextmanager
def library_needed(address: str) -> Iterator[None]:
    """Raise ExtraMissing if the block cannot import the library of the address's protocol."""
    try:
        yield
    except ImportError as error:
        protocol = address.partition("://")[0]
        extra = {"gcs": "gs"}.get(protocol, protocol)
        cure = f"Install: {install_command(extra)}" if extra in ("s3", "gs") else f"Install it: {error}"
        raise ExtraMissing(f"{printable(protocol)}:// needs a library that is not installed here. {cure}") from error


def shown_address(address: str) -> str:
    """Return an address for messages: printable, without user, password and query."""
    return _SECRETS.sub("", printable(address))


@contextlib.contextmanager
def translate_errors(shown: str) -> Iterator[None]:
    """Translate what a file system raises in the block into a FolderError that names the place."""
    try:
        yield
    except (ToolkitError, ImportError):
        raise
    except Exception as error:  # a library's for a remote store, which need not be OSErrors
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise FolderError(
            f"{shown}: {shown_address(cause)}: check the address, the credentials, the permissions and the free space."
        ) from error
