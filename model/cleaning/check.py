"""Check of a dataset: which streams and frames do not show the game of their folder. numpy only.

    whitening = scale the features so that frames of one stream vary alike in all directions        (space)
    whitening = the same, fitted without the outliers that the first one finds
    for each stream: probabilities of the games, from other streamers' frames only                  (streams)
        the best other game exceeds its own by 0.4: the stream is a suspect
    for each frame: closeness to its own stream and to its game; kind of screen                     (screens)
        unlike both: the frame is a suspect
        7 frames in a row prefer another game by 0.7: the streamer changed the game
    for each stream: like no game, and like example screens: a suspect
    for each frame that repeats another one: a suspect; the copy in an unsuspected stream is kept   (near_duplicates)

Three rules hold everywhere. A streamer never vouches for itself: a frame is compared with frames of other logins, or
with the rest of its own stream. A game without a second streamer has no suspect streams: nothing can be compared.
A suspicion of 0.5 is the limit: what is above it is a suspect.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import Game, StoredFrame
from data.errors import DatasetError
from model.cleaning import near_duplicates, screens
from model.cleaning.findings import DUPLICATE, OTHER_GAME, CheckResult, FrameFinding, StreamFinding
from model.cleaning.screens import FrameEvidence
from model.cleaning.space import Whitening, fit_whitening, unit_rows
from model.cleaning.streams import MARGIN, StreamMatch, Streams, match

# Limits of parts: higher than MARGIN, since 7 frames say less than a stream. Chosen on planted noise, seeds below 100.
_PART_MARGIN = 0.7  # of probability, mean of the frames in a row
_PART_FRAMES = 7
_SCREEN_SUSPICION = 0.6  # of a whole stream that shows no game: the least certain of the findings; by definition


def check(
    frames: Sequence[StoredFrame],
    features: np.ndarray,
    games: Sequence[Game],
    *,
    negatives: Mapping[str, np.ndarray],
    thumbnails: np.ndarray | None = None,
) -> CheckResult:
    """Return what is suspicious about each stream and each frame, ranked.

    Args:
        frames: of at least two games, two streamers and three streams; their `sha256` finds equal files.
        features: of each frame, float32 (n, k), as `model.cleaning.space.project` returns them.
        games: of all frames.
        negatives: features (m, k) of example screens without gameplay, by kind.
        thumbnails: of each frame, grey, uint8 (n, 900); without them only equal files are found to be duplicates.

    Raises:
        DatasetError: too few games or streams to compare.
    """
    require_comparable(frames)
    order = sorted(range(len(frames)), key=lambda row: (frames[row].game_id, frames[row].login, frames[row].number))
    frames, features = [frames[row] for row in order], features[order].astype(np.float32)
    streams = Streams.of(frames, {game.id: label for label, game in enumerate(games)})
    whitening = _fit_whitening(features, streams)
    features = whitening.apply(features)
    examples = {kind: whitening.apply(values) for kind, values in negatives.items()}
    found = match(features, streams, len(games))
    evidence = screens.examine(features, streams, found.labels, len(games), examples)
    findings = _Findings(frames, streams, games, found, evidence)
    each_stream = [findings.stream(number) for number in range(len(streams.labels))]
    each_frame = _with_duplicates(findings.frames(each_stream), None if thumbnails is None else thumbnails[order])
    by_suspicion = operator.attrgetter("suspicion")  # stable sorts: by game and login otherwise
    return CheckResult(
        tuple(sorted(each_stream, key=by_suspicion, reverse=True)),
        tuple(sorted(each_frame, key=by_suspicion, reverse=True)),
        float((found.margins <= 0).mean()),
    )


def require_comparable(frames: Iterable[StoredFrame]) -> None:
    """Raise DatasetError if there are too few games or streams to compare."""
    streams = {(frame.game_id, frame.login) for frame in frames}
    if len(streams) < 3 or min(len(set(part)) for part in zip(*streams, strict=True)) < 2:
        raise DatasetError(
            "A check compares games and streamers: it needs two games, two streamers and three streams. Collect "
            "more with python -m data.download, or import them with python -m data.add."
        )


def _fit_whitening(features: np.ndarray, streams: Streams) -> Whitening:
    """Return the whitening without the outliers that a first one finds."""
    first = fit_whitening(features, streams.of_frame)
    return fit_whitening(features, streams.of_frame, screens.is_inlier(unit_rows(first.apply(features)), streams))


@dataclass(frozen=True, slots=True, eq=False)
class _Findings:
    """Turns numbers into findings."""

    all_frames: Sequence[StoredFrame]
    streams: Streams
    games: Sequence[Game]
    found: StreamMatch
    evidence: FrameEvidence

    def stream(self, number: int) -> StreamFinding:
        """Return the finding about a stream."""
        rows = np.flatnonzero(self.streams.of_frame == number)
        first, margin, best = self.all_frames[rows[0]], float(self.found.margins[number]), self.found.best[number]
        about = first.game_id, first.login, len(rows)
        suspicion = _suspicion(margin, MARGIN)
        if suspicion < 0.5 and self.evidence.is_screen[number]:
            kind = str(self.evidence.screen_kinds[number])
            return StreamFinding(*about, _SCREEN_SUSPICION, kind, f"like no game; kind of screen: {kind}", None, True)
        if suspicion < 0.5:
            kinds, counts = np.unique(self.evidence.kinds[rows], return_counts=True)
            return StreamFinding(*about, suspicion, str(kinds[counts.argmax()]), "", None, False)
        reason = self._reason(self.found.probabilities[number], best, self.streams.labels[number], "its frames show")
        return StreamFinding(*about, suspicion, OTHER_GAME, reason, self.games[best], True)

    def frames(self, each_stream: Sequence[StreamFinding]) -> list[FrameFinding]:
        """Return the findings about all frames, in order."""
        margins, best = self._parts()
        findings = []
        for row, frame in enumerate(self.all_frames):
            stream = each_stream[self.streams.of_frame[row]]
            findings.append(self._frame(row, frame, stream, _suspicion(float(margins[row]), _PART_MARGIN), best[row]))
        return findings

    def _frame(
        self, row: int, frame: StoredFrame, stream: StreamFinding, part_suspicion: float, best: int
    ) -> FrameFinding:
        alone = float(np.clip(1 - self.evidence.closeness[row] / (2 * screens.OUTLIER), 0, 1))
        kind, spans = str(self.evidence.kinds[row]), int(self.evidence.spans[row])
        if self.evidence.is_outlier[row]:
            shown = self.games[self.evidence.games[row]] if self.evidence.games[row] >= 0 else None
            if stream.suspect and (shown or stream.suggested is None):
                kind, shown = stream.kind, stream.suggested
            reason = f"unlike its stream and its game: {kind}" if spans < 2 else f"{kind}, alike in {spans} games"
            return FrameFinding(frame, max(alone, 0.5, stream.suspicion), kind, reason, shown, True)
        if stream.suspect:
            return FrameFinding(frame, stream.suspicion, stream.kind, stream.reason, stream.suggested, True)
        if part_suspicion >= 0.5:
            label = self.streams.labels[self.streams.of_frame[row]]
            reason = self._reason(self.found.of_frames[row], best, label, "this part of the stream shows")
            return FrameFinding(frame, max(alone, part_suspicion), OTHER_GAME, reason, self.games[best], True)
        return FrameFinding(frame, min(0.49, max(alone, part_suspicion)), kind, "", None, False)

    def _reason(self, probabilities: np.ndarray, best: int, label: int, subject: str) -> str:
        return (
            f"{subject} {self.games[best].name} ({probabilities[best]:.0%}; its own game: {probabilities[label]:.0%})"
        )

    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return each frame's margin of the best other game over its own, averaged over the frames around it."""
        means, of_frame = np.empty_like(self.found.of_frames), self.streams.of_frame
        for rows in np.split(np.arange(len(of_frame)), np.flatnonzero(np.diff(of_frame)) + 1):
            sums = np.concatenate([np.zeros((1, means.shape[1])), np.cumsum(self.found.of_frames[rows], axis=0)])
            start = np.clip(np.arange(len(rows)) - _PART_FRAMES // 2, 0, max(0, len(rows) - _PART_FRAMES))
            end = np.minimum(start + _PART_FRAMES, len(rows))
            means[rows] = (sums[end] - sums[start]) / (end - start)[:, None]
        everyone, labels = np.arange(len(of_frame)), self.streams.labels[of_frame]
        own = means[everyone, labels]
        means[everyone, labels] = -1
        best = means.argmax(axis=1)
        return np.where(self.found.is_alone[of_frame], 0, means[everyone, best] - own), best


def _suspicion(margin: float, limit: float) -> float:
    """Return a margin, -1 to 1, as a suspicion, 0 to 1: 0.5 at the limit."""
    return 0.5 + (margin - limit) / (2 - 2 * limit) if margin >= limit else (1 + margin) / (2 + 2 * limit)


def _with_duplicates(findings: Sequence[FrameFinding], thumbnails: np.ndarray | None) -> list[FrameFinding]:
    """Return the findings, those of repeated frames replaced."""
    order = np.argsort([one.suspect for one in findings], kind="stable")
    rank = np.argsort(order)  # unsuspected ones first: they are kept
    pictures = np.zeros((len(findings), 1), np.uint8) if thumbnails is None else thumbnails
    repeats, is_exact = near_duplicates.find(pictures, [one.frame.sha256 for one in findings], rank)
    result = list(findings)
    for row in np.flatnonzero(repeats >= 0).tolist():
        kept = findings[repeats[row]].frame.path
        reason = f"same file as {kept}" if is_exact[row] else f"same picture as {kept}"
        one = findings[row]
        result[row] = FrameFinding(one.frame, max(0.5, one.suspicion), DUPLICATE, reason, None, True)
    return result
