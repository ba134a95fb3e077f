"""Distributed Keras model: trains on several devices or machines, with workarounds for two faults of Keras 3.12.

With MultiWorkerMirroredStrategy, `fit` averages a whole batch over the devices to learn its shape, and averages each
metric over a first axis that a scalar does not have. Both steps fail without this class.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


class DistributedModel(keras.Model):
    """A Keras model to build, compile and fit within the scope of a tf.distribute strategy."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Run a training step and return its metrics, each of shape (1,) for Keras to average."""
        return {name: value[None] for name, value in super().train_step(data).items()}

    def test_step(self, data: Any) -> dict[str, Any]:
        """Run an evaluation step and return its metrics, each of shape (1,) for Keras to average."""
        return {name: value[None] for name, value in super().test_step(data).items()}

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:  # noqa: ARG002 - Keras' own
        """Build the metrics and the optimizer's variables from the model's input shape instead of a batch."""
        with self.distribute_strategy.scope():
            images = np.zeros((1, *self.input_shape[1:]), np.uint8)  # (B, H, W, 3)
            # Creates metrics and optimizer variables, as Keras' own method does after averaging a batch.
            self._symbolic_build(data_batch=(images, np.zeros(1, np.int64)))
