"""Outcomes: what an audit found out about one stream, and the categories whose answers are reliable enough to count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from data.entities import Game
from model.inference.calibration import is_sure

if TYPE_CHECKING:
    from model.evaluation.game_metrics import GameMetrics
    from recognition.decision.verdict import Verdict


SECOND_LOOK = "second look: "  # begins the reason of a mismatch that the second look has taken back
OTHER_CATEGORIES = "others"  # in counts of categories: the sum of all that are not named there


class Outcome(str, Enum):
    """The category that a streamer declares, compared with the picture."""

    MATCH = "match"
    OTHER_GAME = "other game"  # another game of the model: the only outcome that is a mismatch
    NO_GAME = "no game"  # a menu, an intermission, somebody who talks, a desktop
    UNKNOWN = "unknown"  # a game that the model does not know, or an answer that is not reliable
    NOT_CONFIRMED = "not confirmed"  # another game at the first look only; counts as unknown
    FAILED = "failed"  # no frame; in no denominator


@dataclass(frozen=True, slots=True)
class AuditedStream:
    """One stream of an audit.

    category: what the streamer declares; None: nothing.
    viewers: at the time of the listing.
    stratum: name of the stream's stratum; "" without sampling.
    weight: live streams of the stratum for each one that was looked at, at least 1; 1 without sampling; 0 if not live.
    shown: the game in the picture, the closest one of an unknown picture; None without a verdict.
    screen: the kind of screen of a stream that shows no game, else "".
    confidence: of `shown`, 0 to 1.
    frames: classified, over all looks.
    looks: 1 or 2.
    reason: why a look failed, or what the second one has seen, one line; may be empty.
    jpeg: the frame that speaks most for `shown`; b"" if none was kept.
    """

    login: str
    category: Game | None
    viewers: int
    language: str
    stratum: str
    weight: float
    outcome: Outcome
    shown: Game | None
    screen: str
    confidence: float
    frames: int
    looks: int
    at: datetime
    reason: str = ""
    jpeg: bytes = b""

    @property
    def taken_back(self) -> bool:
        """Return whether the second look says that the first one was wrong, and not only that it cannot be repeated."""
        return self.outcome == Outcome.NOT_CONFIRMED and self.reason.startswith(SECOND_LOOK)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The model's reliability by class, and the bound from which on a class counts.

    games: metrics of the model's classes on validation streams, by game id; empty for a model without such metrics.
    min_precision: least precision by stream of a class that counts, 0 to 1.
    """

    games: Mapping[int, GameMetrics]
    min_precision: float

    def metrics(self, category: Game | None) -> GameMetrics | None:
        """Return the metrics of the class that is this category; None without such a class."""
        if category is None:
            return None
        found = self.games.get(category.id)  # of an own id only the name counts
        if found and found.game.is_same(category):
            return found
        return next((metrics for metrics in self.games.values() if metrics.game.is_same(category)), None)

    def judges(self, category: Game | None) -> bool:
        """Return whether the category is a class of the model whose precision reaches the bound."""
        return self.why_not(category) == ""

    def why_not(self, category: Game | None) -> str:
        """Return why streams of this category are not judged; "" if they are."""
        if category is None:
            return "no category"
        metrics = self.metrics(category)
        if metrics is None:
            return "not a game of the model"
        if metrics.precision is None and self.min_precision:
            return "precision not measured"
        return "" if (metrics.precision or 0.0) >= self.min_precision else "precision below the bound"


def outcome_of(verdict: Verdict, category: Game | None, judged: Judgement) -> Outcome:
    """Return what one look at a stream says; a mismatch counts only if a second look says the same.

    Only a sure answer contradicts a streamer: a game that the model does not know may look like one that it knows.
    Only streams whose category `judged` judges count in a report: without a category, a known game is UNKNOWN.
    """
    if verdict.known and category and verdict.game.is_same(category):
        return Outcome.MATCH
    if verdict.screen:  # also of a known game: a menu over its blurred picture is no mismatch
        return Outcome.NO_GAME
    sure = verdict.known and is_sure(verdict.confidence, verdict.unknown_frames / verdict.frames)
    return Outcome.OTHER_GAME if sure and category and judged.judges(verdict.game) else Outcome.UNKNOWN
