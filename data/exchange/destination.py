"""Destination of an export: a local folder, or a place at any address that fsspec knows, such as s3:// or gs://.

A local export is made in a hidden folder beside its own, `.<name>.part`, and gets its name by one rename. Other stores
know no rename: an object `_INCOMPLETE` stands there until the end. So a killed export never looks complete, and the
next one of that name removes what is left of it. Only what an export wrote is ever replaced.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from data.commands import install_command
from data.errors import ExtraMissing, FolderError, ToolkitError
from data.text import printable

MANIFEST_FILE = "export.json"  # the last file of an export
INCOMPLETE_FILE = "_INCOMPLETE"
# The first level of every export: whatever else lies there is somebody's.
_OWN_NAMES = frozenset(
    {"data", "train", "val", "test", "games.tsv", "README.md", "croissant.json", "metadata.json", "samples.json"}
    | {MANIFEST_FILE, INCOMPLETE_FILE}
)
_LOCAL = ("file", "local")
_REQUESTS = 16  # at the same time, to delete files


class Destination:
    """A folder of some file system: files are written and read as a whole. Every method raises FolderError."""

    def __init__(self, file_system: Any, base: str, shown: str) -> None:
        """Take an fsspec file system, a path there without a `/` at its end, and its name for messages."""
        self._file_system = file_system
        self._base = base
        self._shown = shown

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write these files by name; a remote store gets many at a time."""
        with translate_errors(self._shown):
            if len(files) == 1:  # one at a time, s3fs sends a large file in parts
                for name, content in files.items():
                    self._file_system.pipe_file(self._path(name), content)
            else:
                self._file_system.pipe({self._path(name): content for name, content in files.items()})

    def read(self, names: Sequence[str]) -> dict[str, bytes]:
        """Return the content of these files by name."""
        paths = [self._path(name) for name in names]
        with translate_errors(self._shown):
            self._file_system.invalidate_cache()
            # Not `cat`, which takes brackets in a name for a pattern; a remote store reads these side by side, too.
            contents = self._file_system.cat_ranges(paths, None, None, on_error="raise")
            return dict(zip(names, contents, strict=True))

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}"

    def begin(self, *, overwrite: bool) -> None:
        """Remove an earlier export and mark the place. Raises FolderError for other files, see `_check_replaceable`."""
        with translate_errors(self._shown):
            self._file_system.invalidate_cache()
            files = self._file_system.find(self._base) if self._file_system.exists(self._base) else []
            names = {path[len(self._base) + 1 :].partition("/")[0] for path in files}
            _check_replaceable(names - {""}, self._shown, overwrite=overwrite)
            # The manifest first, the mark last: a kill in between leaves what the next run knows as its own.
            self._file_system.pipe_file(self._path(INCOMPLETE_FILE), b"")
            manifest, mark = self._path(MANIFEST_FILE), self._path(INCOMPLETE_FILE)
            self._delete([manifest] if manifest in files else [])
            self._delete([path for path in files if path not in (manifest, mark)])

    def finish(self) -> None:
        """Remove the mark: the export is complete."""
        with translate_errors(self._shown):
            self._delete([self._path(INCOMPLETE_FILE)])

    def _delete(self, paths: Sequence[str]) -> None:
        # Not `rm`: with brackets in the base it would delete what they match, which may be somebody else's.
        with ThreadPoolExecutor(_REQUESTS) as pool:
            for _ in pool.map(self._file_system.rm_file, paths):
                pass  # an error of a thread is raised here


@contextlib.contextmanager
def open_destination(address: str, frames_folder: str, *, overwrite: bool = False) -> Iterator[Destination]:
    """Yield the destination at a path or address; what the block has written counts when it ends without an error.

    frames_folder: the dataset's, where no export may lie. Raises FolderError: other files lie there, or a complete
    export without `overwrite`; ExtraMissing: no library for this kind of address.
    """
    protocol, separator, rest = address.partition("://")
    if not separator or protocol in _LOCAL:
        with _local_folder(Path(rest if separator else address), Path(frames_folder), overwrite=overwrite) as found:
            yield found
        return
    file_system, base = open_file_system(address)
    remote = Destination(file_system, base.rstrip("/"), printable(address))
    remote.begin(overwrite=overwrite)
    yield remote
    remote.finish()


