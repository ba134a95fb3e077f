"""Estimated cost of one look at all live channels of Twitch, extrapolated from a small survey.

    python -m benchmarks.all_of_twitch [--channels 60] [--live 100000]

The survey runs as in benchmarks.survey_throughput: with all 13 frames, with early stopping, and with previews first.
For each it prints `frames` and `gigabytes` in total, and `cores` and `mbit_s` for one look per hour. `helix_min`:
minutes to list the channels, at a hundred per request and 800 requests per minute.
"""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks._surveying import Surveyed, channels, surveyed

_WAYS = ("all", "early", "preview")
_HOUR_S = 3600
_PAGE, _CALLS_A_MIN = 100, 800  # https://dev.twitch.tv/docs/api/guide#twitch-rate-limits


def main(argv: list[str] | None = None) -> int:
    """Measure, extrapolate, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="What one look at all channels would cost.")
    parser.add_argument("--channels", type=int, default=60, help="to survey (default: %(default)s)")
    parser.add_argument("--live", type=int, default=100_000, help="channels on Twitch (default: %(default)s)")
    args = parser.parse_args(argv)
    with channels(args.channels) as (standin, logins, _):
        costs = {way: _cost(surveyed(standin, way, logins), args.live) for way in _WAYS}
    helix_min = args.live / _PAGE / _CALLS_A_MIN
    print(json.dumps({"name": "all_of_twitch", "live": args.live, "helix_min": helix_min, **costs}), flush=True)
    return 0


def _cost(survey: Surveyed, live: int) -> dict[str, float]:
    """Return the cost of one look at all channels."""
    cpu_s, size = survey.cpu_s * live, survey.bytes * live
    return {
        "frames": round(survey.frames * live),
        "gigabytes": round(size / 1e9, 1),
        "cores": round(cpu_s / _HOUR_S, 1),
        "mbit_s": round(8 * size / 1e6 / _HOUR_S),
    }


if __name__ == "__main__":
    sys.exit(main())
