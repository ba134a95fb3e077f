"""Attacks on the dashboard: 10,000 hostile requests to a running server, and what came of each kind.

    python -m benchmarks.dashboard_attacks [--requests N] [--only WORDS] [--write FILE]

Prints a Markdown row for each attack of tests/dashboard/attacks.py. The server runs without limits of rate, so that
each request reaches what it attacks. Returns 1 for a status of 500, a request without an answer, or a secret in one.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path

import psutil

from data.factories import connect_database
from data.storage.catalog import Catalog
from tests.dashboard import attacks, datasets
from tests.dashboard.attacks import Outcome, Target
from tests.dashboard.conftest import make_settings

_TOKEN = "a-token-of-enough-characters"
_FEW = {"files that are no pictures": 100}  # each one starts a process
_STEP = 7  # each 7th of all combinations of operation, parameter and value
_START = "## Attacks on the dashboard\n"  # the page up to here is written by hand
_HEAD = """\
| attack | requests | answers: status × number | what came of it |
|---|---|---|---|
"""


def main(argv: list[str] | None = None) -> int:
    """Run all attacks, print the table, write it to a file on request, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard_attacks", description="Attack the dashboard.")
    parser.add_argument("--requests", type=int, default=10_000, metavar="N", help="of all attacks (default: 10000)")
    parser.add_argument("--only", default="", metavar="WORDS", help="a part of the names of the attacks to run")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table into the page FILE")
    args = parser.parse_args(argv)
    logging.getLogger().addHandler(logging.NullHandler())
    names = [name for name in attacks.ATTACKS if args.only in name]
    with tempfile.TemporaryDirectory() as folder:
        settings = make_settings(Path(folder), dashboard_token=_TOKEN, timeout_s=5)
        datasets.write_files(settings.download_path)
        with connect_database(settings) as engine:
            datasets.fill_catalog(settings, Catalog(engine))
            with attacks.attacked_server(settings, _TOKEN) as target:
                return _report(target, names, args.requests, args.write)


def _report(target: Target, names: list[str], requests: int, page: Path | None) -> int:
    process, start = psutil.Process(), time.monotonic()
    attacks.run(target, names[0], 50)  # what is loaded on demand counts for none of them
    before, rows, defects = process.memory_info().rss, [], 0
    print(_HEAD, end="")
    for name in names:
        count = _FEW.get(name, -(-requests // len(names)))
        outcome = attacks.run(target, name, count, _STEP)
        rows.append(row(name, count, outcome))
        defects += outcome.defects
        print(rows[-1], flush=True)
        if outcome.defects:
            print(outcome.example, outcome.leaks[:1], file=sys.stderr)
    growth = (process.memory_info().rss - before) / 1e6
    print(f"{time.monotonic() - start:.0f} s; memory of server and attacker: {growth:+.0f} MB", file=sys.stderr)
    if page:
        text = page.read_text(encoding="utf-8").partition(_START)[0]
        page.write_text(f"{text}{_START}\n{_HEAD}{chr(10).join(rows)}\n", encoding="utf-8")
    return 1 if defects else 0


def row(name: str, count: int, outcome: Outcome) -> str:
    """Return the row of an attack. A status of 0: the connection was closed without an answer."""
    answers = ", ".join(f"{status or 'closed'} × {number:,}" for status, number in sorted(outcome.statuses.items()))
    defects = f"; **{outcome.defects} defects**" if outcome.defects else ""
    return f"| {name} | {count:,} | {answers} | {attacks.ATTACKS[name][1]}{defects} |"


if __name__ == "__main__":
    sys.exit(main())
