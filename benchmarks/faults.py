"""Fault table: runs a download against each fault of tests/data/scenarios.py, and writes its table in docs/faults.md.

    python -m benchmarks.faults [--write FILE]

Prints a Markdown row for each fault. Returns 1 if an outcome differs from what the scenario expects.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from data.factories import connect_database
from data.storage import embedded_postgres
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from tests.data.conftest import settings
from tests.data.scenarios import TABLE, Outcome, Scenario, clear_dataset, run_scenario

_START = "## Faults of Twitch during a download\n"  # the page up to here is written by hand
_SECTION = (
    _START
    + """
Each row is one fault of Twitch and what `data.download` did with it, in a real run against the stand-in. Timeouts are
one to two seconds, so that the faults of a day take seconds.

- **frames saved** shows that the run went on, not how fast: it ends as soon as it has shown what is expected.
- **message** is what the user sees: the first warning, or the error that ended the run.
- **rows = files** says that `data.dbSync` found nothing to repair afterwards.
- **left running** counts threads and processes that outlived the run.

`tests/data/test_faults.py` tests each row, and `python -m benchmarks.faults --write docs/faults.md` writes this
table.

"""
)
_HEAD = """\
| fault | frames saved | streams tried | failures by reason | message | seconds | rows = files | left running |
|---|---|---|---|---|---|---|---|
"""


def main(argv: list[str] | None = None) -> int:
    """Run all scenarios, print the table, write it to a file on request, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description="Download through every fault.")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table into the page FILE")
    args = parser.parse_args(argv)
    logging.getLogger().addHandler(logging.NullHandler())  # the row contains the warnings
    outcomes = []
    print(_HEAD, end="")
    for scenario, outcome in _outcomes():
        outcomes.append((scenario, outcome))
        print(row(scenario, outcome), flush=True)
    if args.write:
        page = args.write.read_text(encoding="utf-8").partition(_START)[0]
        rows = "".join(f"{row(*pair)}\n" for pair in outcomes)
        args.write.write_text(page + _SECTION + _HEAD + rows, encoding="utf-8")
    return 0 if all(as_expected(*pair) for pair in outcomes) else 1


def _outcomes() -> Iterator[tuple[Scenario, Outcome]]:
    """Yield each scenario with its outcome, on a PostgreSQL server of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as home,
        embedded_postgres.running_server(Path(home) / "postgres") as socket,
    ):
        folder = FrameFolder(Path(home) / "frames")
        folder.root.mkdir()
        server = settings(db_host=str(socket), db_port=embedded_postgres.PORT, db_name="postgres", db_user="postgres")
        with connect_database(server) as engine:
            catalog = Catalog(engine)
            for scenario in TABLE:
                yield scenario, run_scenario(scenario, catalog, folder)
                clear_dataset(catalog, folder)


def as_expected(scenario: Scenario, outcome: Outcome) -> bool:
    """Return whether the outcome is as tests/data/test_faults.py demands."""
    return (
        outcome.logins == scenario.logins
        and scenario.reasons <= outcome.failures.keys()
        and type(outcome.error) is (scenario.error or type(None))
        and outcome.repairs == ("Nothing to repair.",)
        and outcome.rows_are_files
        and not outcome.wrong
        and not outcome.left_running
    )


def row(scenario: Scenario, outcome: Outcome) -> str:
    """Return the Markdown row of one scenario."""
    failures = ", ".join(f"{count} {reason}" for reason, count in outcome.failures.items()) or "none"
    text = re.sub(r"\s+", " ", outcome.messages[0]).replace("|", r"\|") if outcome.messages else "nothing"
    ended = f"ends, exit {outcome.error.exit_code}: {text}" if outcome.error else text
    cells = [
        scenario.name,
        outcome.frames,
        outcome.streams,
        failures,
        ended,
        f"{outcome.seconds:.1f}",
        "yes" if outcome.rows_are_files and outcome.repairs == ("Nothing to repair.",) else "NO",
        len(outcome.left_running),
    ]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
