"""Alert rules: which events of a watch are news, compared with what was reported last of the same source.

The outbox stores what was reported, so that a watch that starts again does not report the same game twice.

    first answer of a source                          start
    another game than reported                        change; unknown if it is no known game
    category and picture differ for two minutes       mismatch, once for each pair of category and game
    the reported mismatch is over                     match
    the stream ended, also while nobody watched       end
    no answer                                         failure
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from data.entities import Game
from data.errors import StreamOffline
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, as_json
from recognition.outputs.targets.base import CHANGE, END, FAILURE, MATCH, MISMATCH, START, UNKNOWN, Alert

# Categories are requested once a minute: one that the streamer changes with the game is not wrong.
MISMATCH_AFTER_S = 120.0

CategoryOf = Callable[[str], Game | None]


@dataclass(frozen=True, slots=True)
class Reported:
    """What was reported of a source: its game, None for "unknown", and the ids of a mismatch that is not over."""

    game: Game | None
    mismatch: tuple[int, int] | None = None  # (game, category)


class AlertRules:
    """Turns events into alerts. `reported` holds the state by source; the caller stores what changes of it."""

    def __init__(
        self,
        reported: Mapping[str, Reported],
        *,
        category_of: CategoryOf | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
        mismatch_after_s: float = MISMATCH_AFTER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with what was reported before.

        category_of: returns the current category of a source, at once; None: only events have categories.
        is_stopping: whether the watch is being ended: then a verdict does not mean that the stream ended.
        mismatch_after_s: seconds for which category and picture differ before a mismatch is reported.
        """
        self.reported = dict(reported)
        self._category_of, self._is_stopping = category_of, is_stopping
        self._mismatch_after_s, self._clock = mismatch_after_s, clock
        self._changes: dict[str, GameChanged] = {}  # the latest of each source
        self._differs: dict[str, tuple[tuple[int, int], float]] = {}  # (game, category), since when on the clock

    def alerts_of(self, event: Event) -> list[Alert]:
        """Return the event's alerts, often none, and update `reported`."""
        if isinstance(event, GameChanged):
            return self._on_change(event)
        if isinstance(event, FrameClassified):
            return self._on_frame(event)
        if isinstance(event, VerdictReached):
            return [] if self._is_stopping() else self._on_end(event)
        return self._on_failure(event)

    def _on_change(self, event: GameChanged) -> list[Alert]:
        self._changes[event.source] = event
        last = self.reported.get(event.source)
        if last is None:
            kind = START
        elif _id(last.game) != _id(event.after):
            kind = CHANGE if event.after else UNKNOWN
        else:
            return self._compare(event)
        event = replace(event, before=last.game if last else event.before)
        self.reported[event.source] = Reported(event.after, last.mismatch if last else None)
        return [self._alert(kind, event), *self._compare(event)]

    def _on_frame(self, event: FrameClassified) -> list[Alert]:
        change = self._changes.get(event.source)
        if not (change and self._category_of):
            return []
        category = self._category_of(event.source)
        return self._compare(replace(change, at=event.at, category=category, jpeg=event.jpeg))

    def _compare(self, event: GameChanged) -> list[Alert]:
        """Compare the picture with the category."""
        source, last = event.source, self.reported[event.source]
        if not event.mismatch:
            self._differs.pop(source, None)
            if event.mismatch is None or not last.mismatch:
                return []
            self.reported[source] = replace(last, mismatch=None)
            return [self._alert(MATCH, event)]
        assert event.after
        assert event.category
        pair, now = (event.after.id, event.category.id), self._clock()
        if self._differs.get(source, ((), 0.0))[0] != pair:
            self._differs[source] = pair, now
        if last.mismatch == pair or now - self._differs[source][1] < self._mismatch_after_s:
            return []
        self.reported[source] = replace(last, mismatch=pair)
        return [self._alert(MISMATCH, event)]

    def _alert(self, kind: str, event: GameChanged) -> Alert:
        """Return an alert of a source that is live; `reported` holds what it leads to."""
        return _alert(
            kind,
            event,
            before=event.before,
            game=event.after,
            known=event.known,
            confidence=event.confidence,
            category=event.category,
            mismatch=event.mismatch,
            mismatch_reported=self.reported[event.source].mismatch is not None,
            jpeg=event.jpeg,
        )

    def _on_end(self, event: VerdictReached) -> list[Alert]:
        verdict = event.verdict
        return [
            _alert(
                END,
                event,
                before=self._forget(event.source),
                game=verdict.game if verdict.known else None,
                known=verdict.known,
                confidence=verdict.confidence,
                category=event.category,
                mismatch=event.mismatch,
                jpeg=event.jpeg,
            )
        ]

    def _on_failure(self, event: SourceFailed) -> list[Alert]:
        # A stream of which something was reported, and that is not live any more, ended while nobody watched.
        kind = END if isinstance(event.error, StreamOffline) and event.source in self.reported else FAILURE
        last = self.reported.get(event.source)
        before = self._forget(event.source) if kind == END else last and last.game
        return [_alert(kind, event, before=before, message=str(event.error))]

    def _forget(self, source: str) -> Game | None:
        """Forget what was reported of a source; return its game."""
        self._changes.pop(source, None)
        self._differs.pop(source, None)
        last = self.reported.pop(source, None)
        return last.game if last else None


def _id(game: Game | None) -> int | None:
    return game.id if game else None  # a model of another day may spell the name differently


def _alert(kind: str, event: Event, **values: Any) -> Alert:
    return Alert(uuid.uuid4().hex, kind, event.source, event.at, event=as_json(event), **values)
