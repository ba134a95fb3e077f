"""Report of an audit as values: shares with intervals, categories, mismatches, what is not judged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from data.entities import Game
from recognition.reports.model_errors import error_rates
from recognition.reports.outcomes import OTHER_CATEGORIES, AuditedStream, Judgement, Outcome
from recognition.reports.shares import ErrorRates, Share, corrected_share, weighted_share
from recognition.reports.trend import HASH, Observation, read_history

SCHEMA = 1
SHARED = (Outcome.MATCH, Outcome.OTHER_GAME, Outcome.NO_GAME, Outcome.UNKNOWN)  # their shares sum to 1
_MAX_VIEWERS = 10**9  # and weight: a damaged row costs no report


@dataclass(frozen=True, slots=True)
class AuditAbout:
    """What was audited, by which model, and what it cost.

    scope: for people. model: its name. model_hash: SHA-256 of its file. listed: live streams in the scope.
    sampled: streams that were chosen to be looked at. not_judged: category's name, live streams and viewers of what is
    not judged. seconds, cpu_seconds: wall time and processor time. bytes: received. version: of this program.
    """

    id: int
    scope: str
    started: datetime
    ended: datetime
    model: str
    model_hash: str
    listed: int
    sampled: int
    not_judged: tuple[tuple[str, int, int], ...]
    seconds: float
    cpu_seconds: float
    frames: int
    requests: int
    bytes: int
    version: str


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of the outcomes, counting each stream once or once for each viewer.

    outcomes: observed share of each of SHARED. rates: the model's errors on validation streams of these categories;
    None if not measured. corrected: share of OTHER_GAME without these errors; None if it cannot be corrected.
    """

    outcomes: Mapping[Outcome, Share]
    rates: ErrorRates | None
    corrected: Share | None

    @property
    def mismatch(self) -> Share:
        """Return the share of streams that show another game: corrected where possible."""
        return self.corrected or self.outcomes[Outcome.OTHER_GAME]


@dataclass(frozen=True, slots=True)
class CategoryResult:
    """What the streams of one category show.

    streams: looked at, without failed ones. counts: of them, by outcome in SHARED. share: of OTHER_GAME among live
    streams of the category, observed. by_mistake: expected number of OTHER_GAME if all streams matched; None: unknown.
    """

    category: Game
    streams: int
    viewers: int
    counts: Mapping[Outcome, int]
    share: Share
    by_mistake: float | None


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All that the page and the files say.

    streams: all that were looked at. by_streams, by_viewers: shares among judged categories. categories: most
    mismatches first. mismatches: most certain first. not_judged: category, reason, streams, viewers; most streams
    first. failures: reasons with their number, most frequent first. unconfirmed: mismatches at the first look only.
    population: live streams that `streams` stand for. history: earlier audits and this one, oldest first.
    """

    about: AuditAbout
    min_precision: float
    streams: tuple[AuditedStream, ...]
    by_streams: Shares
    by_viewers: Shares
    categories: tuple[CategoryResult, ...]
    mismatches: tuple[AuditedStream, ...]
    not_judged: tuple[tuple[str, str, int, int], ...]
    failures: tuple[tuple[str, int], ...]
    unconfirmed: int
    population: int
    history: tuple[Observation, ...]

    @property
    def judged(self) -> int:
        """Return the number of streams that were looked at and judged."""
        return sum(result.streams for result in self.categories)

    def count(self, outcome: Outcome) -> int:
        """Return the number of judged streams with this outcome."""
        return sum(result.counts[outcome] for result in self.categories)

    def summary(self) -> dict[str, Any]:
        """Return what later audits of this scope need for the trend: JSON values, no logins."""
        return {"schema": SCHEMA, **self.history[-1].to_summary()}


def make_report(
    streams: Iterable[AuditedStream],
    judgement: Judgement,
    about: AuditAbout,
    history: Sequence[tuple[datetime, Mapping[str, Any]]] = (),
) -> AuditReport:
    """Return the report of an audit. history: begin and summary() of earlier audits of this scope, oldest first."""
    every = tuple(streams)
    judged = [stream for stream in every if stream.outcome != Outcome.FAILED and judgement.judges(stream.category)]
    strata = _indices([stream.stratum for stream in judged])  # (judged,)
    weights = np.array([_weight(stream) for stream in judged])
    viewers = weights * [_viewers(stream) for stream in judged]
    by_streams, by_viewers = (_shares(judged, w, strata, judgement) for w in (weights, viewers))
    mismatches = (stream for stream in judged if stream.outcome == Outcome.OTHER_GAME)
    failed = [stream for stream in every if stream.outcome == Outcome.FAILED]
    shares = by_streams.mismatch, by_viewers.mismatch
    is_corrected, model = by_streams.corrected is not None, about.model_hash[:HASH]
    present = Observation(about.started, len(judged), *shares, is_corrected, model)
    return AuditReport(
        about=about,
        min_precision=judgement.min_precision,
        streams=every,
        by_streams=by_streams,
        by_viewers=by_viewers,
        categories=_categories(judged, weights, strata, judgement),
        mismatches=tuple(sorted(mismatches, key=lambda stream: -stream.confidence)),
        not_judged=_not_judged(every, judgement, about),
        failures=tuple(Counter(stream.reason or "no frame" for stream in failed).most_common()),
        unconfirmed=sum(stream.outcome == Outcome.NOT_CONFIRMED for stream in judged),
        population=round(weights.sum() + sum(map(_weight, failed))),
        history=(*read_history(history), present),
    )


def shared_outcome(outcome: Outcome) -> Outcome:
    """Return the outcome as shares count it: what is not confirmed is unknown."""
    return Outcome.UNKNOWN if outcome == Outcome.NOT_CONFIRMED else outcome


def _weight(stream: AuditedStream) -> float:
    return min(max(stream.weight, 0.0), float(_MAX_VIEWERS)) if math.isfinite(stream.weight) else 0.0


def _viewers(stream: AuditedStream) -> int:
    return min(max(stream.viewers, 0), _MAX_VIEWERS)


def _indices(names: Sequence[str]) -> np.ndarray:
    """Return the number of each name, from 0, int64."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _is(streams: Sequence[AuditedStream], outcome: Outcome) -> np.ndarray:
    return np.array([shared_outcome(stream.outcome) == outcome for stream in streams], bool)


