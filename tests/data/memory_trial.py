"""Memory trial: every fast fault again and again in one process of its own, whose memory and objects are counted.

    DB_HOST=… DOWNLOAD_PATH=DIR python -m tests.data.memory_trial --rounds N

Prints one JSON object for each round: resident memory in bytes, number of objects, streams tried, faults that occurred,
and what is wrong with the dataset. Other tests' threads, caches and freed memory would count in a shared process.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import sys

import psutil

from config import load
from data.factories import connect_database
from data.storage.catalog import Catalog
from data.storage.frame_folder import FrameFolder
from tests.data.scenarios import clear_dataset, everything_at_once, run_scenario


def main(argv: list[str] | None = None) -> int:
    """Run the rounds and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.data.memory_trial", description="Count memory and objects.")
    parser.add_argument("--rounds", type=int, default=20, help="default: %(default)s")
    args = parser.parse_args(argv)
    values = load()
    folder = FrameFolder(values.download_path / "frames")
    folder.root.mkdir(parents=True, exist_ok=True)
    with connect_database(values) as engine:
        catalog = Catalog(engine)
        for number in range(args.rounds):
            outcome = run_scenario(everything_at_once(number), catalog, folder)
            clear_dataset(catalog, folder)
            measured = {
                "resident": _resident_bytes(),
                "objects": len(gc.get_objects()),
                "streams": outcome.streams,
                "faults": outcome.fault_counts,
                "wrong": [*outcome.wrong, *outcome.left_running, *([] if outcome.rows_are_files else ["rows"])],
            }
            print(json.dumps(measured), flush=True)
    return 0


def _resident_bytes() -> int:
    """Return this process's resident memory after freed memory was returned to the system where glibc can do that."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    return psutil.Process().memory_info().rss


if __name__ == "__main__":
    sys.exit(main())
