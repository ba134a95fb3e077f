"""python -m tests.standin: a Twitch on this machine, until Ctrl-C or SIGTERM; it prints the settings that use it."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

from tests.standin import CLIPS, Standin, World
from tests.standin.faults import RandomFaults


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.standin", description=__doc__)
    parser.add_argument("--clips", type=Path, default=CLIPS, help="folder with clips.tsv and the clips")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--cache", type=Path, help="folder for transcoded segments")
    parser.add_argument("--preroll", type=float, default=15.0, metavar="SECONDS", help="length of pre-roll ads")
    parser.add_argument(
        "--lives",
        type=float,
        default=4.0,
        metavar="SECONDS",
        help="of a session until channels that end do so",
    )
    parser.add_argument(
        "--faults",
        type=fraction,
        metavar="FRACTION",
        help="of the requests that get a fault, 0 to 1; counts are printed at the end",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the faults: the same requests get the same ones")
    args = parser.parse_args(argv)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    random_faults = None if args.faults is None else RandomFaults(args.faults, args.seed)
    world, times = World.load(args.clips), {"preroll_s": args.preroll, "lifetime_s": args.lives}
    with ExitStack() as stack:
        try:
            standin = stack.enter_context(Standin(world, args.port, args.cache, **times, random_faults=random_faults))
        except OSError as error:
            parser.error(f"port {args.port}: {error.strerror}; choose another one with --port")
        for name, value in standin.environment.items():
            print(f"export {name}={value}")
        # Few channels per game here, hundreds on Twitch. Not printed as a comment: zsh would reject it when pasted.
        print("export MIN_STREAMERS=1", flush=True)
        stopped.wait()
        for request in standin.unknown:
            print(f"unknown: {request.method} {request.host}{request.path}", file=sys.stderr)
        if random_faults:
            print("\n".join(fault_lines(standin)), file=sys.stderr)
    return 0


def fault_lines(standin: Standin) -> list[str]:
    """Return how often each fault happened, and the use of Helix's rate limit."""
    minutes = standin.helix_minutes
    return [
        *(f"fault: {times} {name}" for name, times in standin.fault_counts.most_common()),
        f"helix: {minutes.total()} requests, {max(minutes.values(), default=0)} in a minute at most, "
        f"{standin.over_budget} over the budget",
    ]


def fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, not {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
