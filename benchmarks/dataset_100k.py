"""Time of data.info and data.dbSync on a dataset of 100,000 small files, interpreter start included.

    python -m benchmarks.dataset_100k [--frames N] [--runs N] [--folder DIR]

Each command starts and stops the embedded server, as in real use. Claims: data.info takes less than 2 s, data.dbSync
less than 10 s, both when it adds all rows and when there is nothing to do.
"""

from __future__ import annotations

import argparse
import base64
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from config import Settings
from data.factories import connect_database

# A grey JPEG of 8 by 8 pixels.
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hn"
    "Pk1xeXBkeFxlZ2P/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AP//Z"
)
_GAMES = 50
_STREAMERS = 40  # of each game
_REPOSITORY = Path(__file__).parent.parent


def main(argv: list[str] | None = None) -> int:
    """Create the files, time the commands, print the medians, and return the exit code."""
    parser = argparse.ArgumentParser(description="Time data.info and data.dbSync on many small files.")
    parser.add_argument("--frames", type=int, default=100_000, help="files to make (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each command (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to make and keep the dataset (default: a temporary folder)")
    args = parser.parse_args(argv)
    if args.folder:
        return _measure(args.folder, args.frames, args.runs)
    with tempfile.TemporaryDirectory(prefix="frames-") as folder:
        return _measure(Path(folder), args.frames, args.runs)


def _measure(dataset: Path, frames: int, runs: int) -> int:
    make_files(dataset / "frames", frames)
    with connect_database(Settings(_env_file=None, download_path=dataset)):
        pass  # the embedded database exists from now on
    print(f"{frames:,} frames, {os.cpu_count()} cores, median of {runs} runs")
    print(f"  data.dbSync, first adoption  {_seconds(dataset, 'data.dbSync'):6.2f} s (one run)")
    for name, command in (("data.dbSync, nothing to do", "data.dbSync"), ("data.info", "data.info")):
        times = [_seconds(dataset, command) for _ in range(runs)]
        print(f"  {name:<27}  {statistics.median(times):6.2f} s (best {min(times):.2f}, worst {max(times):.2f})")
    return 0


def make_files(root: Path, frames: int, padding: bytes = b"") -> None:
    """Create `frames` files, evenly over games and streamers; keep existing ones. padding: the end of each file."""
    for index in range(frames):
        game, rest = index % _GAMES, index // _GAMES
        folder = root / str(1000 + game)
        if index < _GAMES:
            folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"streamer_{game}_{rest % _STREAMERS}-{rest // _STREAMERS + 1}.jpg"
        path.write_bytes(_JPEG + index.to_bytes(4, "big") + padding)  # no two files are identical


def _seconds(dataset: Path, module: str) -> float:
    """Return the seconds of one run of a command on this dataset, with the embedded server."""
    environment = {**os.environ, "DOWNLOAD_PATH": str(dataset), "DB_HOST": ""}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", module], cwd=_REPOSITORY, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
