"""Random numbers as a function of a place: no state, so the same in any order and any process. Imports TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True, slots=True)
class Chance:
    """What is drawn at `place` (int64 scalar) with `seed`; `branch` tells the questions asked there apart."""

    seed: int
    place: tf.Tensor
    branch: int = 0

    def of(self, number: int) -> Chance:
        """The chance of a question within this one; numbers from 0 to 30."""
        return Chance(self.seed, self.place, self.branch * 31 + number + 1)

    def number(self, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """A float32 scalar, uniform between the two."""
        return self.numbers((), low, high)

    def among(self, shares: Sequence[float]) -> tf.Tensor:
        """An int32 scalar, drawn by `shares`, which add up to 1: 0 for the first of them."""
        return tf.reduce_sum(tf.cast(self.number() >= tf.cumsum(tf.constant(shares))[:-1], tf.int32))

    def numbers(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """float32 of this shape, uniform between the two."""
        mixed = tf.stack([tf.cast(self.place, tf.int64), tf.constant(self.seed * 1_000_003 + self.branch, tf.int64)])
        return tf.random.stateless_uniform(shape, mixed, low, high)
