"""Chapter search, coarse to fine: which game is played when in a recording, from few of its frames.

look at a frame in each interval
find the cheapest segmentation of the looks
look again beside each look that contradicts its segment or is its segment's only one; segment again
give each segment the verdict of its looks; join neighbours of the same verdict
bisect each cut between two segments, all at once: one round of looks for all cuts
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from math import ceil, inf
from typing import TYPE_CHECKING

import numpy as np

from data.errors import UndecodableVideo
from data.text import plural
from data.video.images import decode_jpeg
from data.video.sampling import FrameRequest, RecordedFrame
from model.inference.calibration import ScoredLogits
from recognition.decision.segmentation import Chapter, CutSearch, OnLook, cheapest_states, look_costs
from recognition.decision.verdict import Verdict, VerdictAccumulator
from recognition.engine.single_source import prefetch

if TYPE_CHECKING:
    from data.capture.recording_reader import OpenRecording
    from recognition.engine.batching import ImageClassifier

_MIN_EVERY_S = 0.1
_MAX_LOOKS = 6000  # of the first round: two days, the longest VOD of Twitch, every 30 s
_BESIDE = 0.25  # of the interval: how far from a doubtful look another one is taken, on both sides
_DOUBT_ROUNDS = 2  # a look that was beside a doubtful one may be doubtful, too
_MAX_MISSING = 0.1  # of the first looks, without a warning
_TICK_S = 0.001  # of a chapter's times: files have no shorter chapters
_NEIGHBOURS = 3  # looks on each side of a cut that its search knows from the beginning

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """A classified frame: time in seconds, its prediction alone, the cost of each state, (classes + 1,)."""

    time_s: float
    scored: ScoredLogits
    costs: np.ndarray


@dataclass(frozen=True, slots=True)
class _Segment:
    """Looks that are one chapter, oldest first, at least one; the states of the first and of the last; the verdict."""

    looks: tuple[Look, ...]
    first_state: int
    last_state: int
    verdict: Verdict

    @property
    def shown(self) -> tuple[int, str]:
        """Return what a chapter shows: neighbours that show the same are one chapter."""
        return (self.verdict.game.id, "") if self.verdict.known else (0, self.verdict.screen)


class ChapterSearch:
    """Finds the chapters of one recording.

    reader: the recording. classifier, new_accumulator: as for the verdict of a stream.
    look_every_s: interval of the first looks; a shorter visit to a game may be missed.
    precision_s: width of the gap in which a cut is sought; it is reported at the middle.
    """

    def __init__(
        self,
        reader: OpenRecording,
        classifier: ImageClassifier,
        new_accumulator: Callable[[], VerdictAccumulator],
        look_every_s: float,
        precision_s: float,
    ) -> None:
        self._reader, self._classifier, self._new_accumulator = reader, classifier, new_accumulator
        self._every_s, self._precision_s = max(look_every_s, _MIN_EVERY_S), precision_s
        self.classes = classifier.classes
        self.looks: list[Look] = []  # all, in no order
        self._on_look: OnLook | None = None
        self._wanted = 0  # requests so far

    def chapters(self, on_look: OnLook | None = None) -> list[Chapter]:
        """Return the chapters, which cover the recording without gaps. Raises StreamError, UndecodableVideo.

        on_look: called after each look with how many requests are done, and how many there are so far.
        """
        self._on_look = on_look
        count = min(_MAX_LOOKS, max(1, ceil(self._reader.duration_s / self._every_s)))
        step_s = self._reader.duration_s / count
        # In the middle of each interval: the very first frame of a recording is often black.
        looks = self.take(FrameRequest((index + 0.5) * step_s, index * step_s) for index in range(count))
        if not looks:
            raise UndecodableVideo("no picture of the recording can be decoded")
        if (missing := count - len(looks)) > _MAX_MISSING * count:
            log.warning("%d of the %s found no picture; chapters may be missing", missing, plural(count, "look"))
        for _ in range(_DOUBT_ROUNDS):
            if doubts := self._doubts(looks, _BESIDE * step_s):
                looks += self.take(doubts)
        segments = self._joined(self._segments(looks))
        cuts = self._cuts(segments)
        log.info("%s, %s", plural(len(self.looks), "look"), plural(len(segments), "segment"))
        return self._timed(segments, cuts)

    def take(self, requests: Iterable[FrameRequest]) -> list[Look]:
        """Return the looks at those frames that are found."""
        return list(self._requested(requests).values())

    def _requested(self, requests: Iterable[FrameRequest]) -> dict[FrameRequest, Look]:
        """Return the looks at those frames that are found. The next frame is fetched while one is classified."""
        in_order = sorted(requests, key=lambda request: request.time_s)
        before, number = self._wanted, {request: number for number, request in enumerate(in_order, 1)}
        self._wanted += len(in_order)
        looks: dict[FrameRequest, Look] = {}
        with prefetch(self._reader.frames(in_order)) as found:
            for request, frame in found:
                looks[request] = self._look(request, frame)
                if self._on_look:
                    self._on_look(before + number[request], self._wanted)
        self.looks.extend(looks.values())
        return looks

    def _look(self, request: FrameRequest, frame: RecordedFrame) -> Look:
        scored = self._classifier.predict(decode_jpeg(frame.jpeg)[None])  # (1, H, W, 3)
        # A frame that is shown for long may have come up before the time that was asked for.
        time_s = frame.time_s if frame.time_s > request.after_s else request.time_s
        return Look(time_s, scored, look_costs(scored.logits, scored.known, scored.screens)[0])

    def _doubts(self, looks: Sequence[Look], beside_s: float) -> list[FrameRequest]:
        """Return requests for frames beside the looks that contradict their segment, or are alone in it.

        A place that has another look nearby is left out.
        """
        times: set[float] = set()
        for segment in self._segments(looks):
            for look in segment.looks:
                is_contrary = look.scored.known[0] and int(look.costs.argmin()) != segment.first_state
                if is_contrary or len(segment.looks) == 1:
                    times |= {look.time_s - beside_s, look.time_s + beside_s}
        near_s = beside_s / 2
        wanted = np.array([t for t in times if 0 <= t < self._reader.duration_s])  # (n,)
        taken = np.array(sorted([-inf, inf, *(look.time_s for look in looks)]))
        after = np.searchsorted(taken, wanted)
        is_free = np.minimum(wanted - taken[after - 1], taken[after] - wanted) >= near_s
        return [FrameRequest(float(t), float(t) - near_s) for t in wanted[is_free]]

    def _segments(self, looks: Sequence[Look]) -> list[_Segment]:
        """Return the cheapest segmentation of looks, which may be in any order."""
        in_order = sorted({look.time_s: look for look in looks}.values(), key=lambda look: look.time_s)
        states = cheapest_states(np.array([look.costs for look in in_order]))
        groups = groupby(zip(map(int, states), in_order, strict=True), key=lambda pair: pair[0])
        return [self._segment([look for _, look in group], state, state) for state, group in groups]

    def _segment(self, looks: Sequence[Look], first_state: int, last_state: int) -> _Segment:
        accumulator = self._new_accumulator()
        for look in looks:
            accumulator.add_scored(look.scored)
        return _Segment(tuple(looks), first_state, last_state, accumulator.verdict())

    def _joined(self, segments: Sequence[_Segment]) -> list[_Segment]:
        """Return the segments; those that follow each other and show the same are one."""
        groups = [list(group) for _, group in groupby(segments, key=lambda segment: segment.shown)]
        return [
            self._segment([look for part in group for look in part.looks], group[0].first_state, group[-1].last_state)
            for group in groups
        ]

    def _timed(self, segments: Sequence[_Segment], cuts: Sequence[float]) -> list[Chapter]:
        """Return the segments as chapters."""
        ends = (max(_TICK_S, round(time_s, 3)) for time_s in (*cuts, self._reader.duration_s))
        spans = zip(segments, pairwise(accumulate(ends, max, initial=0.0)), strict=True)
        # Noise may order the cuts of a short segment wrongly: then it is none, and those beside it may be one chapter.
        left = [(segment, span) for segment, span in spans if span[0] < span[1]]
        groups = [list(group) for _, group in groupby(left, key=lambda pair: pair[0].shown)]
        joined = self._joined([segment for segment, _ in left])
        return [_chapter(one.verdict, g[0][1][0], g[-1][1][1]) for one, g in zip(joined, groups, strict=True)]

    def _cuts(self, segments: Sequence[_Segment]) -> list[float]:
        """Return the times of the cuts between the segments. Each round takes one look for each cut."""
        pairs = list(pairwise(segments))
        searches = [CutSearch(_known_evidence(*pair), self._precision_s) for pair in pairs]
        while wanted := {i: FrameRequest(*at) for i, search in enumerate(searches) if (at := search.next_look)}:
            looks = self._requested(wanted.values())
            for index, request in wanted.items():
                if look := looks.get(request):
                    searches[index].add(look.time_s, _evidence(look, *pairs[index]))
                else:  # damage: look beside it
                    searches[index].add(request.time_s, 0.0)
        return [search.cut_s for search in searches]


def _known_evidence(before: _Segment, after: _Segment) -> list[tuple[float, float]]:
    """Return the looks on both sides of a cut, as CutSearch takes them."""
    looks = [*before.looks[-_NEIGHBOURS:], *after.looks[:_NEIGHBOURS]]
    return [(look.time_s, _evidence(look, before, after)) for look in looks]


def _evidence(look: Look, before: _Segment, after: _Segment) -> float:
    """Return how much more a look costs in the state after a cut than in the one before it."""
    return float(look.costs[after.first_state] - look.costs[before.last_state])


def _chapter(verdict: Verdict, start_s: float, end_s: float) -> Chapter:
    game = verdict.game if verdict.known else None
    return Chapter(start_s, end_s, game, verdict.known, verdict.confidence, "" if game else verdict.screen)
