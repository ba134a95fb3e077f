"""Fuzz suite: damaged inputs for every place where foreign bytes enter; crashes, hangs and the memory that they take.

    python -m benchmarks.fuzz [target ...] [--inputs N] [--seed N]

Each target of `tests.fuzzing.targets` runs in a process of its own, which a native crash would end. A crash is an
exception that is no error of the toolkit, or a signal; a hang is an input that takes more than five seconds. The first
input of each kind of crash is printed.
"""

from __future__ import annotations

import argparse
import base64
import faulthandler
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzzing.targets import TARGETS

_HANG_S = 5.0
_KILL_S = 60.0  # the process ends with a traceback of all threads after this time for one input
_ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Fuzz the targets in turn, print a line for each and the totals; return 1 for any crash or hang."""
    parser = argparse.ArgumentParser(description="Feed damaged inputs to the toolkit.")
    parser.add_argument("targets", nargs="*", metavar="target", help=f"default: all of {', '.join(TARGETS)}")
    parser.add_argument("--inputs", type=int, default=5000, help="for each target, default: %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="default: another one each time")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # in this process
    args = parser.parse_args(argv)
    if args.here:
        print(json.dumps(_fuzz(args.targets[0], args.inputs, args.seed)))
        return 0
    results = [_fuzz_in_process(name, args.inputs, args.seed) for name in args.targets or TARGETS]
    totals = {key: sum(result[key] for result in results) for key in ("inputs", "crashes", "hangs")}
    peak = max(result["peak_mb"] for result in results)
    print(json.dumps({"name": "fuzz", "seed": args.seed, **totals, "peak_mb": peak}), flush=True)
    return int(bool(totals["crashes"] or totals["hangs"]))


def _fuzz_in_process(name: str, inputs: int, number: int) -> dict[str, Any]:
    """Fuzz a target in a new process; return and print its result."""
    command = [sys.executable, "-m", "benchmarks.fuzz", "--here", name, "--inputs", str(inputs), "--seed", str(number)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        ended = f"the process ended with {done.returncode}"
        result = {"target": name, "inputs": 0, "crashes": 1, "hangs": 0, "peak_mb": 0, "kinds": {ended: 1}}
    else:
        result = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(result), flush=True)
    return result


def _fuzz(name: str, inputs: int, number: int) -> dict[str, Any]:
    """Fuzz a target in this process; return the counts. The input in progress is in a file, for a native crash."""
    kinds: Counter[str] = Counter()
    count, hangs, slowest_s = 0, 0, 0.0
    before_mb = _peak_mb()
    current = Path(tempfile.gettempdir()) / f"fuzz-{name}.input"

    with TARGETS[name].open() as feed:

        @seed(number)
        @settings(
            max_examples=inputs,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(TARGETS[name].inputs)
        def run(data: Any) -> None:
            nonlocal count, hangs, slowest_s
            current.write_bytes(data if isinstance(data, bytes) else repr(data).encode())
            faulthandler.dump_traceback_later(_KILL_S, exit=True)
            begun = time.monotonic()
            try:
                feed(data)
            except Exception as error:  # noqa: BLE001 - each one is a crash to count
                if not kinds[kind := _kind(error)]:
                    _print_crash(name, kind, data)
                kinds[kind] += 1
            seconds = time.monotonic() - begun
            count, hangs, slowest_s = count + 1, hangs + (seconds > _HANG_S), max(slowest_s, seconds)

        run()
    faulthandler.cancel_dump_traceback_later()
    current.unlink()
    return {
        "target": name,
        "inputs": count,
        "crashes": sum(kinds.values()),
        "hangs": hangs,
        "slowest_s": round(slowest_s, 2),
        "peak_mb": _peak_mb(),
        "grown_mb": _peak_mb() - before_mb,
        "kinds": kinds,
    }


def _kind(error: Exception) -> str:
    """Return the exception's type and the line of code that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"


def _print_crash(name: str, kind: str, data: Any) -> None:
    raw = data if isinstance(data, bytes) else repr(data).encode()
    print(f"{name}: {kind}: input in base64: {base64.b64encode(raw[:3000]).decode()}", file=sys.stderr)
    traceback.print_exc(limit=-6)


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(main())
