"""recognition.reports.shares: intervals against published values, and their coverage in simulated audits."""

from __future__ import annotations

import numpy as np
import pytest

from recognition.reports.shares import ErrorRates, corrected_share, weighted_share, wilson

_AUDITS, _LEAST = 200, 0.95 - 3 * (0.95 * 0.05 / 200) ** 0.5
_POPULATION, _VALIDATION = 4_000, 300  # live streams; validation streams of the model
_SENSITIVITY, _SPECIFICITY = 0.95, 0.995


def test_wilson_without_weights_is_the_published_interval() -> None:
    """Newcombe 1998, table I: 81 of 263 is 0.2553 to 0.3662, 0 of 20 is 0 to 0.1611."""
    share = wilson(81 / 263, 263, 263)
    assert (share.low, share.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    none = wilson(0.0, 20, 20)
    assert (none.low, none.high) == pytest.approx((0.0, 0.1611), abs=1e-4)


@pytest.mark.parametrize(("hits", "count", "low", "high"), [(0, 5, 0.0, 0.4345), (9, 10, 0.5958, 0.9949)])
def test_wilson_of_a_large_share_of_few_has_the_plain_limit(hits: int, count: int, low: float, high: float) -> None:
    """The limit for few hits of many is not for the 5 of 5 that are none, nor for 9 of 10."""
    share = wilson(hits / count, count, count)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-4)


def test_wilson_with_one_hit_has_the_limit_of_brown_and_others() -> None:
    """Near 0 the lower limit is that of a Poisson distribution: 0.051 / n for one hit; near 1 likewise."""
    one, all_but_one = wilson(0.01, 100, 100), wilson(0.99, 100, 100)
    assert one.low == pytest.approx(0.00051)
    assert all_but_one.high == pytest.approx(1 - one.low)


def test_weighted_share_of_equal_streams_is_wilson() -> None:
    """Without weights and strata the effective sample size is the number of streams."""
    hits = np.arange(200) < 20
    share = weighted_share(hits, np.full(200, 260.0), np.zeros(200, np.int64))
    assert (share.value, share.low_n, share.high_n) == pytest.approx((0.1, 200, 200))


def test_weighted_share_of_one_large_channel_counts_as_few_streams() -> None:
    """A channel with half of the viewers that shows another game leaves the share open."""
    weights = np.array([100.0, *[1.0] * 100])
    share = weighted_share(np.arange(101) == 0, weights, np.zeros(101, np.int64))
    assert share.value == pytest.approx(0.5)
    assert share.low_n < 4
    assert share.low < 0.1


def test_weighted_share_without_streams_or_viewers_is_open() -> None:
    """Nothing is known then: 0 to 1."""
    for count in (0, 3):
        share = weighted_share(np.zeros(count, bool), np.zeros(count), np.zeros(count, np.int64))
        assert (share.low, share.high) == (0.0, 1.0)


def test_corrected_share_takes_out_the_errors_and_widens_the_interval() -> None:
    """Rogan and Gladen: 2 % observed with 1 % mistakes and 90 % found is (0.02 - 0.01) / 0.89."""
    observed = wilson(0.02, 2000, 2000)
    corrected = corrected_share(observed, ErrorRates(0.9, 500, 0.99, 500))
    assert corrected is not None
    assert corrected.value == pytest.approx(0.01 / 0.89)
    assert corrected.high - corrected.low > observed.high - observed.low


def test_corrected_share_of_known_rates_is_near_the_observed_one() -> None:
    """A perfect model that was measured on very many streams changes nothing."""
    observed = wilson(0.1, 1000, 1000)
    corrected = corrected_share(observed, ErrorRates(1.0, 1e9, 1.0, 1e9))
    assert corrected is not None
    assert (corrected.value, corrected.low, corrected.high) == pytest.approx(
        (observed.value, observed.low, observed.high), abs=2e-3
    )


def test_corrected_share_of_a_useless_model_is_none() -> None:
    """Without validation streams, or no better than chance, nothing can be corrected."""
    observed = wilson(0.1, 100, 100)
    assert corrected_share(observed, ErrorRates(0.0, 0, 0.0, 0)) is None
    assert corrected_share(observed, ErrorRates(0.3, 100, 0.6, 100)) is None


@pytest.mark.parametrize("true_share", [0.005, 0.05, 0.2])
def test_intervals_in_simulated_audits_cover_the_truth(true_share: float) -> None:
    """Of 200 audits of log-normal viewers (sigma 2) 90 % cover: plain sample, stratified, both corrected.

    In 1,000 to 3,000 audits a cell, 95 % to 100 % cover. Of 200, three standard deviations below 95 % are 90 %: the
    bound allows for chance in 24 comparisons, not for intervals that are too short.
    """
    generator = np.random.default_rng(11)
    covered = np.zeros((2, 2, 2))  # (plain or stratified, by streams or viewers, observed or corrected)
    for _ in range(_AUDITS):
        viewers = np.exp(generator.normal(3, 2, _POPULATION))
        mismatch = generator.random(_POPULATION) < true_share
        truths = mismatch.mean(), (viewers @ mismatch) / viewers.sum()
        for row, stratified in zip(covered, (False, True), strict=True):
            sample, weights, strata = _sample(generator, viewers, stratified)
            chance = np.where(mismatch[sample], _SENSITIVITY, 1 - _SPECIFICITY)
            answers = generator.random(len(sample)) < chance
            for cell, truth, w in zip(row, truths, (weights, weights * viewers[sample]), strict=True):
                share = weighted_share(mismatch[sample], w, strata)
                corrected = corrected_share(weighted_share(answers, w, strata), _validated(generator))
                assert corrected is not None
                cell += [share.low <= truth <= share.high, corrected.low <= truth <= corrected.high]
    assert (covered / _AUDITS >= _LEAST).all(), covered / _AUDITS


def _sample(
    generator: np.random.Generator, viewers: np.ndarray, stratified: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return indices, weights and strata of 200 streams: at random, or proportional to six bands of viewers."""
    bands = np.digitize(viewers, np.exp([0, 2, 3, 4, 6])) if stratified else np.zeros(len(viewers), np.int64)
    order = generator.permutation(len(viewers))
    chosen, weights = [], []
    for band in np.unique(bands):
        members = order[bands[order] == band]
        count = max(2, round(200 * len(members) / len(viewers)))
        chosen.append(members[:count])
        weights.append(np.full(count, len(members) / count))
    sample = np.concatenate(chosen)
    return sample, np.concatenate(weights), bands[sample]


def _validated(generator: np.random.Generator) -> ErrorRates:
    """Return the error rates as a validation on 300 streams each finds them."""
    hits = generator.binomial(_VALIDATION, [_SENSITIVITY, _SPECIFICITY]) / _VALIDATION
    return ErrorRates(hits[0], _VALIDATION, hits[1], _VALIDATION)
