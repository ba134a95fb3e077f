"""Grabbing client, measured in a process of its own, so that the stand-in's CPU time is not counted.

    python -m benchmarks._client ours|original STANDIN FRAMES LOGIN...

Prints JSON: the number of frames, and the CPU and wall seconds for them, imports excluded.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

PARALLEL = 8


def main() -> int:
    """Grab, measure, print, and return the exit code."""
    way, standin, count, *logins = sys.argv[1:]
    grab = _ours if way == "ours" else _original
    import av  # noqa: F401 - loaded before the measurement
    import cv2  # noqa: F401
    import streamlink  # noqa: F401

    import data.capture.grabber  # noqa: F401

    cpu, wall = time.process_time(), time.perf_counter()
    kept = sum(1 for _ in grab(standin, int(count), logins))
    print(json.dumps({"frames": kept, "cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}))
    return 0


def _ours(standin: str, count: int, logins: list[str]) -> Iterator[bytes]:
    from data.capture.grabber import Grabber

    with Grabber(img_size=240, jpeg_quality=95, standin=standin) as grabber:
        if len(logins) == 1:
            yield from (frame.jpeg for frame in grabber.frames(logins[0], count))
            return
        with ThreadPoolExecutor(PARALLEL) as pool:
            for frames in pool.map(lambda login: list(grabber.frames(login, count)), logins):
                yield from (frame.jpeg for frame in frames)


def _original(standin: str, count: int, logins: list[str]) -> Iterator[bytes]:
    from benchmarks import _original

    session = _original.new_streamlink(standin)
    for login in logins:
        yield from islice(_original.frames(session, standin, login), count)


if __name__ == "__main__":
    sys.exit(main())
