"""Soak test: a long download while requests fail at random; memory, threads and open files must stay constant.

    python -m benchmarks.soak --minutes 60 [--faults FRACTION] [--seed N] [--keep FRAMES] [--folder DIR]

The download and the stand-in are processes of their own; PostgreSQL is the embedded one. Meanwhile the oldest frames
beyond `--keep` are deleted and data.dbSync runs, as a user would do. Prints one JSON object:

    frames, streams, failures      saved, tried, and failed by reason: from the run's last line
    memory                         MB of the download and of its PostgreSQL: early, at the end, and the highest;
                                   early is after 5 minutes, in a shorter run at its half; growth is end / early
    course_mb                      the download's memory at a dozen moments
    threads, open_files            early and at the end
    helix                          highest number of requests in a minute; 429s because the 800 points were used up
    faults                         number of requests that met a fault
    deleted, syncs                 frames deleted by the test, runs of data.dbSync
    wrong                          errors as text: rows without files, broken images, exit codes …

Returns 1 if something was wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.data.kill_harness import DatasetUnderTest, find_errors

_SAMPLE_S = 10
_TIDY_S = 30  # between two deletions of old frames
_EARLY_S = 300
_REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Sample:
    """The download at one moment, `at_s` seconds after its start; memory in MB."""

    at_s: float
    download_mb: float
    postgres_mb: float
    threads: int
    open_files: int


@dataclass
class Tidying:
    """What the test did as a user would."""

    deleted: int = 0
    syncs: int = 0
    wrong: list[str] = field(default_factory=list)


def main(argv: list[str] | None = None) -> int:
    """Start all processes, sample them, stop them, check the result, print it, and return the exit code."""
    parser = argparse.ArgumentParser(description="Run a long download while requests fail at random.")
    parser.add_argument("--minutes", type=float, default=1, help="default: %(default)s")
    parser.add_argument("--faults", type=float, default=0.03, help="fraction of failing requests (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults (%(default)s)")
    parser.add_argument("--keep", type=int, default=5000, help="number of frames to keep (%(default)s)")
    parser.add_argument("--folder", type=Path, help="folder of the dataset (default: a temporary folder)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="soak-", dir=args.folder) as name:
        summary = _soaked(Path(name), args)
    print(json.dumps({"name": "soak", "minutes": args.minutes, "faults_share": args.faults, **summary}), flush=True)
    return int(bool(summary["wrong"]))


def _soaked(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the summary of a whole run."""
    with _twitch(folder / "twitch", args.faults, args.seed) as twitch:
        dataset = DatasetUnderTest(folder / "dataset", {**_exported(twitch), "DB_HOST": ""})
        dataset.folder.root.mkdir(parents=True)
        stop, tidying = threading.Event(), Tidying()
        tidier = threading.Thread(target=_tidy, args=(dataset, args.keep, stop, tidying))
        with (folder / "story").open("w+") as story:
            download = dataset.command("data.download", stderr=story)
            tidier.start()
            samples = list(_watched(dataset, download, 60 * args.minutes))
            stop.set()
            tidier.join()
            download.send_signal(signal.SIGTERM)
            output, _ = download.communicate(timeout=120)
            story.seek(0)
            wrong = tidying.wrong + (
                [] if download.returncode == 0 else [f"it ended by itself: {story.read()[-2000:]}"]
            )
        wrong += find_errors(dataset)
    weather = _weather((folder / "twitch").read_text())
    if weather["helix"]["over_budget"]:
        wrong.append("Helix's budget was used up")
    done = {"deleted": tidying.deleted, "syncs": tidying.syncs, "wrong": wrong}
    return {**_totals(output), **_course(samples), **weather, **done}


@contextmanager
def _twitch(story: Path, fraction: float, seed: int) -> Iterator[subprocess.Popen[str]]:
    """Run the stand-in as a process; at its end `story` holds what it printed."""
    command = [sys.executable, "-m", "tests.standin", "--faults", str(fraction), "--seed", str(seed)]
    with story.open("w") as stderr:
        process = subprocess.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, stderr=stderr, text=True)
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)


