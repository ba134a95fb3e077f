"""Chapters benchmark: recordings joined from others, with known cuts; what --chapters finds, and what it costs.

    python -m benchmarks.chapters FOLDER [--recordings N] [--seed N] [--all] [--many-cuts]

FOLDER has recordings of one game each, and index.tsv with the columns game_id and file. Each joined recording has seven
parts of 40 s to 5 min. Only the last recording of each game is used, which a model of the others has not seen; --all
takes all of them. The model is that in MODEL_PATH. The last joined recording is a VOD of the stand-in, in segments of
ten seconds; then the segments of each of its parts are repeated, so that it has six hours. With --many-cuts the whole
is repeated instead, so that a cut comes every three minutes.

Prints a JSON object for each recording and one for all: `chapters` is Recognizer.chapters, `plain` a look every two
seconds, where each known look that differs from the one before begins a chapter.

    error_s                  of the cuts found: median, worst
    missed, invented         cuts without a reported one within 15 s that names the game; reported cuts without one
    looks, decoded           classified frames, decoded frames
    mb, cpu_s, seconds       read from the file or sent by the stand-in, whose CPU counts too

Returns 1 if a cut is missed or invented, or the median error is above two seconds.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import config
from benchmarks import _joined
from data.video.sampling import FrameRequest
from recognition import Recognizer
from recognition.engine.chapter_search import ChapterSearch
from tests.standin import Standin, World
from tests.standin.vods import PLAYLIST

_PARTS, _PLAIN_S, _FOUND_S, _MAX_ERROR_S = 7, 2.0, 15.0, 2.0
_SIX_HOURS_S = 6 * 3600
_LOOKS_S = 30.0
_VOD = "https://www.twitch.tv/videos/{}"

Cut = tuple[float, int]  # time in seconds, id of the game that begins


@dataclass
class Result:
    """One run: errors of the found cuts in seconds, and the numbers that are printed."""

    errors: list[float]
    missed: int
    invented: int
    cost: dict[str, float] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Return the numbers by name."""
        error: dict[str, float] = {}
        if self.errors:
            error = {"median": round(statistics.median(self.errors), 2), "worst": round(max(self.errors), 2)}
        cuts = {"error_s": error, "missed": self.missed, "invented": self.invented}
        return {**cuts, **{name: round(value, 2) for name, value in self.cost.items()}}

    def __add__(self, other: Result) -> Result:
        cost = {name: self.cost.get(name, 0.0) + value for name, value in other.cost.items()}
        return Result(self.errors + other.errors, self.missed + other.missed, self.invented + other.invented, cost)


