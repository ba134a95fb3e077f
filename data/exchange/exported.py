"""Exported datasets as pictures to import: what data.export wrote, at a path or an address, and other frame folders.

`export.json` names the format and the files. Everything may be damaged or forged: a file that cannot be read is left
out, and so is a picture whose SHA-256 is not that of its record.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from data.entities import StoredFrame, is_game_id
from data.errors import DatasetError
from data.exchange.destination import MANIFEST_FILE
from data.exchange.export_records import MAX_PICTURE_BYTES, READERS, DamagedFile, Record, translate_damage
from data.exchange.import_stats import ImportStats
from data.exchange.importer import Picture
from data.exchange.logins import safe_login
from data.exchange.places import LINK_OUT, leads_out
from data.readers import open_regular_file
from data.storage.frame_folder import FrameFolder
from data.storage.layout import NAMES_FILE
from data.storage.manifest import parse_details, to_iso
from data.storage.object_address import open_file_system, translate_errors
from data.text import printable, printable_line

_MAX_NUMBER = 10**17
_MAX_DESCRIPTION_BYTES = 64 << 20  # of export.json


def is_address(text: str) -> bool:
    """Return whether this is an address for fsspec, such as s3://bucket/set, and no path."""
    return "://" in text


def find_export(address: str) -> Callable[[ImportStats], Iterator[Picture]] | None:
    """Return what yields the pictures of the export, or of the dataset, at a path or an address; None without one.

    Raises FolderError: the place cannot be read; DatasetError: an address without a complete export; ExtraMissing.
    """
    if is_address(address):
        return _Export(address, _remote_opener(address)).pictures
    if os.path.isfile(os.path.join(address, MANIFEST_FILE)):  # noqa: PTH113, PTH118 - false for what is no path
        return _Export(address, partial(_open_inside, Path(address))).pictures
    for store in (FrameFolder(Path(address)), FrameFolder(Path(address, "frames"))):
        # False, too, for what is no path or cannot be reached: then the search for pictures says why.
        if os.path.isfile(store.root / NAMES_FILE) and (frames := list(store.frames())):  # noqa: PTH113
            return lambda _stats: _dataset_pictures(store, frames)
    return None


def _open_inside(root: Path, name: str) -> IO[bytes]:
    """Open a file below `root`. Raises OSError, also for a link that leads out of it."""
    if leads_out(root / name, root):
        raise OSError(errno.EPERM, LINK_OUT, name)
    return open_regular_file(root / name)


def _read_inside(root: Path, name: str) -> bytes:
    with _open_inside(root, name) as file:
        return file.read(MAX_PICTURE_BYTES)


def _remote_opener(address: str) -> Callable[[str], IO[bytes]]:
    file_system, base = open_file_system(address)
    return lambda name: file_system.open(f"{base.rstrip('/')}/{name}", "rb")


class _Export:
    """A complete export. `open_file` opens a file by its name there."""

    def __init__(self, address: str, open_file: Callable[[str], IO[bytes]]) -> None:
        self._address, self._open = address, open_file
        with translate_errors(printable(address)), open_file(MANIFEST_FILE) as file:
            description = file.read(_MAX_DESCRIPTION_BYTES)
        try:
            self._description = dict(json.loads(description))
            self._suffix, self._read_records = READERS[self._description["format"]]
            self._files = {str(name): facts for name, facts in dict(self._description["files"]).items()}
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            shown = printable(address)
            raise DatasetError(f"{shown}: {MANIFEST_FILE} is damaged, or of a newer version: export again.") from error
        if not self._description.get("pictures", True):
            raise DatasetError(f"{printable(address)} was exported without pictures: there is nothing to add.")

    def pictures(self, stats: ImportStats) -> Iterator[Picture]:
        """Yield the pictures; count in `stats` what is left out."""
        for name, facts in self._files.items():
            if not name.endswith(self._suffix):
                continue
            shown, number = f"{self._address}/{name}", 0
            samples = facts.get("samples") if isinstance(facts, Mapping) else 0
            try:
                with translate_damage(), self._open(_checked(name)) as file:
                    for number, record in enumerate(self._read_records(file, name), 1):
                        try:
                            yield self._picture(record, shown)
                        except (ValueError, TypeError, LookupError, AttributeError):
                            stats.leave_out(f"{shown}, sample {number}", "its record is damaged")
                if isinstance(samples, int) and number < samples:  # tarfile takes a damaged header for the end
                    raise DamagedFile(f"it is damaged: it has {number:,} of {samples:,} samples")
            except DamagedFile as error:
                stats.leave_out(shown, str(error))

    def _picture(self, record: Record, shown: str) -> Picture:
        """Return the picture of a record; one that is damaged raises any of the errors that `pictures` expects."""
        values, jpeg = record.values, record.jpeg
        game, login, game_id = values["game"], str(values["login"]), values["game_id"]
        if not printable_line(game) or type(game_id) is not int or not is_game_id(game_id):
            raise ValueError(f"invalid game {game!r}")
        number = values.get("number")
        details = parse_details({**values, "grabbed_at": _iso(values.get("grabbed_at"))})
        if not self._description.get("logins", True):  # nor does it have origins
            details = replace(details, origin=printable(self._address))
        return Picture(
            f"{shown}: {record.file or login}",
            game,
            safe_login(login),
            partial(bytes, jpeg) if not record.file else partial(self._read_picture, _checked(record.file)),
            details,
            game_id,
            number if type(number) is int and 1 <= number <= _MAX_NUMBER else 0,
            bytes.fromhex(str(values.get("sha256") or "")),
            len(jpeg),
        )

    def _read_picture(self, name: str) -> bytes:
        """Return the content of a picture's file. Raises OSError."""
        try:
            with self._open(name) as file:
                return file.read(MAX_PICTURE_BYTES)
        except Exception as error:  # of a library for a remote store
            raise OSError(errno.EIO, getattr(error, "strerror", None) or f"{type(error).__name__}: {error}") from error


def _checked(name: str) -> str:
    """Return the name of a file in an export. Raises ValueError for one that leads out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"invalid name {name!r}")
    return name


def _iso(time: object) -> str:
    """Return a time as ISO 8601: Parquet has a datetime, FiftyOne {"$date": text or milliseconds}."""
    if isinstance(time, Mapping):
        time = time.get("$date")
    if isinstance(time, datetime):
        return to_iso(time.timestamp())
    return to_iso(time / 1000) if isinstance(time, (int, float)) else str(time or "")


def _dataset_pictures(store: FrameFolder, frames: Iterable[StoredFrame]) -> Iterator[Picture]:
    """Yield the frames of another dataset with their details."""
    names = store.game_names()
    ordered = sorted(frames, key=lambda frame: (frame.game_id, frame.login, frame.number))
    for frame in store.described(ordered):
        name = names.get(frame.game_id, f"game {frame.game_id}")
        read = partial(_read_inside, store.root, frame.path)
        # Its hash is not compared: the file may have been replaced by hand, and it is the truth.
        yield Picture(frame.path, name, frame.login, read, frame.details, frame.game_id, min(frame.number, _MAX_NUMBER))