def _shares(streams: Sequence[AuditedStream], weights: np.ndarray, strata: np.ndarray, judgement: Judgement) -> Shares:
    outcomes = {outcome: weighted_share(_is(streams, outcome), weights, strata) for outcome in SHARED}
    by_category: Counter[Game] = Counter()
    for stream, weight in zip(streams, weights, strict=True):
        if stream.category:
            by_category[stream.category] += weight
    taken_back = np.array([stream.taken_back for stream in streams], bool)
    rates = error_rates(by_category, judgement, weighted_share(taken_back, weights, strata).value)
    return Shares(outcomes, rates, corrected_share(outcomes[Outcome.OTHER_GAME], rates) if rates else None)


def _categories(
    streams: Sequence[AuditedStream], weights: np.ndarray, strata: np.ndarray, judgement: Judgement
) -> tuple[CategoryResult, ...]:
    """Return the result of each category, the one with the most mismatches first."""
    places: dict[int, list[int]] = {}
    for place, stream in enumerate(streams):
        if stream.category:
            places.setdefault(stream.category.id, []).append(place)
    results = []
    for chosen in places.values():
        members = [streams[place] for place in chosen]
        category = members[0].category
        assert category is not None
        counts = Counter(shared_outcome(stream.outcome) for stream in members)
        rates = error_rates({category: 1.0}, judgement)
        results.append(
            CategoryResult(
                category,
                len(members),
                sum(map(_viewers, members)),
                {outcome: counts[outcome] for outcome in SHARED},
                weighted_share(_is(members, Outcome.OTHER_GAME), weights[chosen], strata[chosen]),
                None if rates is None else len(members) * (1 - rates.specificity),
            )
        )
    return tuple(sorted(results, key=lambda result: (-result.counts[Outcome.OTHER_GAME], -result.streams)))


def _not_judged(
    streams: Iterable[AuditedStream], judgement: Judgement, about: AuditAbout
) -> tuple[tuple[str, str, int, int], ...]:
    """Return category, reason, streams and viewers of what is not judged, most streams first."""
    by_name = {metrics.game.name.casefold(): metrics.game for metrics in judgement.games.values()}
    rows: dict[str, list[int]] = {name: [count, viewers] for name, count, viewers in about.not_judged}
    for stream in streams:  # of a category that was changed between the listing and the look
        if stream.outcome != Outcome.FAILED and not judgement.judges(stream.category):
            row = rows.setdefault(stream.category.name if stream.category else "", [0, 0])
            row[0], row[1] = row[0] + 1, row[1] + _viewers(stream)
    return tuple(
        (name, _why_not(name, by_name.get(name.casefold()), judgement), count, viewers)
        for name, (count, viewers) in sorted(rows.items(), key=lambda item: -item[1][0])
    )


def _why_not(name: str, game: Game | None, judgement: Judgement) -> str:
    """Return why a category of this name, perhaps the `game` of the model, is not judged."""
    if name == OTHER_CATEGORIES:
        return "small categories"
    return judgement.why_not(game or Game(0, name)) if name else judgement.why_not(None)
