"""Early stopping: the probability that the remaining frames would change the verdict.

A Bayesian sequential test. The n frames so far gave the winning game a score: the sum of its probabilities. The score
counts as that many draws for the game and n - score as draws against it, after a uniform prior (Laplace's rule of
succession). The number of remaining frames against the game is then beta-binomial. A verdict stays the same as long as
at most half of all frames go to other games, and at most half of them are unknown. The two probabilities that one of
these limits is exceeded are added (union bound).

The probability is conditional on the frames so far, so a caller may test after each frame.

The test assumes exchangeable frames. Frames in temporal order are not, because a streamer may switch to another game;
hence they come in the order of data.video.sampling.bit_reversed. benchmarks/early_stop.py counts how often an early
verdict differs from that of all frames.
"""

from __future__ import annotations

import math

_TIE = 1e-9  # two games that have exactly half each: either may win, so this does not count as a win


def probability_of_change(
    seen: int, score: float, unknown_frames: int | None, total: int, min_confidence: float = 0.0
) -> float:
    """Return the probability, 0 to 1, that the verdict of `total` frames differs from that of the `seen` first ones.

    score: the winning game's probabilities, summed over the `seen` frames.
    unknown_frames: how many of the `seen` frames are unknown; None if a majority of them decides nothing.
    min_confidence: the mean probability, 0 to 1, below which a verdict is unknown.

    For an unknown stream, only a change to known counts: its closest game may change nevertheless.
    """
    remaining = max(0, total - seen)
    other_votes = seen - score
    p_unknown = 0.0
    if unknown_frames is not None:
        p_unknown = _probability_above(total / 2, unknown_frames, seen, remaining)
        if 2 * unknown_frames > seen:
            return 1 - p_unknown
    if score / seen < min_confidence:
        return 1 - _probability_above(total * (1 - min_confidence), other_votes, seen, remaining)
    # The game has to keep its majority and its mean probability: the stricter limit decides.
    threshold = min(total / 2 - _TIE, total * (1 - min_confidence))
    return min(1.0, p_unknown + _probability_above(threshold, other_votes, seen, remaining))


def _probability_above(threshold: float, losses: float, seen: int, remaining: int) -> float:
    """Return the probability that more than `threshold` frames are lost in the end, after `losses` of the seen ones."""
    a, b = losses + 1, seen - losses + 1  # the posterior Beta(a, b) of the fraction of losses
    least = max(0, math.floor(threshold - losses) + 1)
    prior = _log_beta(a, b)
    # Logarithms: the binomial coefficients of thousands of frames exceed a float.
    return sum(
        math.exp(_log_binomial(remaining, k) + _log_beta(a + k, b + remaining - k) - prior)
        for k in range(least, remaining + 1)
    )


def _log_binomial(n: int, k: int) -> float:
    """Return the logarithm of the binomial coefficient n over k."""
    return -math.log(n + 1) - _log_beta(k + 1, n - k + 1)


def _log_beta(a: float, b: float) -> float:
    """Return the logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
