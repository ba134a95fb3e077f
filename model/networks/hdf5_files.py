"""HDF5 files: Keras models and weights, compressed, and refused if they refer to other files. Imports h5py."""

from __future__ import annotations

from pathlib import Path

import h5py


def require_self_contained(path: Path) -> None:
    """Raise ValueError if a link or an array of the file leads to another file: it could be any of the user's.

    Raises OSError and others: damaged file.
    """

    with h5py.File(path, "r") as file:
        # A visit ends at the first result that is not None, and returns it; an exception would break h5py's lock.
        if file.visititems_links(_leads_outside) or file.visititems(_leads_outside):
            raise ValueError("it refers to other files")


def _leads_outside(_name: str, entry: object) -> bool | None:
    is_array = isinstance(entry, h5py.Dataset) and (entry.external or entry.is_virtual)
    return True if is_array or isinstance(entry, h5py.ExternalLink) else None


_MIN_COMPRESSED = 1024  # elements; the chunks of a smaller array take more than they save


def copy_compressed(source: h5py.File, target: h5py.File) -> None:
    """Copy all groups, arrays and attributes to an empty file, arrays compressed without loss."""

    def copy(name: str, entry: h5py.Group | h5py.Dataset) -> None:
        if isinstance(entry, h5py.Group):
            copied = target.create_group(name)
        else:
            options = {"compression": "gzip", "shuffle": True} if entry.size >= _MIN_COMPRESSED else {}
            copied = target.create_dataset(name, data=entry[()], **options)
        copied.attrs.update(entry.attrs)

    target.attrs.update(source.attrs)
    source.visititems(copy)
