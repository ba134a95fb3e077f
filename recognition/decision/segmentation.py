"""Segmentation: looks at a recording become chapters, and a cut between two chapters is located. NumPy only.

A look is one classified frame. Each state (a game, or no known game) costs a look its negative log-likelihood, at most
`_MAX_COST`, and each change of state costs `CHANGE_COST`: the Viterbi algorithm finds the cheapest sequence. A single
wrong look costs less than two changes, so it makes no chapter.

A cut is located by probabilistic bisection (Horstein 1963; Waeber, Frazier, Henderson 2013): each look is evidence for
one side, of limited strength, so a wrong look is outvoted by later ones and an unknown one moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Any

import numpy as np

from data.entities import Game
from data.text import valid_unicode
from model.inference.probabilities import softmax

LOOK_EVERY_S = 30.0  # default interval of the first looks
_MAX_COST = 4.0  # of a look: one frame in 55 may show what the model is sure it does not show
CHANGE_COST = 5.0  # above _MAX_COST: one look at an end makes no chapter; below twice that: two looks there do
_UNKNOWN_COST = 1.0  # that a frame which resembles no game belongs to a game: a menu, a loading screen, a bad frame
_SCREEN_COST = 2.0  # the same for a frame in which the screen head sees no gameplay
_CLOSEST_BONUS = 0.25  # of it, for the closest game of such a frame
_MIN_CERTAINTY = 0.95  # that a cut lies in the gap between two looks
_MIN_GAP_S = 0.1

OnLook = Callable[[int, int], object]  # (looks that are done, looks that are planned so far)


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of a recording in which one game is played.

    start_s, end_s: seconds from the recording's start.
    game: None if no known game is shown. known: whether there is one.
    confidence: mean probability of the game, or of the closest one, 0 to 1.
    screen: what is shown instead of gameplay, one of SCREEN_KINDS; "" for gameplay, and if that is not known.
    """

    start_s: float
    end_s: float
    game: Game | None
    known: bool
    confidence: float
    screen: str = ""

    @property
    def title(self) -> str:
        """Return the name of the game, of the screen, or "Unknown"."""
        return self.game.name if self.game else self.screen.capitalize() or "Unknown"

    def as_json(self) -> dict[str, Any]:
        """Return the chapter as a JSON object."""
        return {
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "known": self.known,
            "game": {"id": self.game.id, "name": valid_unicode(self.game.name)} if self.game else None,
            "confidence": round(min(max(0.0, self.confidence), 1.0), 6),
            "screen": self.screen or None,
        }


def look_costs(logits: np.ndarray, known: np.ndarray, screens: np.ndarray | None) -> np.ndarray:
    """Return what each state costs each look, float64 (n, classes + 1); the last state is no known game.

    logits: (n, classes). known: bool (n,). screens: margins of screens over gameplay, (n, kinds); None: unknown.
    """
    probabilities = softmax(logits)  # (n, classes)
    is_screen = np.zeros(len(known), bool) if screens is None else screens.max(axis=1) > 0
    with np.errstate(divide="ignore"):
        none = -np.log(1 - probabilities.max(axis=1, keepdims=True))  # (n, 1)
        costs = np.minimum(np.hstack([-np.log(probabilities), none]), _MAX_COST)
    unlike = np.where(is_screen, _SCREEN_COST, _UNKNOWN_COST)[:, None] - _CLOSEST_BONUS * probabilities
    return np.where((known & ~is_screen)[:, None], costs, np.pad(unlike, ((0, 0), (0, 1))))


def cheapest_states(costs: np.ndarray, change_cost: float = CHANGE_COST) -> np.ndarray:
    """Return the state of each look, int (n,), with the smallest sum of costs (n, states) and changes; n at least 1."""
    total = costs[0]
    arrivals = []  # for each look but the first: whether each state is entered there, and the state before
    for cost in costs[1:]:
        before = int(total.argmin())
        entered = total > total[before] + change_cost
        arrivals.append((entered, before))
        total = np.where(entered, total[before] + change_cost, total) + cost
    states = [int(total.argmin())]
    for entered, before in reversed(arrivals):
        states.append(before if entered[states[-1]] else states[-1])
    return np.array(states[::-1])


class CutSearch:
    """Probabilistic bisection of the time at which one chapter ends and the next one begins.

    looks: of both sides, at least two, as (time, evidence for the first chapter): its log-likelihood over the second's.
    precision_s: the width of the gap in which the cut is sought.
    Take a look at `next_look` and `add` it, until that is None.
    """

    def __init__(self, looks: Iterable[tuple[float, float]], precision_s: float, max_looks: int = 24) -> None:
        self._precision_s = max(precision_s, _MIN_GAP_S)
        self._looks = sorted(looks)
        self._left = max_looks

    def add(self, time_s: float, evidence: float) -> None:
        """Add a look; evidence 0: it says nothing."""
        self._looks = sorted([*self._looks, (time_s, evidence)])
        self._left -= 1

    @property
    def cut_s(self) -> float:
        """Return the median of the cut's distribution, in seconds."""
        gaps = self._gaps()
        reached = np.cumsum([0.0, *(gap[2] for gap in gaps)])
        return float(np.interp(reached[-1] / 2, reached, [gaps[0][0], *(gap[1] for gap in gaps)]))

    @property
    def next_look(self) -> tuple[float, float] | None:
        """Return where to look next, in seconds, and a time that the frame must be later than; None: no more looks."""
        gaps = self._gaps()
        best = max(gaps, key=lambda gap: gap[2])
        others = [gap for gap in gaps if gap is not best and gap[1] - gap[0] > _MIN_GAP_S]
        if best[1] - best[0] > self._precision_s:
            start_s, end_s, _ = _median_gap(gaps)
        elif best[2] < _MIN_CERTAINTY and others:
            start_s, end_s, _ = _median_gap(others)  # where the cut would be if a look was wrong
        else:
            return None
        if end_s - start_s <= _MIN_GAP_S:
            start_s, end_s, _ = best
        return ((start_s + end_s) / 2, start_s) if self._left > 0 and end_s - start_s > _MIN_GAP_S else None

    def _gaps(self) -> list[tuple[float, float, float]]:
        """Return (start, end, probability that the cut lies there) of each gap between two looks."""
        evidence = np.array([value for _, value in self._looks])
        before = np.cumsum(evidence)[:-1]  # of the looks up to each gap
        gaps = [(start_s, end_s) for (start_s, _), (end_s, _) in pairwise(self._looks)]
        widths = np.array([log(max(end_s - start_s, 1e-6)) for start_s, end_s in gaps])
        scores = softmax(before + widths)  # a uniform prior: a wider gap is more probable
        return [(*gap, float(score)) for gap, score in zip(gaps, scores, strict=True)]


def _median_gap(gaps: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Return the gap in which the median of the probability lies; of two that it lies between, the wider one."""
    total, at = sum(gap[2] for gap in gaps) / 2, 0.0
    for index, gap in enumerate(gaps):
        at += gap[2]
        if at >= total - 1e-9:
            following = gaps[index + 1 : index + 2] if at <= total + 1e-9 else []
            return max([gap, *following], key=lambda g: g[1] - g[0])
    return gaps[-1]
