"""Figures and tables of benchmarks.real_games, from stored predictions alone. numpy only.

A source is one login in one game. A run is what one seed's trainings predicted, as JSON stores it:

seed, settings, cpu_s, wall_s   how it was trained
games                           names by id, in the order of the logits
known                           each frame once, by a network that saw nothing of its login
    paths, logits               divided by a temperature that other folds gave
    sources                     [source, whether the stream is called known]
left_out                        absent if it was not measured
    paths, is_known, scores     the frames of left-out games, and of other games in validation
    sources                     [source, is_known, score of the stream, whether the stream is called known]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from benchmarks import _bootstrap
from data.entities import StoredFrame
from model.inference.probabilities import softmax

Run = Mapping[str, Any]
Source = str  # "game id/login"

LABELS = {
    "frames": "frames right",
    "macro": "frames right, mean over games",
    "top3": "frames with the game among the first three",
    "sources": "sources right",
    "ece": "expected calibration error",
    "auroc_frames": "AUROC of left-out games, by frame",
    "auroc_sources": "AUROC of left-out games, by source",
    "false_unknown": "known sources called unknown",
    "false_known": "sources of left-out games called known",
}
_WORST_SOURCES = 20


def source_of(path: str) -> Source:
    """Return the source of a frame with this path."""
    frame = StoredFrame.parse(path)
    return f"{frame.game_id}/{frame.login}"


@dataclass(frozen=True)
class Known:
    """The known frames of a run, or those of some sources: arrays over n frames and over their sources."""

    run: Run
    kept: Callable[[Source], bool]

    @cached_property
    def _rows(self) -> list[int]:
        return [row for row, path in enumerate(self.run["known"]["paths"]) if self.kept(source_of(path))]

    @cached_property
    def source_of_frame(self) -> list[Source]:
        """The source of each frame."""
        return [source_of(self.run["known"]["paths"][row]) for row in self._rows]

    @cached_property
    def sources(self) -> list[Source]:
        """Every source once."""
        return sorted(set(self.source_of_frame))

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Calibrated probabilities, (n, classes)."""
        return softmax(np.array(self.run["known"]["logits"])[self._rows])

    @cached_property
    def labels(self) -> np.ndarray:
        """The label of each frame, int64 (n,)."""
        return self._labels(self.source_of_frame)

    @cached_property
    def ranks(self) -> np.ndarray:
        """The place of the right game among each frame's games, 0 is the first, int64 (n,)."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")
        return np.argmax(order == self.labels[:, None], axis=1)

    @cached_property
    def verdicts(self) -> np.ndarray:
        """The label with the largest sum of probabilities over each source's frames, int64 (sources,)."""
        sums = np.zeros((len(self.sources), self.probabilities.shape[1]))
        index = {source: number for number, source in enumerate(self.sources)}
        np.add.at(sums, [index[source] for source in self.source_of_frame], self.probabilities)
        return sums.argmax(axis=1)

    @cached_property
    def is_source_right(self) -> np.ndarray:
        """Whether each source's verdict is right, bool (sources,)."""
        return self.verdicts == self._labels(self.sources)

    def _labels(self, sources: Sequence[Source]) -> np.ndarray:
        label_of = {game: label for label, game in enumerate(self.run["games"])}
        return np.array([label_of[source.partition("/")[0]] for source in sources], np.int64)


@dataclass(frozen=True)
class Figure:
    """A figure with its values in all draws of the bootstrap."""

    value: float
    draws: np.ndarray  # (draws,)

    def __sub__(self, other: Figure) -> Figure:
        return Figure(self.value - other.value, self.draws - other.draws)

    def rounded(self) -> list[float]:
        """Return the value and the limits of its interval, for JSON."""
        return [round(number, 4) for number in (self.value, *_bootstrap.interval(self.draws))]


def figures(runs: Sequence[Run], kept: Callable[[Source], bool] = lambda _source: True) -> dict[str, Figure]:
    """Return the figures of LABELS as means over `runs` of the same frames, for the sources that are `kept`.

    Equal frames give equal draws, so that figures of two recipes may be subtracted.
    """
    logins = sorted({source_of(path).partition("/")[2] for path in runs[0]["known"]["paths"] if kept(source_of(path))})
    drawn = _bootstrap.draw_weights(len(logins), _bootstrap.DRAWS)
    weights = np.vstack([np.ones(len(logins), np.int64), drawn])  # (1 + draws, logins)
    index = {login: number for number, login in enumerate(logins)}
    values: dict[str, list[np.ndarray]] = {}
    for run in runs:
        for name, (sources, figure) in _definitions(run, kept).items():
            owners = [index[source.partition("/")[2]] for source in sources]
            values.setdefault(name, []).append(np.array([figure(drawn) for drawn in weights[:, owners]]))
    means = {name: np.mean(columns, axis=0) for name, columns in values.items()}  # (1 + draws,)
    return {name: Figure(float(column[0]), column[1:]) for name, column in means.items()}


