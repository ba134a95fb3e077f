"""Feature similarity: how close a frame's features are to the nearest class mean, after whitening. numpy only.

The score is the cosine between a frame's features and a class mean, both relative to the mean of all classes.
Directions in which frames of one game differ among themselves are scaled down first (whitening). Logits, and scores of
them such as energy, keep only what separates the games; features also keep what separates them from all other images.
Related: Lee et al., NeurIPS 2018 (Mahalanobis distance); Techapanurak et al., ACCV 2020 (cosine similarity).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.errors import ModelError
from model.inference.stored_arrays import arrays_from_text, arrays_to_text

_MAX_DIRECTIONS = 128  # with their own variance; all others have one variance together


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSimilarity:
    """Statistics of a model's features on its training frames."""

    means: np.ndarray  # of each class, (classes, d)
    axes: np.ndarray  # orthonormal directions of the largest variance within games, (d, k)
    variances: np.ndarray  # along each of `axes`, (k,)
    residual_variance: np.ndarray  # mean along all other directions, ()

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the score of each row of `features` (n, d), float64 (n,), -1 to 1; a class mean scores 1."""
        center = self.means.astype(np.float64).mean(axis=0)  # (d,)
        whitened, whitened_means = (self._whiten(values - center) for values in (features, self.means))
        return (whitened @ whitened_means.T).max(axis=1)  # (n, classes) -> (n,)

    def _whiten(self, values: np.ndarray) -> np.ndarray:
        """Divide `values` (n, d) by the standard deviation in each direction, then scale each row to length 1."""
        axes = self.axes.astype(np.float64)
        along = values @ axes  # (n, k)
        factors = 1 / np.sqrt(self.variances) - 1 / np.sqrt(self.residual_variance)  # (k,)
        whitened = values / np.sqrt(self.residual_variance) + (along * factors) @ axes.T
        return whitened / np.maximum(np.linalg.norm(whitened, axis=1, keepdims=True), np.finfo(np.float64).tiny)

    def to_text(self) -> str:
        """Return the arrays as base64 text, for a model's metadata."""
        return arrays_to_text(means=self.means, axes=self.axes, variances=self.variances, rest=self.residual_variance)

    @classmethod
    def from_text(cls, text: str) -> FeatureSimilarity:
        """Read what `to_text` returned. Raises ModelError for any other text."""
        try:
            similarity = cls(*arrays_from_text(text, ("means", "axes", "variances", "rest")))
            similarity._check()
            return similarity
        except Exception as error:  # zipfile, zlib and numpy raise some ten classes for damaged bytes
            raise ModelError(
                f"The model's feature similarity cannot be read: {error}. Train the model again."
            ) from error

    def _check(self) -> None:
        """Raise ValueError unless the arrays fit each other and are finite numbers."""
        (_, width), (_, directions) = self.means.shape, self.axes.shape
        shapes = self.axes.shape[0], self.variances.shape, self.residual_variance.shape
        arrays = self.means, self.axes, self.variances, self.residual_variance
        if shapes != (width, (directions,), ()) or not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("invalid arrays")
        if not self.residual_variance > 0 or not (self.variances > 0).all():
            raise ValueError("a variance is not positive")


def fit(features: np.ndarray, labels: np.ndarray, classes: int) -> FeatureSimilarity:
    """Fit the statistics on training frames: `features` (n, d) and `labels` int64 (n,), each class at least once.

    Means and axes are kept in float16, which makes them a fraction of the model's size.
    """
    means = np.stack([features[labels == label].mean(axis=0, dtype=np.float64) for label in range(classes)])
    centered = features - means[labels]  # (n, d)
    ascending, axes = np.linalg.eigh(centered.T @ centered / len(features))  # (d,), (d, d)
    variances, axes = ascending[::-1].clip(0), axes[:, ::-1]
    # Few frames estimate few directions.
    kept = min(_MAX_DIRECTIONS, len(variances) // 2, (len(features) - classes) // 4)
    # The lower bounds keep features that never vary from dividing by zero.
    remaining = max(float(variances[kept:].sum()), 1e-3 * float(variances.sum()), 1e-12)
    residual_variance = remaining / (len(variances) - kept)
    return FeatureSimilarity(
        means.astype(np.float16),
        axes[:, :kept].astype(np.float16),
        np.maximum(variances[:kept], residual_variance).astype(np.float32),
        np.array(residual_variance, np.float32),
    )
