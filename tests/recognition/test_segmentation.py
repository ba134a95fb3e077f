"""Segmentation: which looks make chapters, and where a cut is found although looks are wrong or unknown."""

from __future__ import annotations

import random

import numpy as np
import pytest

from recognition.decision.segmentation import CutSearch, cheapest_states, look_costs

A, B, C, NONE = range(4)
# How a frame of each kind is classified: logits of three games, whether it is known, the margin of a screen.
FRAMES = {
    "a": ([9.0, 0.0, 0.0], True, -1.0),
    "b": ([0.0, 9.0, 0.0], True, -1.0),
    "c": ([0.0, 0.0, 9.0], True, -1.0),
    "?": ([0.4, 0.0, 0.2], False, -1.0),  # unlike all training data
    "m": ([0.0, 5.0, 0.0], True, 1.0),  # a menu, which looks like game B
}


def costs(kinds: str) -> np.ndarray:
    """Return the costs of looks of these kinds."""
    logits, known, margins = zip(*(FRAMES[kind] for kind in kinds), strict=True)
    return look_costs(np.array(logits), np.array(known), np.array(margins)[:, None])


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ("aaaabbbb", [A] * 4 + [B] * 4),
        ("aaaabaaaa", [A] * 9),  # one wrong look
        ("baaaaaaaa", [A] * 9),
        ("aaaaaaaab", [A] * 9),
        ("aaaabbbaaaa", [A] * 4 + [B] * 3 + [A] * 4),
        ("bbaaaaaaa", [B] * 2 + [A] * 7),
        ("aabcbccacc", [A] * 2 + [C] * 8),  # hardly sure of anything
        ("aaa??????aaa", [A] * 12),  # menus of three minutes
        ("aaammmaaa", [A] * 9),
        ("aaa" + 12 * "?" + "aaa", [A] * 3 + [NONE] * 12 + [A] * 3),
        ("mmmmmmbbb", [NONE] * 6 + [B] * 3),
        ("aaa??bbb", None),
        ("?????", [NONE] * 5),
        ("a", [A]),
    ],
)
def test_states_are_those_that_most_looks_agree_on(looks, expected):
    """A single wrong look changes nothing, a few unknown ones belong to a neighbour, and many are a chapter."""
    states = cheapest_states(costs(looks)).tolist()
    if expected is None:  # the two unknown looks may belong to either game
        assert set(states) == {A, B}
        assert states == sorted(states)
    else:
        assert states == expected


def test_states_are_the_cheapest_of_all_sequences():
    """Compared with every sequence of two states over ten random looks."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        cost = rng.uniform(0, 4, (10, 2))
        sequences = (np.arange(1024)[:, None] >> np.arange(10)) & 1  # (1024, 10)
        totals = cost[np.arange(10), sequences].sum(axis=1) + 3.0 * np.abs(np.diff(sequences, axis=1)).sum(axis=1)
        assert cheapest_states(cost, 3.0).tolist() == sequences[totals.argmin()].tolist()


def test_model_that_is_certain_costs_no_more_than_the_limit():
    """Logits of 1,000 give no infinite cost, and none that is not a number."""
    found = look_costs(np.array([[1000.0, 0.0]]), np.array([True]), None)
    assert found.tolist() == [[0.0, 4.0, 4.0]]


def located(rng: random.Random, cut_s: float, wrong: float, unknown: float) -> tuple[float, int]:
    """Return the error in seconds of a search for a cut, and its number of looks."""

    def evidence(time_s: float) -> float:
        kind = rng.random()
        right = 4.0 if time_s < cut_s else -4.0
        return 0.0 if kind < unknown else -right if kind < unknown + wrong else right

    search = CutSearch([(t, 4.0 if t < cut_s else -4.0) for t in (0.0, 30.0, 60.0, 90.0)], 1.0)
    count = 0
    while at := search.next_look:
        assert at[1] < at[0]
        search.add(at[0], evidence(at[0]))
        count += 1
    return abs(search.cut_s - cut_s), count


@pytest.mark.parametrize(("wrong", "unknown", "worst", "looks"), [(0.0, 0.0, 0.5, 10), (0.05, 0.1, 2.0, 24)])
def test_cut_is_found_although_looks_are_wrong_or_unknown(wrong, unknown, worst, looks):
    """Of 300 cuts, each but one in a hundred within `worst` seconds, with at most `looks` looks each."""
    rng = random.Random(3)
    found = [located(rng, rng.uniform(31, 59), wrong, unknown) for _ in range(300)]
    errors = sorted(error for error, _ in found)
    assert errors[150] < 0.5
    assert errors[-1 if not wrong else -6] <= worst
    assert max(count for _, count in found) <= looks


def test_search_ends_where_no_look_tells_anything():
    """A black screen of 30 seconds between two games: the cut is within it."""
    search = CutSearch([(0.0, 4.0), (30.0, -4.0)], 1.0)
    while at := search.next_look:
        search.add(at[0], 0.0)
    assert 0 < search.cut_s < 30
