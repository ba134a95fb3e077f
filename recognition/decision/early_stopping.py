"""How likely the frames that are still to come would change a verdict: for whom that is too little, may stop looking.

A sequential test by Bayes' rule. What n frames gave a game (their probabilities of it, summed) counts as so many draws
for it, the rest as draws against it; before the first, one draw of each (Laplace). How many of the frames to come go
against it is then beta-binomial. A game wins for sure while no more than half of all that the frames give goes to
others, and a stream is known while no more than half of its frames are unknown: both are asked for how likely they
come to an end. These are probabilities given what was seen, so the question may be put after each frame.

What it takes for granted: frames come as if drawn from an urn. In the order of time they do not, where a streamer goes
from one game to another; so they come in that of data.hls.playlist.scattered. benchmarks/early_stop.py counts how often the
answer differs from that of all frames.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recognition.decision.verdict import Verdict

_TIE = 1e-9  # of two games with half of it each, either may win


def doubt(verdict: Verdict, frames: int, min_confidence: float = 0.0) -> float:
    """The probability, 0 to 1, that the verdict of all `frames` differs from this one, which is of the first of them.

    `min_confidence`: what the verdict was asked for. Of an unknown stream the closest game may change all the same.
    """
    seen = verdict.frames
    left = max(0, frames - seen)
    others = seen - verdict.score
    strange = _above(frames / 2, verdict.unknown, seen, left)
    if 2 * verdict.unknown > seen:
        return 1 - strange
    if not verdict.sure:
        return 1 - _above(frames * (1 - min_confidence), others, seen, left)
    most = min(frames / 2 - _TIE, frames * (1 - min_confidence))
    return min(1.0, strange + _above(most, others, seen, left))


def _above(line: float, against: float, seen: int, left: int) -> float:
    """The probability that more than `line` of all frames go against it, as `against` of the `seen` ones did."""
    a, b = against + 1, seen - against + 1
    least = max(0, math.floor(line - against) + 1)
    before = _log_beta(a, b)
    return sum(math.exp(_log_ways(left, k) + _log_beta(a + k, b + left - k) - before) for k in range(least, left + 1))


def _log_ways(n: int, k: int) -> float:
    """The logarithm of how many ways there are to choose k of n."""
    return -math.log(n + 1) - _log_beta(k + 1, n - k + 1)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
