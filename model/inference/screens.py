"""Screen head: which frames show a menu, an intermission, a talking person or a desktop instead of gameplay. NumPy.

A linear classifier on the network's features, fitted to drawn screens and to training frames (model.training).
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.lib.npyio import NpzFile

from data.errors import ModelError

SCREEN_KINDS = ("menu", "intermission", "talking", "desktop")
_MAX_BYTES = 64 << 20  # a thousand times what 1,280 features take


@dataclass(frozen=True, slots=True, eq=False)
class ScreenHead:
    """Margins of the kinds of screens, affine in the features."""

    weights: np.ndarray  # float32 (d, kinds)
    bias: np.ndarray  # float32 (kinds,)

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Return how far each kind exceeds gameplay, float64 (n, kinds), of `features` (n, d); above 0: it does."""
        return features.astype(np.float64) @ self.weights + self.bias

    def shifted(self, by: float) -> ScreenHead:
        """Return the head with `by` added to each margin."""
        return ScreenHead(self.weights, (self.bias + by).astype(np.float32))

    def to_text(self) -> str:
        """Return the arrays as base64 text, for a model's metadata."""
        file = io.BytesIO()
        np.savez_compressed(file, weights=self.weights, bias=self.bias)  # the names are part of the stored format
        return base64.b64encode(file.getvalue()).decode()

    @classmethod
    def from_text(cls, text: str) -> ScreenHead:
        """Read what `to_text` returned. Raises ModelError for any other text."""
        try:
            with NpzFile(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False) as arrays:
                # A damaged file can claim any size, and a compressed one can have it.
                if sum(entry.file_size for entry in arrays.zip.infolist()) > _MAX_BYTES:
                    raise ValueError(f"more than {_MAX_BYTES} bytes")
                head = cls(arrays["weights"], arrays["bias"])
            head._check()
            return head
        except Exception as error:  # zipfile, zlib and numpy raise some ten classes for damaged bytes
            raise ModelError(f"The model's screen head cannot be read: {error}. Train the model again.") from error

    def _check(self) -> None:
        """Raise ValueError unless the arrays fit each other and are finite numbers."""
        kinds = (len(SCREEN_KINDS),)
        if self.weights.ndim != 2 or self.weights.shape[1:] != kinds or self.bias.shape != kinds:
            raise ValueError("invalid arrays")
        if not all(np.isfinite(array).all() for array in (self.weights, self.bias)):
            raise ValueError("invalid numbers")
