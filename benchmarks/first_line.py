"""From the recogniser's start as a process to the first line that it prints, on a 1080p60 channel.

Beside the two ways, what ours is made of, each part waited for by itself; the command loads the model while the first
frame travels, so it needs less than their sum. Between this machine and its stand-in no packet takes time: on a real
line each of `requests` adds a round trip, and the first to each of `hosts` three more for its connection and TLS.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import _grabbing, _recognizing
from tests.standin import Standin

_ROUNDS = 7
_ORIGINAL_ROUNDS = 3  # of seven times the length
_REPOSITORY = Path(__file__).parent.parent


def main(argv: list[str]) -> int:
    """Measure and print; `argv` is empty."""
    del argv
    ours, original, parts = [], [], []
    with _recognizing.ready("mobilenet_v2") as (standin, logins, environment):
        for number in range(_ROUNDS):
            ours.append(_recognizing.first_line(environment, "recognition.recognize", logins[0]))
            parts.append(_parts(environment, logins[0]))
            if number < _ORIGINAL_ROUNDS:
                arguments = _recognizing.original_arguments(standin, logins, environment)
                original.append(_recognizing.first_line(environment, "benchmarks._recognizer", *arguments))
        travelled = _travelled(standin, environment, logins[0])
    more: dict[str, float] = {f"{name}_s": _median([each[name] for each in parts]) for name in parts[0]}
    return _grabbing.report("first_line", _median(ours), _median(original), "s", **more, **travelled)


def _median(seconds: list[float]) -> float:
    return round(statistics.median(seconds), 3)


def _parts(environment: dict[str, str], login: str) -> dict[str, float]:
    """Seconds of each part."""
    command = [sys.executable, "-m", "benchmarks._first_line", str(time.time()), login]
    done = subprocess.run(command, cwd=_REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    parts: dict[str, float] = json.loads(done.stdout)
    return parts


def _travelled(standin: Standin, environment: dict[str, str], login: str) -> dict[str, int]:
    """Requests, one after the other, before a first frame is there, and to how many hosts."""
    before = len(standin.requests)
    _parts(environment, login)
    asked = standin.requests[before:]
    return {"requests": len(asked), "hosts": len({request.host for request in asked})}


if __name__ == "__main__":
    sys.exit(main([]))
