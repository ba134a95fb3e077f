"""Streams per minute on two cores: with 13 frames each, with early stopping, and with previews first.

    python -m benchmarks.survey_throughput [--channels 200] [--few 3]

The survey, with the model in MODEL_PATH, and the stand-in are processes of their own on the same cores. `ours` is the
measured rate, `alone` the estimate without the stand-in's CPU time. `original` is the original's method in one
process, on a few of the channels; `original_commands` is the same with a process per stream, as the original was
used. It also prints:

    cpu_ms          per stream, and in percent: decoding (bytes to JPEG, measured separately), inference, the rest; and
                    the CPU time of the stand-in
    memory_mb       peak memory of the survey
    early, preview  and int8, if that model exists: how many times less CPU and time than with all frames; frames per
                    stream; streams per minute; number of different answers
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Any

from benchmarks import _grabbing
from benchmarks._surveying import Surveyed, channels, decoding_s, differing, surveyed
from config import load
from model.inference.classifier import INT8_FILE
from tests.standin import Standin


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="Measure surveys of many streams.")
    parser.add_argument("--channels", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--few", type=int, default=3, help="of them for the original's way, at most 3 (%(default)s)")
    args = parser.parse_args(argv)
    with channels(args.channels) as (standin, logins, best):
        ours = surveyed(standin, "all", logins)
        original = surveyed(standin, "original", best[: args.few])
        commands = _commands_a_minute(standin, best[: args.few])
        int8 = ["int8"] if (load().model_path / INT8_FILE).is_file() else []
        ways = {way: surveyed(standin, way, logins) for way in ("early", "preview", *int8)}
        more = {
            "alone": round(ours.a_minute_alone),
            "original_commands": round(commands, 2),
            "ratio_commands": round(ours.a_minute / commands, 1),
            "streams": len(logins),
            **_spent(ours, decoding_s(standin)),
            **{way: _compared(ours, other) for way, other in ways.items()},
        }
    return _grabbing.report("survey_throughput", ours.a_minute, original.a_minute, "streams/min", **more)


def _commands_a_minute(standin: Standin, logins: list[str]) -> float:
    """Return the original's streams per minute with a process for each stream."""
    start = time.perf_counter()
    for login in logins:
        command = [sys.executable, "-m", "benchmarks._recognizer", standin.url, login, str(load().model_path)]
        subprocess.run(command, cwd=_grabbing.REPOSITORY, stdout=subprocess.DEVNULL, check=True, env=os.environ)
    return 60 * len(logins) / (time.perf_counter() - start)


def _spent(survey: Surveyed, decoding_s: float) -> dict[str, Any]:
    """Return how the CPU time of a stream is divided."""
    parts = {"decoding": decoding_s * survey.frames, "inference": survey.inference_s}
    shares = {name: round(100 * seconds / survey.cpu_s) for name, seconds in parts.items()}
    shares["rest"] = 100 - sum(shares.values())
    cpu_ms = {"stream": round(1e3 * survey.cpu_s), **shares, "standin": round(1e3 * survey.standin_s)}
    return {"cpu_ms": cpu_ms, "memory_mb": round(survey.memory_mb), "frames": round(survey.frames, 2)}


def _compared(ours: Surveyed, other: Surveyed) -> dict[str, Any]:
    return {
        "cpu": round(ours.cpu_s / other.cpu_s, 1),
        "time": round(ours.wall_s / other.wall_s, 1),
        "frames": round(other.frames, 2),
        "a_minute": round(other.a_minute),
        "differ": differing(ours, other),
    }


if __name__ == "__main__":
    sys.exit(main())
