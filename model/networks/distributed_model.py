"""A Keras model that trains on several devices and machines. Imports Keras.

`fit` of Keras 3.12 fails with MultiWorkerMirroredStrategy in two places: it averages a whole batch over the devices to
learn its shape, and each metric over a first axis that a scalar has not. Both are mended here.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class Spread(keras.Model):
    """Trains as any model does, in the scope of a tf.distribute strategy."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """A training step; each figure has an axis to be averaged over."""
        return {name: value[None] for name, value in super().train_step(data).items()}

    def test_step(self, data: Any) -> dict[str, Any]:
        """A step of evaluation; the same."""
        return {name: value[None] for name, value in super().test_step(data).items()}

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:  # noqa: ARG002 - Keras' own
        """Make metrics and the optimizer's variables, from the shapes that are known anyway."""
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=(np.zeros((1, *self.input_shape[1:]), np.uint8), np.zeros(1, np.int64)))
