"""Time from the start of recognition.recognize to its first line, on a 1080p60 channel.

It also prints the parts of our time, measured one by one. The command needs less than their sum, because it loads the
model while the first frame is downloaded. The stand-in has no latency: on a real network each of `requests` adds a
round trip, and the first request to each of `hosts` three more for its connection and TLS.
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
_ORIGINAL_ROUNDS = 3  # each takes seven times as long
_REPOSITORY = Path(__file__).parent.parent


def main(argv: list[str]) -> int:
    """Measure, print, and return the exit code; `argv` is empty."""
    del argv
    ours, original, parts = [], [], []
    with _recognizing.ready("efficientnet_lite0") as (standin, logins, environment):
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
    """Return the seconds of each part."""
    command = [sys.executable, "-m", "benchmarks._first_line", str(time.time()), login]
    done = subprocess.run(command, cwd=_REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    parts: dict[str, float] = json.loads(done.stdout)
    return parts


def _travelled(standin: Standin, environment: dict[str, str], login: str) -> dict[str, int]:
    """Return the number of requests, one after the other, until the first frame, and the number of their hosts."""
    before = len(standin.requests)
    _parts(environment, login)
    requests = standin.requests[before:]
    return {"requests": len(requests), "hosts": len({request.host for request in requests})}


if __name__ == "__main__":
    sys.exit(main([]))