def _definitions(
    run: Run, kept: Callable[[Source], bool]
) -> dict[str, tuple[Sequence[Source], Callable[[np.ndarray], float]]]:
    """Return each figure as (source of each sample, function of the samples' weights)."""
    known = Known(run, kept)
    right, top3, confidence = known.ranks == 0, known.ranks < 3, known.probabilities.max(axis=1)
    called = dict(run["known"]["sources"])
    unknown = np.array([not called[source] for source in known.sources])
    frames, sources = known.source_of_frame, known.sources
    defined: dict[str, tuple[Sequence[Source], Callable[[np.ndarray], float]]] = {
        "frames": (frames, lambda weights: _bootstrap.mean(right, weights)),
        "macro": (frames, lambda weights: _bootstrap.macro_mean(right, known.labels, weights)),
        "top3": (frames, lambda weights: _bootstrap.mean(top3, weights)),
        "sources": (sources, lambda weights: _bootstrap.mean(known.is_source_right, weights)),
        "ece": (frames, lambda weights: _bootstrap.ece(confidence, right, weights)),
        "false_unknown": (sources, lambda weights: _bootstrap.mean(unknown, weights)),
    }
    return defined | (_left_out_definitions(run["left_out"], kept) if "left_out" in run else {})


def _left_out_definitions(
    left_out: Mapping[str, Any], kept: Callable[[Source], bool]
) -> dict[str, tuple[Sequence[Source], Callable[[np.ndarray], float]]]:
    columns = zip(map(source_of, left_out["paths"]), left_out["is_known"], left_out["scores"], strict=True)
    frames = [row for row in columns if kept(row[0])]
    sources = [row for row in left_out["sources"] if kept(row[0])]
    owner, is_known, scores = (list(column) for column in zip(*frames, strict=True))
    stream, stream_known, stream_scores, called = (list(column) for column in zip(*sources, strict=True))
    known, streams, is_called = np.array(is_known), np.array(stream_known), np.array(called)
    return {
        "auroc_frames": (owner, lambda weights: _bootstrap.auroc(np.array(scores), known, weights)),
        "auroc_sources": (stream, lambda weights: _bootstrap.auroc(np.array(stream_scores), streams, weights)),
        "false_known": (stream, lambda weights: _bootstrap.mean(is_called, weights * ~streams)),
    }


def figure_table(columns: Mapping[str, Mapping[str, Figure]]) -> str:
    """Return a Markdown table: a row per figure, a column for each title; intervals in brackets."""
    names = [name for name in LABELS if all(name in column for column in columns.values())]
    rows = [[LABELS[name], *(_cell(name, column[name]) for column in columns.values())] for name in names]
    return _table(["", *columns], rows)


def _cell(name: str, figure: Figure) -> str:
    low, high = _bootstrap.interval(figure.draws)
    if name.startswith("auroc"):
        return f"{figure.value:.3f} ({low:.3f} to {high:.3f})"
    return f"{figure.value:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def game_table(runs: Sequence[Run]) -> str:
    """Return a Markdown table of the games, worst first, over all runs together."""
    rows = []
    for game, name in runs[0]["games"].items():
        parts = [Known(run, partial(_is_of, game)) for run in runs]
        sources = f"{sum(int(part.is_source_right.sum()) for part in parts) / len(runs):g}/{len(parts[0].sources)}"
        rows.append((*_summary(parts), name, sources))
    cells = [
        [name, str(frames), f"{right:.0%}", sources, wrong] for right, frames, wrong, name, sources in sorted(rows)
    ]
    return _table(["game", "frames", "right", "sources right", "most frequent wrong answer"], cells)


def source_table(runs: Sequence[Run], kinds: Mapping[Source, str]) -> str:
    """Return a Markdown table of the sources with the most wrong frames, over all runs together."""
    rows = []
    for source in Known(runs[0], lambda _source: True).sources:
        right, frames, wrong = _summary([Known(run, {source}.__contains__) for run in runs])
        rows.append((-frames * (1 - right), source, frames, right, wrong))
    cells = [
        [source.partition("/")[2], _name(runs[0], source), kinds.get(source, ""), str(frames), f"{right:.0%}", wrong]
        for _, source, frames, right, wrong in sorted(rows)[:_WORST_SOURCES]
    ]
    return _table(["source", "game", "kind", "frames", "right", "most frequent wrong answer"], cells)


def _summary(parts: Sequence[Known]) -> tuple[float, int, str]:
    """Return the fraction of right frames, the number of frames in a run, and the most frequent wrong answer."""
    ranks = np.concatenate([part.ranks for part in parts])
    answers = np.concatenate([part.probabilities.argmax(axis=1) for part in parts])[ranks > 0]
    names = list(parts[0].run["games"].values())
    wrong = names[np.bincount(answers).argmax()] if len(answers) else ""
    return float((ranks == 0).mean()), len(ranks) // len(parts), wrong


def _is_of(game: str, source: Source) -> bool:
    return source.startswith(f"{game}/")


def _name(run: Run, source: Source) -> str:
    return str(run["games"][source.partition("/")[0]])


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