def _exported(twitch: subprocess.Popen[str]) -> dict[str, str]:
    """Return the variables that the stand-in prints as shell lines; MIN_STREAMERS is the last one."""
    variables: dict[str, str] = {}
    for line in twitch.stdout or []:
        if match := re.match(r"export (\w+)=(\S*)", line):
            variables[match[1]] = match[2]
        if "MIN_STREAMERS" in variables:
            break
    return variables


def _watched(dataset: DatasetUnderTest, download: subprocess.Popen[str], seconds: float) -> Iterator[Sample]:
    """Yield a sample every ten seconds, until the time is over or the download ends."""
    process, start = psutil.Process(download.pid), time.monotonic()
    while (at := time.monotonic() - start) < seconds:
        with suppress(subprocess.TimeoutExpired):
            download.wait(min(_SAMPLE_S, seconds - at))
            return
        memory = process.memory_info().rss / 1e6
        at = time.monotonic() - start
        yield Sample(at, memory, _postgres_mb(dataset), process.num_threads(), process.num_fds())


def _postgres_mb(dataset: DatasetUnderTest) -> float:
    """Return the memory of the embedded server's processes; shared memory counts once where the system reports it."""
    used = 0.0
    with suppress(OSError, ValueError, psutil.Error):
        server = psutil.Process(int((dataset.path / "postgres/data/postmaster.pid").read_text().split("\n")[0]))
        for process in (server, *server.children(recursive=True)):
            with suppress(psutil.Error):
                memory = process.memory_full_info()
                used += getattr(memory, "pss", memory.rss) / 1e6
    return used


def _tidy(dataset: DatasetUnderTest, keep: int, stop: threading.Event, tidying: Tidying) -> None:
    """Delete the oldest frames now and then, and run data.dbSync."""
    while not stop.wait(_TIDY_S):
        for path in sorted(dataset.folder.root.glob("*/*.jpg"), key=_changed_at)[:-keep]:
            path.unlink(missing_ok=True)
            tidying.deleted += 1
        sync = dataset.command("data.dbSync")
        _, story = sync.communicate(timeout=300)
        tidying.syncs += 1
        if sync.returncode:
            tidying.wrong.append(f"data.dbSync beside the download ended with {sync.returncode}: {story}")


def _changed_at(path: Path) -> float:
    """Return when a file was written, epoch seconds; a download deletes files of frames that it has already."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _totals(line: str) -> dict[str, Any]:
    """Return the numbers in the download's last line, and the line itself."""
    found = [re.search(pattern, line) for pattern in (r"Downloaded ([\d,]+) frame", r"([\d,]+) streams? tried")]
    frames, streams = (int(number[1].replace(",", "")) if number else 0 for number in found)
    reasons = re.search(r"failed \(([^)]*)\)", line)
    failures = {reason: int(count) for count, reason in re.findall(r"(\d+) ([^,]+)", reasons[1] if reasons else "")}
    return {"totals": line.strip(), "frames": frames, "streams": streams, "failures": failures}


def _course(samples: list[Sample]) -> dict[str, Any]:
    """Return the early value, the last one and the highest one."""
    if not samples:
        return {}
    early_s = min(_EARLY_S, samples[-1].at_s / 2)
    early, end = next(sample for sample in samples if sample.at_s >= early_s), samples[-1]
    memory = {
        name: {
            "early": round(getattr(early, name)),
            "end": round(getattr(end, name)),
            "highest": round(max(getattr(sample, name) for sample in samples)),
            "growth": round(getattr(end, name) / getattr(early, name), 3),
        }
        for name in ("download_mb", "postgres_mb")
    }
    course = [round(sample.download_mb) for sample in samples[:: max(1, len(samples) // 12)]]
    counts = {name: [getattr(early, name), getattr(end, name)] for name in ("threads", "open_files")}
    return {"early_s": round(early.at_s), "memory": memory, "course_mb": course, **counts}


def _weather(story: str) -> dict[str, Any]:
    """Return the counts that the stand-in prints at its end."""
    met = {name: int(times) for times, name in re.findall(r"^fault: (\d+) (.+)$", story, re.M)}
    helix = re.search(r"^helix: \d+ requests, (\d+) in a minute at most, (\d+) over the budget$", story, re.M)
    if helix is None:
        raise RuntimeError(f"the stand-in printed {story}")
    return {"helix": {"most_a_minute": int(helix[1]), "over_budget": int(helix[2])}, "faults": met}


if __name__ == "__main__":
    sys.exit(main())