def main(argv: list[str] | None = None) -> int:
    """Join the recordings, find their chapters in both ways, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="Find the chapters of joined recordings.")
    parser.add_argument("folder", nargs="?", type=Path, help="with recordings and index.tsv")
    parser.add_argument("--recordings", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the parts (%(default)s)")
    parser.add_argument("--all", action="store_true", help="take all recordings of a game, not the last one only")
    parser.add_argument("--many-cuts", action="store_true", help="six hours with a cut every three minutes")
    args = parser.parse_args(argv)
    if not args.folder:
        print("chapters: skipped; name the folder of the recordings", file=sys.stderr)
        return 0
    files = sorted(args.folder.glob("*/*.mp4")) if args.all else _joined.last_of_each(args.folder)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chapters-")))
        standin = stack.enter_context(Standin(World((), frozenset()), vods=folder))
        settings = config.load().model_copy(update={"twitch_standin": standin.url})
        bench = _Benchmark(stack.enter_context(Recognizer.load(settings)), standin, folder, _games(args.folder))
        plans = [_joined.plan(files, _PARTS, args.seed + number) for number in range(args.recordings)]
        results = [bench.run(f"{number}.mp4", parts) for number, parts in enumerate(plans[:-1])]
        results.append(bench.run("vod", plans[-1]))
        bench.run_six_hours(plans[-1], many_cuts=args.many_cuts)
    ours, plain = (sum((pair[index] for pair in results), Result([], 0, 0)) for index in (0, 1))
    _print("all", chapters=ours.summary(), plain=plain.summary())
    return int(bool(ours.missed or ours.invented or statistics.median(ours.errors) > _MAX_ERROR_S))


class _Benchmark:
    """The recogniser, the stand-in with its folder of VODs, and the game id of each recording."""

    def __init__(self, recognizer: Recognizer, standin: Standin, folder: Path, games: dict[Path, int]) -> None:
        recognizer.classifier  # noqa: B018 - loads it: its time is no recording's
        self._recognizer, self._standin, self._folder, self._games = recognizer, standin, folder, games

    def run(self, name: str, parts: Sequence[_joined.Part]) -> tuple[Result, Result]:
        """Return what both ways find in a recording of these parts. name: "vod", or of a file."""
        target = self._folder / ("1" if name == "vod" else "") / (PLAYLIST if name == "vod" else name)
        target.parent.mkdir(exist_ok=True)
        _joined.join(parts, target)
        source, cuts = _VOD.format(1) if name == "vod" else str(target), self._cuts(parts)
        ours, plain = self._measured(source, cuts), self._measured(source, cuts, is_plain=True)
        minutes = round(parts[-1].end_s / 60, 1)
        _print(name, cuts=len(cuts), minutes=minutes, chapters=ours.summary(), plain=plain.summary())
        return ours, plain

    def run_six_hours(self, parts: Sequence[_joined.Part], *, many_cuts: bool) -> None:
        """Print what is found in the VOD when its segments are repeated."""
        playlist, target = (self._folder / number / PLAYLIST for number in "12")
        first = self._games[parts[0].file] if many_cuts else None
        cuts = _lengthen(playlist, target, self._cuts(parts), first)
        _print("six hours", cuts=len(cuts), chapters=self._measured(_VOD.format(2), cuts).summary())

    def _cuts(self, parts: Sequence[_joined.Part]) -> list[Cut]:
        return [(part.start_s, self._games[part.file]) for part in parts[1:]]

    def _measured(self, source: str, cuts: Sequence[Cut], is_plain: bool = False) -> Result:
        """Return what one way finds, and its cost."""
        recognizer = self._recognizer
        with _cost(self._standin, source) as cost, recognizer.grabber.open_recording(source) as reader:
            search = ChapterSearch(reader, recognizer.classifier, recognizer.new_accumulator, _LOOKS_S, 1.0)
            found = _plain(search, reader.duration_s) if is_plain else _found(search)
            cost |= {"looks": len(search.looks), "decoded": reader.decoded_frames}
        return _compared(cuts, found, cost)


def _games(folder: Path) -> dict[Path, int]:
    """Return the game id of each recording."""
    with (folder / "index.tsv").open(encoding="utf-8", newline="") as file:
        return {folder / row["file"]: int(row["game_id"]) for row in csv.DictReader(file, delimiter="\t")}


def _found(search: ChapterSearch) -> list[Cut]:
    return [(chapter.start_s, chapter.game.id if chapter.game else 0) for chapter in search.chapters()][1:]


def _plain(search: ChapterSearch, duration_s: float) -> list[Cut]:
    """Return the cuts by a look every two seconds; unknown looks belong to the game before."""
    times = np.arange(0, duration_s, _PLAIN_S)
    looks = search.take([FrameRequest(float(time_s), float(time_s) - _PLAIN_S) for time_s in times])
    classes = search.classes
    games = [(look.time_s, classes[int(look.scored.logits[0].argmax())].id) for look in looks if look.scored.known[0]]
    return [((before[0] + after[0]) / 2, after[1]) for before, after in pairwise(games) if before[1] != after[1]]


@contextmanager
def _cost(standin: Standin, source: str) -> Iterator[dict[str, float]]:
    """Yield a dictionary that gets the cost of the block."""
    cost: dict[str, float] = {}
    process, requests = psutil.Process(), len(standin.requests)
    started, cpu_s, read = time.perf_counter(), time.process_time(), process.io_counters().read_chars
    yield cost
    sent = sum(request.bytes for request in standin.requests[requests:])
    read = sent if source.startswith("https:") else process.io_counters().read_chars - read
    seconds = time.perf_counter() - started
    cost |= {"mb": read / 1e6, "cpu_s": time.process_time() - cpu_s, "seconds": seconds}


def _compared(cuts: Sequence[Cut], found: Sequence[Cut], cost: dict[str, float]) -> Result:
    """Match each true cut with the nearest reported one that names its game."""
    left, errors = list(found), []
    for at_s, game in cuts:
        near = [cut for cut in left if cut[1] == game and abs(cut[0] - at_s) <= _FOUND_S]
        if near:
            best = min(near, key=lambda cut: abs(cut[0] - at_s))
            errors.append(abs(best[0] - at_s))
            left.remove(best)
    return Result(errors, len(cuts) - len(errors), len(left), cost)


def _lengthen(playlist: Path, target: Path, cuts: Sequence[Cut], first: int | None) -> list[Cut]:
    """Write a playlist of six hours of the segments of another one; return its cuts.

    first: the game at the start, to repeat the whole; None: repeat the segments within each part.
    """
    lines = playlist.read_text(encoding="utf-8").splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith("#EXTINF"))
    entries = list(zip(lines[begin:-1:2], lines[begin + 1 : -1 : 2], strict=True))
    lengths = [float(head[8:].partition(",")[0]) for head, _ in entries]
    starts = [*accumulate(lengths, initial=0.0)]
    cut_at = {bisect_right(starts, at_s) - 1: (at_s, game) for at_s, game in cuts}  # by the segment that it lies in
    order = _order(len(entries), int(_SIX_HOURS_S // starts[-1]), [] if first else sorted(cut_at))
    moved: list[Cut] = []
    for index, at_s in zip(order, accumulate((lengths[index] for index in order), initial=0.0), strict=False):
        if first and not index and moved and moved[-1][1] != first:
            moved.append((at_s, first))
        if index in cut_at:
            moved.append((at_s + cut_at[index][0] - starts[index], cut_at[index][1]))
    target.parent.mkdir()
    text = [line for index in order for line in (entries[index][0], f"../../1/360p30/{entries[index][1]}")]
    target.write_text("\n".join([*lines[:begin], *text, lines[-1], ""]), encoding="utf-8")
    return moved


def _order(segments: int, times: int, once: Sequence[int]) -> list[int]:
    """Return the indices of segments: those in `once` are taken once, each run between them is repeated."""
    order: list[int] = []
    start = 0
    for index in once:
        order += [*range(start, index)] * times + [index]
        start = index + 1
    return order + [*range(start, segments)] * times


def _print(name: str, **values: Any) -> None:
    print(json.dumps({"name": "chapters", "recording": name, **values}), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
