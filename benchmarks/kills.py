"""Kill test: commands, killed by SIGTERM or kill -9 at random moments; what they leave must be consistent.

    python -m benchmarks.kills [--moments N] [--others N] [--seed N]

Fifty downloads; ten runs each of data.add, of model.check --apply, of its --undo, and of data.export.

Half of the moments come before the first frame, half while frames are saved. Half of the downloads use a PostgreSQL
server of the user, half the embedded one. Of the embedded ones every fifth starts a new dataset.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks._killed_commands import kill_all
from data.storage import embedded_postgres
from tests.data.kill_harness import DatasetUnderTest, KillMoment, find_errors, kill_moments, run_and_kill
from tests.standin import CLIPS, Standin, World

_NEW_DATASET_AFTER = 5  # of the embedded ones


def main(argv: list[str] | None = None) -> int:
    """Kill commands, repair, check, print the result; return 1 for any error."""
    parser = argparse.ArgumentParser(description="Kill commands at random moments and look at what they leave.")
    parser.add_argument("--moments", type=int, default=50, help="of downloads; default: %(default)s")
    parser.add_argument("--others", type=int, default=10, help="of each other command; default: %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="default: another one each time")
    args = parser.parse_args(argv)
    with _sites() as (own, new_embedded):
        wrong, datasets = _kill_all(kill_moments(args.moments, args.seed), own, new_embedded)
        frames = sum(1 for dataset in datasets for _ in dataset.folder.frames())
        other = DatasetUnderTest(own.path.parent / "others" / "data", own.variables)
        by_command = kill_all(args.others, args.seed, other, next(new_embedded)) if args.others else {}
    for line in [*wrong, *(line for lines in by_command.values() for line in lines)]:
        print(line, file=sys.stderr)
    counts = {
        "seed": args.seed,
        "killed": args.moments,
        "datasets": len(datasets),
        "frames": frames,
        "wrong": len(wrong),
        **{f"wrong_{command}": len(lines) for command, lines in by_command.items()},
    }
    print(json.dumps({"name": "kills", **counts}), flush=True)
    return int(bool(wrong or any(by_command.values())))


@contextmanager
def _sites() -> Iterator[tuple[DatasetUnderTest, Iterator[DatasetUnderTest]]]:
    """Yield a dataset on a separate server, then datasets with an embedded one."""
    with (
        tempfile.TemporaryDirectory(prefix="kills-") as name,
        Standin(World.load(CLIPS), preroll_s=600) as standin,
        embedded_postgres.running_server(Path(name) / "server") as socket,
    ):
        folder = Path(name)
        variables = {**standin.environment, "MIN_STREAMERS": "1"}
        server = {"DB_HOST": str(socket), "DB_NAME": "postgres", "DB_PORT": str(embedded_postgres.PORT)}
        new_embedded = (DatasetUnderTest(folder / str(number), {**variables, "DB_HOST": ""}) for number in range(1000))
        yield DatasetUnderTest(folder / "own", {**variables, **server}), new_embedded


def _kill_all(
    planned: list[KillMoment], own: DatasetUnderTest, new_embedded: Iterator[DatasetUnderTest]
) -> tuple[list[str], list[DatasetUnderTest]]:
    """Return the errors found and the datasets."""
    datasets, wrong, on_embedded = [own], [], 0
    for moment in planned:
        if moment.embedded and on_embedded % _NEW_DATASET_AFTER == 0:
            datasets.append(next(new_embedded))
        on_embedded += moment.embedded
        wrong += run_and_kill(datasets[-1] if moment.embedded else own, moment)
    for dataset in datasets:
        wrong += find_errors(dataset)
    return wrong, datasets


if __name__ == "__main__":
    sys.exit(main())
