"""How much a picture is like those of the nearest game, by the features below the network's last layer. numpy only.

The cosine between a picture's features and a class's mean, both from the mean of all classes, after directions in
which the pictures of one game differ among themselves are shrunk. What is learnt from logits alone, such as their
energy, sees only what tells the games apart; what is like none of them is seen by what is left out there. Relatives:
Lee et al., NeurIPS 2018 (Mahalanobis distance); Techapanurak et al., ACCV 2020 (cosines).
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from dataclasses import dataclass

import numpy as np

from data.errors import ModelError

_SPREAD = 128  # directions in which a game's pictures are told to differ, at most


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """`means`: (classes, d), the features' means. `axes`: (d, k), orthonormal, the directions in which the features
    of one game differ most. `variances`: (k,) along those; `rest`: (), the mean variance along all others.
    """

    means: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    rest: np.ndarray

    def scores(self, features: np.ndarray) -> np.ndarray:
        """float64 (n,), -1 to 1, for `features` (n, d); 1 is the mean of a class."""
        centre = self.means.astype(np.float64).mean(axis=0)
        seen, known = (self._shrunk(values - centre) for values in (features, self.means))
        return (seen @ known.T).max(axis=1)

    def _shrunk(self, values: np.ndarray) -> np.ndarray:
        """`values` (n, d) over the deviation in each direction, then of length 1."""
        axes = self.axes.astype(np.float64)
        along = values @ axes
        factors = 1 / np.sqrt(self.variances) - 1 / np.sqrt(self.rest)
        shrunk = values / np.sqrt(self.rest) + (along * factors) @ axes.T
        return shrunk / np.maximum(np.linalg.norm(shrunk, axis=1, keepdims=True), np.finfo(np.float64).tiny)

    def word(self) -> str:
        """As text, for a model's metadata."""
        file = io.BytesIO()
        np.savez_compressed(file, means=self.means, axes=self.axes, variances=self.variances, rest=self.rest)
        return base64.b64encode(file.getvalue()).decode()

    @classmethod
    def parse(cls, word: str) -> Likeness:
        """What `word` made. Raises ModelError."""
        try:
            with np.load(io.BytesIO(base64.b64decode(word, validate=True)), allow_pickle=False) as arrays:
                return cls(*(arrays[name] for name in ("means", "axes", "variances", "rest")))
        except (binascii.Error, ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"The model's likeness cannot be read: {error}") from error


def fit(features: np.ndarray, labels: np.ndarray, classes: int) -> Likeness:
    """From `features` (n, d) and `labels` (n,) of training frames, of which each class has at least one.

    Kept in float16, a fraction of the model's size; scores are of these, here and wherever it is read.
    """
    means = np.stack([features[labels == label].mean(axis=0, dtype=np.float64) for label in range(classes)])
    inner = features - means[labels]
    rising, axes = np.linalg.eigh(inner.T @ inner / len(features))
    variances, axes = rising[::-1].clip(0), axes[:, ::-1]
    kept = min(_SPREAD, len(variances) // 2, (len(features) - classes) // 4)  # few frames show few directions
    left = max(float(variances[kept:].sum()), 1e-3 * float(variances.sum()), 1e-12)
    rest = left / (len(variances) - kept)
    return Likeness(
        means.astype(np.float16),
        axes[:, :kept].astype(np.float16),
        np.maximum(variances[:kept], rest).astype(np.float32),
        np.array(rest, np.float32),
    )
