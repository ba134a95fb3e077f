"""Watch benchmark: cost of --watch on many channels that switch their games at planted times, and what it reports.

    python -m benchmarks.watch --minutes 20 [--channels 50] [--every S] [--seed N]

The command, with the model in MODEL_PATH, and the stand-in are processes of their own. Channels play the clips that
the demo's dataset does not contain, and every fifth channel never switches. Prints one JSON object:

    cores                    average CPU use of the command, and of the stand-in
    memory, course_mb        MB of the command: early, at the end, the highest; and at a dozen moments
    threads                  highest number
    frames                   classified frames; lost segments; late frames (8 s or more)
    failures                 reported failures by reason: there should be none
    lag_s                    from the start of a segment to its prediction: median, 99th percentile, worst
    inference                ms per frame, and frames per batch
    switches                 planted, found, missed, false; seconds from a game's first frame to its report

A switch must be reported before the channel's next one. A change to a game that the channel does not play is false;
the change back is not counted. Returns 1 if a switch was missed, false, or reported after more than ten seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import config
from benchmarks import _planted
from data.http.session import new_session
from model.inference.classifier import ONNX_FILE
from tests.receivers.ports import free_port

_SAMPLE_S = 5
_WARM_S = 20  # the cost of opening all streams is not counted
_LATE_S = 8
_REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Sample:
    """The command and the stand-in at one moment: `at` monotonic seconds, CPU seconds so far, MB, threads."""

    at: float
    cpu_s: float
    twitch_cpu_s: float
    memory_mb: float
    threads: int


def main(argv: list[str] | None = None) -> int:
    """Plan switches, start all processes, sample, stop, compare, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="Watch many channels that switch their games.")
    parser.add_argument("--minutes", type=float, default=2, help="default: %(default)s")
    parser.add_argument("--channels", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--every", type=float, help="seconds between two frames of a channel (each segment)")
    parser.add_argument("--seed", type=int, default=0, help="of the switches (%(default)s)")
    args = parser.parse_args(argv)
    model = config.load().model_path
    if not (model / ONNX_FILE).is_file():
        parser.error(f"MODEL_PATH: {model / ONNX_FILE} is missing")
    with tempfile.TemporaryDirectory(prefix="watch-") as folder:
        summary = _measured(Path(folder), args)
    print(json.dumps({"name": "watch", "minutes": args.minutes, "channels": args.channels, **summary}), flush=True)
    switches = summary["switches"]
    return int(bool(switches["missed"] or switches["false"] or switches["within_10_s"] < switches["planted"]))


def _measured(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the summary of a whole run."""
    _planted.write(
        _planted.planned(args.channels, 0, 0, args.seed), folder
    )  # transcodes the segments, which takes time
    plan = _planted.planned(args.channels, time.time(), 60 * args.minutes, args.seed)
    _planted.write(plan, folder)
    (folder / "logins").write_text("\n".join(plan.played))
    command = [sys.executable, "-m", "recognition.recognize", "--watch", "--json", "--from", str(folder / "logins")]
    command += ["--metrics", str(port := free_port()), *(["--every", str(args.every)] if args.every else [])]
    with (folder / "events").open("w") as events, _planted.running_standin(folder) as (twitch, variables):
        environment = {**os.environ, **variables}
        watching = subprocess.Popen(command, cwd=_REPOSITORY, stdout=events, env=environment)
        try:
            samples = list(_sampled(watching, twitch, 60 * args.minutes))
            metrics = _scraped(port)
        finally:
            watching.send_signal(signal.SIGTERM)
            code = watching.wait(60)
    told = [json.loads(line) for line in (folder / "events").read_text().splitlines()]
    if code or sum(event["event"] == "verdict" for event in told) < args.channels:
        raise RuntimeError(f"it ended with {code}, and {[e for e in told if e['event'] == 'failure'][:3]}")
    failures = Counter(event["reason"] for event in told if event["event"] == "failure")
    changes = [event for event in told if event["event"] == "change"]
    frames = [event for event in told if event["event"] == "frame"]
    costs = {**_cost(samples), **_frames(frames), "failures": failures, **metrics}
    return {**costs, "switches": _planted.compared(plan, changes)}


def _sampled(watching: subprocess.Popen[bytes], twitch: psutil.Process, seconds: float) -> Iterator[Sample]:
    """Yield a sample every few seconds. Raises RuntimeError when the command ends by itself."""
    process, end = psutil.Process(watching.pid), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(_SAMPLE_S)
        if watching.poll() is not None:
            raise RuntimeError(f"it ended with {watching.returncode}")
        cpu, twitch_cpu = (sum(one.cpu_times()[:2]) for one in (process, twitch))
        memory_mb = process.memory_info().rss / 1e6
        yield Sample(time.monotonic(), cpu, twitch_cpu, memory_mb, process.num_threads())


def _cost(samples: list[Sample]) -> dict[str, Any]:
    warm = [sample for sample in samples if sample.at - samples[0].at >= _WARM_S] or samples
    first, last = warm[0], warm[-1]
    wall_s = last.at - first.at
    course = [round(sample.memory_mb) for sample in warm]
    return {
        "cores": {
            "command": round((last.cpu_s - first.cpu_s) / wall_s, 3),
            "standin": round((last.twitch_cpu_s - first.twitch_cpu_s) / wall_s, 3),
        },
        "memory": {"early": course[0], "end": course[-1], "highest": max(course)},
        "course_mb": course[:: max(1, len(course) // 12)],
        "threads": max(sample.threads for sample in samples),
    }


def _frames(frames: list[dict[str, Any]]) -> dict[str, Any]:
    lags = sorted(frame["lag_s"] for frame in frames if frame["lag_s"] is not None)
    lost = sum(frame["lost"] for frame in frames)
    return {
        "frames": {"judged": len(frames), "lost": lost, "late": sum(lag >= _LATE_S for lag in lags)},
        "frames_a_minute": _by_minute(frames),
        "lag_s": {
            "median": round(statistics.median(lags), 2),
            "p99": round(lags[int(len(lags) * 0.99)], 2),
            "worst": round(lags[-1], 2),
        },
    }


def _by_minute(frames: list[dict[str, Any]]) -> list[int]:
    """Return the number of classified frames by minute."""
    return [count for _, count in sorted(Counter(frame["time"][:16] for frame in frames).items())]


def _scraped(port: int) -> dict[str, Any]:
    """Return the metrics as Prometheus reads them."""
    with new_session(10) as session:
        text = session.get(f"http://127.0.0.1:{port}/metrics").text
    found = dict(re.findall(r"^twitchcategory_(infer\w+) (\S+)$", text, re.M))
    seconds, batches, images = (
        float(found[name]) for name in ("inference_seconds_sum", "inference_seconds_count", "inferred_frames_total")
    )
    return {"inference": {"ms_a_frame": round(1e3 * seconds / images, 2), "frames_a_batch": round(images / batches, 2)}}


if __name__ == "__main__":
    sys.exit(main())
