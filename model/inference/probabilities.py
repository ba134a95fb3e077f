"""Softmax: probabilities from logits, in float64 and safe for any finite values. numpy only."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities along the last axis, float64, of the shape of `logits` (..., classes)."""
    return np.exp(log_softmax(logits))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the natural logarithms of the probabilities, float64, of the shape of `logits` (..., classes)."""
    # Subtracting the maximum keeps exp() from overflowing and changes no probability.
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
