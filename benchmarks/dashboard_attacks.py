"""Attacks on the dashboard: 10,000 hostile requests to a running server, and what came of each kind.

    python -m benchmarks.dashboard_attacks [--requests N] [--only WORDS] [--examples N] [--write FILE]

Prints a Markdown row for each attack of tests/dashboard/attacks.py, and one for the requests that Schemathesis makes
from the OpenAPI description, valid and invalid ones, whose answers it checks with the description. The server runs
without limits of rate, so that each request reaches what it attacks. Returns 1 for a status of 500, a request without
an answer, or a secret in one.
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
from tests.dashboard import api_schema, attacks, datasets
from tests.dashboard.attacks import Outcome, Target
from tests.dashboard.conftest import make_settings

_TOKEN = "a-token-of-enough-characters"
_FEW = {"files that are no pictures": 100}  # each one starts a process
_SCHEMA = "requests that Schemathesis makes from the OpenAPI"
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
    parser.add_argument("--examples", type=int, default=20, metavar="N", help="requests of Schemathesis by operation")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table into the page FILE")
    args = parser.parse_args(argv)
    logging.getLogger().addHandler(logging.NullHandler())
    names = [name for name in attacks.ATTACKS if args.only in name]
    with tempfile.TemporaryDirectory() as folder:
        # Nothing listens there: a request for a channel fails at once, and never leaves this machine.
        settings = make_settings(Path(folder), dashboard_token=_TOKEN, timeout_s=5, twitch_standin="http://127.0.0.1:9")
        datasets.write_files(settings.download_path)
        with connect_database(settings) as engine:
            datasets.fill_catalog(settings, Catalog(engine))
            with attacks.attacked_server(settings, _TOKEN) as target:
                return _report(target, names, args.requests, args.examples, args.write)


def _report(target: Target, names: list[str], requests: int, examples: int, page: Path | None) -> int:
    process, start = psutil.Process(), time.monotonic()
    print(_HEAD, end="")
    rows = [_schema_row(target, examples)] if examples else []  # it also loads what is loaded on demand
    before, defects = process.memory_info().rss, 0
    print(*rows, sep="\n", flush=True)
    few = {name: _FEW[name] for name in names if name in _FEW}
    for name in names:
        count = few.get(name, -(-(requests - sum(few.values())) // (len(names) - len(few) or 1)))
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


def _schema_row(target: Target, examples: int) -> str:
    """Raises an error of Schemathesis for an answer that the description does not have."""
    answers = api_schema.check_api(target, examples)
    outcome = Outcome()
    for label, number in answers.items():
        outcome.statuses[int(label.rpartition(" ")[2])] += number
    return row(_SCHEMA, sum(answers.values()), outcome)


def row(name: str, count: int, outcome: Outcome) -> str:
    """Return the row of an attack. A status of 0: the connection was closed without an answer."""
    answers = ", ".join(f"{status or 'closed'} × {number:,}" for status, number in sorted(outcome.statuses.items()))
    defects = f"; **{outcome.defects} defects**" if outcome.defects else ""
    came = attacks.ATTACKS[name][1] if name in attacks.ATTACKS else "each answer is one that the description has"
    return f"| {name} | {count:,} | {answers} | {came}{defects} |"


if __name__ == "__main__":
    sys.exit(main())
