"""Linear head: a ridge classifier on features, by one solution of linear equations. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_PENALTY = 0.01  # on squared weights, relative to the mean variance of the features


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """Scores of the classes, affine in the features."""

    weights: np.ndarray  # float64 (d, classes)
    mean: np.ndarray  # of the training features, float64 (d,)
    bias: np.ndarray  # float64 (classes,)

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Return the scores, float64 (n, classes); the largest is that of the predicted class."""
        return (features - self.mean) @ self.weights + self.bias


def fit(features: np.ndarray, labels: np.ndarray, classes: int) -> LinearHead:
    """Fit a head to features, float (n, d), and labels, int (n,), by least squares to +1 and 0.

    Classes count alike, however many samples they have. A class without a sample is never predicted.
    """
    counts = np.bincount(labels, minlength=classes)  # (classes,)
    present = counts > 0
    weight = (1 / np.maximum(counts, 1) / present.sum())[labels][:, None].astype(np.float32)  # (n, 1), adds up to 1
    targets = np.eye(classes, dtype=np.float32)[labels]  # (n, classes)
    bias = np.where(present, 1 / present.sum(), -np.inf)  # the weighted mean of the targets, without rounding errors
    mean = weight[:, 0] @ features  # (d,)
    centred = features - mean  # (n, d)
    weighted = weight * centred
    gram = (centred.T @ weighted).astype(np.float64)  # (d, d)
    gram[np.diag_indices_from(gram)] += _PENALTY * np.trace(gram) / len(gram) + 1e-9
    weights = np.linalg.solve(gram, weighted.T @ targets)
    return LinearHead(weights, mean, bias)
