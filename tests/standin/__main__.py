"""python -m tests.standin: serve until Ctrl-C or SIGTERM; the lines it prints make the toolkit take it for Twitch."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from tests.standin import CLIPS, Standin, World


def main(argv: list[str] | None = None) -> int:
    """Parse, serve, wait; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.standin", description=__doc__)
    parser.add_argument("--clips", type=Path, default=CLIPS, help="folder with clips.tsv and the clips")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--cache", type=Path, help="folder for transcoded segments")
    parser.add_argument("--preroll", type=float, default=15.0, metavar="SECONDS", help="length of pre-roll ads")
    args = parser.parse_args(argv)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Standin(World.load(args.clips), args.port, args.cache, preroll_s=args.preroll) as standin:
        for name, value in standin.environment.items():
            print(f"export {name}={value}")
        print("export MIN_STREAMERS=1  # there are a few channels a game here, not hundreds", flush=True)
        stopped.wait()
        for request in standin.unknown:
            print(f"unknown: {request.method} {request.host}{request.path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
