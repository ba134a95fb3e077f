"""Screen head: which frames show a menu, an intermission, a talking person or a desktop instead of gameplay. NumPy.

A linear classifier on the network's features, fitted to drawn screens and to training frames (model.training).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import ModelError
from model.inference.stored_arrays import arrays_from_text, arrays_to_text

SCREEN_KINDS = ("menu", "intermission", "talking", "desktop")


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
        return arrays_to_text(weights=self.weights, bias=self.bias)

    @classmethod
    def from_text(cls, text: str) -> ScreenHead:
        """Read what `to_text` returned. Raises ModelError for any other text."""
        try:
            head = cls(*arrays_from_text(text, ("weights", "bias")))
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
