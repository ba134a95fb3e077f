"""Kills of the commands that add to a dataset, change it and export it, each at random moments."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.data.kill_harness import (
    DatasetUnderTest,
    KilledCommand,
    KillMoment,
    count_files,
    find_errors,
    kill_moments,
    run_and_kill,
)
from tests.data.killed_changes import ChangingDataset, change_moments
from tests.data.picture_sets import write_picture

_FRAMES = 200  # of each streamer or class: saving them takes about half a second
_GAMES = ("Chess", "Go", "Shogi")
_FORMATS = ("parquet", "webdataset", "imagefolder", "fiftyone")


def kill_all(count: int, seed: int, own: DatasetUnderTest, embedded: DatasetUnderTest) -> dict[str, list[str]]:
    """Kill each command `count` times; return what was wrong by command. The datasets are new."""
    find_errors(own)  # the server has no row of another dataset then
    half = count - count // 2
    return {
        "changes": [
            *_kill_changes(change_moments(2 * half, seed), own),  # --apply and --undo in turn
            *_kill_changes(change_moments(2 * (count - half), seed + 1), embedded),
        ],
        "export": list(_kill_export(kill_moments(count, seed + 2), own)),  # what the changes have left
        "add": list(_kill_add(kill_moments(count, seed + 3), own)),
    }


def _kill_changes(moments: Sequence[KillMoment], dataset: DatasetUnderTest) -> Iterator[str]:
    """Kill --apply and --undo of a check; yield what is wrong."""
    changing = ChangingDataset(dataset, _FRAMES)
    changing.fill()
    for moment in moments:
        yield from changing.kill(moment)
    yield from find_errors(dataset)


def _kill_export(moments: Sequence[KillMoment], dataset: DatasetUnderTest) -> Iterator[str]:
    """Kill exports; yield what is wrong: half an export, or a changed dataset."""
    out = dataset.path.parent / "export"
    before, frames = _contents(dataset.folder.root), count_files(dataset)
    for index, moment in enumerate(moments):
        words = ("data.export", "--format", _FORMATS[index % len(_FORMATS)], "--out", str(out), "--shard-mb", "0.05")

        def progress(_dataset: DatasetUnderTest) -> int:
            return sum(1 for _ in out.parent.glob(".export*/**/*"))

        yield from run_and_kill(dataset, moment, KilledCommand(words, "Exported ", progress, ends=True))
        if out.exists() and not (out / "export.json").exists():
            yield f"{' '.join(words)}, {moment}: half an export"
        again = dataset.command(*words, "--overwrite")
        stdout, stderr = again.communicate(timeout=120)
        if again.returncode or f"Exported {frames:,} frame" not in stdout:
            yield f"{' '.join(words)}, {moment}: the next run: {stdout}{stderr}"
        json.loads((out / "export.json").read_text(encoding="utf-8"))
        if left := [path.name for path in out.parent.glob(".export*")]:
            yield f"{' '.join(words)}, {moment}: the next run left {left}"
        shutil.rmtree(out)
    if _contents(dataset.folder.root) != before:
        yield "an export changed the dataset"


def _kill_add(moments: Sequence[KillMoment], dataset: DatasetUnderTest) -> Iterator[str]:
    """Kill imports of a folder; yield what is wrong after the next run: pictures that are missing or there twice."""
    pictures = dataset.path.parent / "pictures"
    for game in _GAMES:
        for number in range(_FRAMES):
            write_picture(pictures / game / f"ann-{number}.jpg", (240, 240))
    command = KilledCommand(("data.add", str(pictures)), "Added ", count_files, ends=True)
    for moment in moments:
        shutil.rmtree(dataset.folder.root)
        yield from find_errors(dataset)
        yield from run_and_kill(dataset, moment, command)
        yield from find_errors(dataset)
        again = dataset.command(*command.words)
        stdout, stderr = again.communicate(timeout=120)
        if again.returncode:
            yield f"{moment}: the next run: {stdout}{stderr}"
        if _contents(dataset.folder.root) != _contents(pictures):
            yield f"{moment}: not every picture is there once"
    yield from find_errors(dataset)


def _contents(root: Path) -> Counter[str]:
    """Return how often each picture is there."""
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*.jpg"))
