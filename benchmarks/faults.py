"""What a download makes of each of Twitch's troubles: the table of tests/data/scenarios.py, run for real.

    python -m benchmarks.faults [--write FILE]

Prints a line for each as Markdown. Exit code 1 where one did not come out as the table expects.
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

_PAGE = """\
# Faults

What a download made of each of Twitch's troubles, with timeouts of a second or two, on one run of
`python -m benchmarks.faults --write docs/faults.md`. A run ends when it has shown what is expected of it, so the frames
say that it went on, not how fast.

"""
_HEAD = """\
| fault | frames kept | streams tried | failures by reason | said | seconds | rows = files | threads left |
|---|---|---|---|---|---|---|---|
"""


def main(argv: list[str] | None = None) -> int:
    """Run the table, print it, write it where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description="Download through every fault.")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table there, too")
    args = parser.parse_args(argv)
    logging.getLogger().addHandler(logging.NullHandler())  # what a run warns of stands in its line
    outcomes = []
    print(_HEAD, end="")
    for scenario, outcome in _outcomes():
        outcomes.append((scenario, outcome))
        print(row(scenario, outcome), flush=True)
    if args.write:
        args.write.write_text(_PAGE + _HEAD + "".join(f"{row(*pair)}\n" for pair in outcomes), encoding="utf-8")
    return 0 if all(as_expected(*pair) for pair in outcomes) else 1


def _outcomes() -> Iterator[tuple[Scenario, Outcome]]:
    """Each line of the table, on a PostgreSQL of its own."""
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
    """Whether it came out as tests/data/test_faults.py demands."""
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
    """The line of one scenario."""
    failures = ", ".join(f"{count} {reason}" for reason, count in outcome.failures.items()) or "none"
    said = re.sub(r"\s+", " ", outcome.messages[0]).replace("|", r"\|") if outcome.messages else "nothing"
    ended = f"ends, exit {outcome.error.exit_code}: {said}" if outcome.error else said
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
