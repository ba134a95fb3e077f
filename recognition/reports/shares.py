"""Confidence intervals for shares of weighted, stratified samples, and their correction for the model's errors.

Sources, named at each formula: Wilson 1927, JASA 22; Kish 1965, Survey Sampling; Korn & Graubard 1998, Survey
Methodology 24; Brown, Cai & DasGupta 2001, Statistical Science 16; Rogan & Gladen 1978, American Journal of
Epidemiology 107; Lang & Reiczigel 2014, Preventive Veterinary Medicine 113.
All intervals are two-sided, 95 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_Z = 1.959964  # 97.5 % quantile of the normal distribution
# Half of the 5 % quantile of chi-squared with 2k degrees of freedom, k = 0 … 10 hits: Brown et al. 2001.
_POISSON_LIMITS = (0.0, 0.051, 0.355, 0.818, 1.366, 1.970, 2.613, 3.285, 3.981, 4.695, 5.425)
_PRIOR = 2.0  # streams that the variance of the whole sample counts for in each stratum's own variance


@dataclass(frozen=True, slots=True)
class Share:
    """An estimated share with its 95 % interval, each 0 to 1.

    low_n, high_n: effective sample size for each limit: a simple random sample of this size is as precise.
    """

    value: float
    low: float
    high: float
    low_n: float
    high_n: float


NOTHING_KNOWN = Share(0.0, 0.0, 1.0, 0.0, 0.0)  # the share of an empty sample


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """How the model answers on validation streams, with the effective number of streams of each rate.

    sensitivity: fraction of the streams of a game that are called this game.
    specificity: fraction of the streams of a game that are not called another game.
    """

    sensitivity: float
    sensitivity_n: float
    specificity: float
    specificity_n: float


def wilson(share: float, low_n: float, high_n: float) -> Share:
    """Return the share with the score interval of Wilson 1927, near 0 and 1 with the change of Brown et al. 2001.

    low_n, high_n: effective sample sizes, also fractions.
    """
    if min(low_n, high_n) <= 0:
        return NOTHING_KNOWN
    low, high = _low_limit(share, low_n), 1 - _low_limit(1 - share, high_n)
    return Share(share, min(max(low, 0.0), share), max(min(high, 1.0), share), low_n, high_n)


def _low_limit(share: float, n: float) -> float:
    centre = share + _Z**2 / (2 * n)
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    # The score limit is too high for few hits of many: there, the 5 % limit of a Poisson distribution is taken.
    poisson = float(np.interp(share * n, range(len(_POISSON_LIMITS)), _POISSON_LIMITS)) / n
    score = (centre - half) / (1 + _Z**2 / n)
    return min(score, poisson) if share < 0.5 and share * n < len(_POISSON_LIMITS) - 1 else score


def weighted_share(hits: np.ndarray, weights: np.ndarray, strata: np.ndarray) -> Share:
    """Return the weighted share of hits, with Wilson's interval at the effective sample size (Korn & Graubard 1998).

    The variance is sum(a_i^2 v_h), where a_i is a stream's weight by the sum of weights, and v_h the variance within
    its stratum: n_h / (n_h - 1) p_h (1 - p_h), pulled towards the variance p (1 - p) of the whole sample by _PRIOR
    streams, since a stratum of two streams that agree has none of its own. The effective sample size is p (1 - p)
    divided by that variance, but at most Kish's (sum w)^2 / sum w^2: that a stratum has no hit yet proves no small
    variance. Where the hits have larger weights than most streams, as channels with many viewers have, the lower limit
    uses Kish's size of the hits alone, scaled by their share; so does the upper limit for all other streams.

    hits: bool, (n,). weights: not negative, (n,). strata: int from 0, (n,).
    """
    total = float(weights.sum())
    if total <= 0:
        return NOTHING_KNOWN
    a = weights / total  # (n,)
    kish = 1 / float(a @ a)
    share = min(max(float(a @ hits), 0.0), 1.0)
    smoothed = (kish * share + 0.5) / (kish + 1)
    whole = smoothed * (1 - smoothed)
    count = np.bincount(strata)  # (strata,)
    p = np.bincount(strata, hits) / np.maximum(count, 1)
    own = p * (1 - p) * count / np.maximum(count - 1, 1)
    own_count = np.where(count > 1, count, 0)  # one stream says nothing of the variance
    within = (own_count * own + _PRIOR * whole) / (own_count + _PRIOR)
    variance = float(np.bincount(strata, a**2) @ within)
    n = min(whole / variance, kish)
    heavy = [float(a[side] @ a[side]) * kish for side in (hits, ~hits)]
    low_n, high_n = (n * min(1.0, part / h) if h else n for part, h in zip((share, 1 - share), heavy, strict=True))
    return wilson(share, low_n, high_n)


def corrected_share(observed: Share, rates: ErrorRates) -> Share | None:
    """Return the share without the model's errors; None if the model does no better than chance.

    The value is the estimator of Rogan & Gladen 1978, (p + Sp - 1) / (Se + Sp - 1), clipped to 0 to 1. The interval is
    that of Lang & Reiczigel 2014, which contains the uncertainty of sensitivity and specificity: one success and one
    failure are added to each of these, z^2 / 2 of each to the sample.
    """
    se_n, sp_n = rates.sensitivity_n + 2, rates.specificity_n + 2
    se = (rates.sensitivity_n * rates.sensitivity + 1) / se_n
    sp = (rates.specificity_n * rates.specificity + 1) / sp_n
    better = rates.sensitivity + rates.specificity - 1
    if min(rates.sensitivity_n, rates.specificity_n, observed.low_n) <= 0 or min(better, se + sp - 1) <= 0:
        return None
    value = min(max((observed.value + rates.specificity - 1) / better, 0.0), 1.0)

    def limit(n: float, z: float) -> float:
        p = (n * observed.value + z**2 / 2) / (n + z**2)
        true = (p + sp - 1) / (se + sp - 1)
        se_part, sp_part = se * (1 - se) / se_n, sp * (1 - sp) / sp_n
        shift = 2 * z**2 * (true * se_part - (1 - true) * sp_part)
        variance = p * (1 - p) / (n + z**2) + true**2 * se_part + (1 - true) ** 2 * sp_part
        return min(max(true + shift + z * math.sqrt(variance) / (se + sp - 1), 0.0), 1.0)

    low, high = limit(observed.low_n, -_Z), limit(observed.high_n, _Z)
    return Share(value, min(low, value), max(high, value), observed.low_n, observed.high_n)
