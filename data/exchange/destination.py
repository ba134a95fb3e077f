"""Destination of an export: the interface (Protocol), and what all destinations have in common.

Only what an export wrote is ever replaced, and a killed export never looks complete: see `data.exchange.local_folder`
and `data.exchange.remote_store`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from data.errors import FolderError
from data.text import printable

MANIFEST_FILE = "export.json"  # the last file of an export
INCOMPLETE_FILE = "_INCOMPLETE"
# The first level of every export: whatever else lies there is somebody's.
_OWN_NAMES = frozenset(
    {"data", "train", "val", "test", "games.tsv", "README.md", "croissant.json", "metadata.json", "samples.json"}
    | {MANIFEST_FILE, INCOMPLETE_FILE}
)


class Destination(Protocol):
    """An empty place for an export; names of files have `/` between folders. Every method raises FolderError."""

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write these files by name, each as a whole."""

    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return the content of these files by name."""


def check_replaceable(found: Set[str], shown: str, *, overwrite: bool) -> None:
    """Check the names of the first level. Raises FolderError unless there are none, or those of an export."""
    check_own(found, shown)
    if found and found.isdisjoint({MANIFEST_FILE, INCOMPLETE_FILE}):
        raise FolderError(f"{shown} holds other files, such as {min(found)}: export to a new folder.")
    if MANIFEST_FILE in found and INCOMPLETE_FILE not in found and not overwrite:
        raise FolderError(f"{shown} holds an export: choose another place, or replace it with --overwrite.")


def check_own(found: Set[str], shown: str) -> None:
    """Check the names of the first level. Raises FolderError if one is no export's."""
    if others := found - _OWN_NAMES:
        raise FolderError(f"{shown} holds other files, such as {printable(min(others))}: export to a new folder.")
