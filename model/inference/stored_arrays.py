"""Stored arrays: arrays as text for a model's metadata, which is base64 of a compressed npz file. NumPy only."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

import numpy as np
from numpy.lib.npyio import NpzFile

_MAX_BYTES = 256 << 20  # thirty times what the feature similarity of 500 games takes


def arrays_to_text(**arrays: np.ndarray) -> str:
    """Return the arrays as text. Their names are part of the stored format."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its stub takes **arrays for allow_pickle
    return base64.b64encode(file.getvalue()).decode()


def arrays_from_text(text: str, names: Iterable[str]) -> list[np.ndarray]:
    """Return the arrays of these names. Raises some ten classes of errors for damaged text, as zipfile and zlib do."""
    with NpzFile(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False) as arrays:
        # A damaged file can claim any size, and a compressed one can have it.
        if sum(entry.file_size for entry in arrays.zip.infolist()) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        return [arrays[name] for name in names]
