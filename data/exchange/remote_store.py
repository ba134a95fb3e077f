"""Remote store: an export at an address that fsspec knows, such as s3:// or gs://.

Such a store knows no rename: an object `_INCOMPLETE` stands there until the end, and the next export removes what is
there with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from data.exchange.destination import INCOMPLETE_FILE, MANIFEST_FILE, check_replaceable
from data.storage.object_address import open_file_system, shown_address, translate_errors
from data.storage.parallel import in_parallel


class RemoteStore:
    """A folder of an fsspec file system as a `Destination`. Every method raises FolderError."""

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
        """Remove an earlier export and mark the place. Raises FolderError for other files, see `check_replaceable`."""
        with translate_errors(self._shown):
            self._file_system.invalidate_cache()
            files = self._file_system.find(self._base) if self._file_system.exists(self._base) else []
            names = {path[len(self._base) + 1 :].partition("/")[0] for path in files}
            check_replaceable(names - {""}, self._shown, overwrite=overwrite)
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
        in_parallel(self._file_system.rm_file, paths)


@contextlib.contextmanager
def new_place(address: str, *, overwrite: bool) -> Iterator[RemoteStore]:
    """Yield the place at an address; it is complete when the block ends without an error.

    Raises FolderError: other files lie there, or a complete export without `overwrite`; ExtraMissing.
    """
    file_system, base = open_file_system(address)
    store = RemoteStore(file_system, base.rstrip("/"), shown_address(address))
    store.begin(overwrite=overwrite)
    yield store
    store.finish()