def open_file_system(address: str) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the path in it. Raises FolderError, ExtraMissing."""
    import fsspec

    protocol = address.partition("://")[0]
    try:
        with translate_errors(printable(address)):
            return fsspec.core.url_to_fs(address)
    except ImportError as error:
        extra = {"gcs": "gs"}.get(protocol, protocol)
        cure = f"Install: {install_command(extra)}" if extra in ("s3", "gs") else f"Install it: {error}"
        raise ExtraMissing(f"{printable(protocol)}:// needs a library that is not installed here. {cure}") from error


@contextlib.contextmanager
def _local_folder(folder: Path, frames: Path, *, overwrite: bool) -> Iterator[Destination]:
    """Yield a hidden folder beside `folder`; replace `folder` by it at the end, or remove it after an error."""
    import fsspec

    shown = printable(str(folder))
    folder = _new_folder(folder, frames, shown)
    part, old = (folder.with_name(f".{folder.name}.{end}") for end in ("part", "old"))
    with _only_writer(part, shown):
        try:
            with translate_errors(shown):
                if old.is_dir() and not folder.exists():  # a kill between the two renames of an overwriting export
                    old.rename(folder)
                found = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
                _check_replaceable(found, shown, overwrite=overwrite)
                _empty(part)
            yield Destination(fsspec.filesystem("file", auto_mkdir=True), str(part), shown)
            with translate_errors(shown):
                _replace(folder, part, old)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


def _new_folder(folder: Path, frames: Path, shown: str) -> Path:
    """Return the folder without links, and create its parent. Raises FolderError: it lies in the folder `frames`."""
    with translate_errors(shown):
        folder = folder.resolve()
        if folder.is_relative_to(frames.resolve()) or os.path.ismount(folder):
            raise FolderError(f"{shown} lies in the dataset, or is a disk's root: export to a new folder elsewhere.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder


@contextlib.contextmanager
def _only_writer(part: Path, shown: str) -> Iterator[None]:
    """Create the folder `part` and lock it for the block. Raises FolderError: another process holds the lock."""
    with translate_errors(shown):
        part.mkdir(exist_ok=True)
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with translate_errors(shown):
            _lock(descriptor, part, shown)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, part: Path, shown: str) -> None:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it when the process dies
        if part.exists() and os.path.samestat(os.fstat(descriptor), part.stat()):
            return  # otherwise another export has just ended, and its folder has another name by now
    raise FolderError(f"{shown}: another export writes there; wait until it has ended.")


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _replace(folder: Path, part: Path, old: Path) -> None:
    if old.exists():
        shutil.rmtree(old)
    if folder.exists() and any(folder.iterdir()):
        folder.rename(old)
    part.rename(folder)  # in place of an empty folder, too
    shutil.rmtree(old, ignore_errors=True)


def _check_replaceable(found: set[str], shown: str, *, overwrite: bool) -> None:
    """Check the names of the first level. Raises FolderError unless there are none, or those of an export."""
    is_ours = found <= _OWN_NAMES and not found.isdisjoint({MANIFEST_FILE, INCOMPLETE_FILE})
    if found and not is_ours:
        example = printable(min(found - _OWN_NAMES or found))
        raise FolderError(f"{shown} holds other files, such as {example}: export to a new folder.")
    if MANIFEST_FILE in found and INCOMPLETE_FILE not in found and not overwrite:
        raise FolderError(f"{shown} holds an export: choose another place, or replace it with --overwrite.")


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
            f"{shown}: {printable(cause)}: check the address, the credentials, the permissions and the free space."
        ) from error
