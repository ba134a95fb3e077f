"""Time and memory of data.export on 100,000 generated frames of 8 to 10 kB, in each format, read back and compared.

    python -m benchmarks.export_100k [--frames N] [--runs N] [--folder DIR] [--datasets PYTHON]

Claim: at most 60 s in each format. In turn with each run of a format goes what else does that work: `datasets` for
Parquet (in an interpreter of its own, --datasets), `webdataset` for tar files, a plain copy for the image folder. They
read the same files in the same order, know nothing of details and splits, and read nothing back.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data.entities import FrameDetails, Game, StoredFrame
from data.storage import manifest
from data.storage.frame_folder import FrameFolder
from tests.data.exports import jpeg

_GAMES, _STREAMERS = 50, 40  # streamers of each game
_FORMATS = ("parquet", "webdataset", "imagefolder", "fiftyone")
_CLAIM_S = 60
_REPOSITORY = Path(__file__).parent.parent
_READ = """
import json, pathlib, random, sys
root, out = map(pathlib.Path, sys.argv[1:])
paths = sorted(root.glob("*/*.jpg"))
random.Random(0).shuffle(paths)
out.mkdir()
"""
_OTHERS = {
    "parquet": _READ
    + """
import datasets
features = datasets.Features({"image": datasets.Image(), "game_id": datasets.Value("int64")})
def rows():
    for path in paths:
        yield {"image": {"bytes": path.read_bytes(), "path": path.name}, "game_id": int(path.parent.name)}
data = datasets.Dataset.from_generator(rows, features=features, cache_dir=str(out / "cache"))
for index in range(10):
    data.shard(10, index, contiguous=True).to_parquet(str(out / f"{index}.parquet"))
""",
    "webdataset": _READ
    + """
import webdataset
with webdataset.ShardWriter(str(out / "%05d.tar"), maxcount=1 << 30, maxsize=100_000_000, verbose=0) as writer:
    for path in paths:
        game = path.parent.name
        sample = {"jpg": path.read_bytes(), "json": {"game_id": int(game)}, "cls": game}
        writer.write({"__key__": f"{game}/{path.stem}", **sample})
""",
    "imagefolder": "import shutil, sys; shutil.copytree(*sys.argv[1:])",
}


def main(argv: list[str] | None = None) -> int:
    """Make the frames, time the exports, print the medians; return 1 if a format takes longer than claimed."""
    parser = argparse.ArgumentParser(description="Time data.export.")
    parser.add_argument("--frames", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=3, help="of each format (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to make and keep the dataset (default: a temporary folder)")
    parser.add_argument("--datasets", default="", metavar="PYTHON", help="an interpreter that has `datasets`")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="export-") as scratch:
        dataset = args.folder or Path(scratch) / "dataset"
        size = make_frames(dataset / "frames", args.frames)
        print(f"{args.frames:,} frames, {size / 1e6:,.0f} MB, {os.cpu_count()} cores, medians of {args.runs} runs")
        slow = [kind for kind in _FORMATS if _measure(kind, dataset, Path(scratch), size, args) > _CLAIM_S]
    return int(bool(slow))


def make_frames(root: Path, frames: int) -> int:
    """Create frames of 8 to 10 kB with their manifests, evenly over games and streamers; return their bytes."""
    rng = random.Random(0)
    start, size = jpeg("frame", 96), 0
    FrameFolder(root).add_games(Game(1000 + game, f"Game {game}") for game in range(_GAMES))
    for game in range(_GAMES):
        folder = root / str(1000 + game)
        lines = []
        for index in range(game, frames, _GAMES):
            number, streamer = divmod(index // _GAMES, _STREAMERS)
            details = FrameDetails(1.7e9 + index, "en", index, f"title {index}", f"https://www.twitch.tv/s{streamer}")
            frame = StoredFrame(1000 + game, f"s{streamer}_{game}", number + 1, details=details)
            content = start + rng.randbytes(rng.randrange(8_000, 10_000) - len(start))
            size += len(content)
            (root / frame.path).write_bytes(content)
            lines.append(frame)
        if not (folder / manifest.MANIFEST_FILE).exists():
            manifest.append(folder, lines)
    return size


def _measure(kind: str, dataset: Path, scratch: Path, size: int, args: argparse.Namespace) -> float:
    """Print the numbers of a format and of the alternative; return the median seconds of the format."""
    others = {"parquet": args.datasets}.get(kind, sys.executable) if kind in _OTHERS else ""
    ours, theirs = [], []
    for run in range(args.runs):
        out = scratch / f"out-{run}"
        words = [sys.executable, "-m", "data.export", "--format", kind, "--out", str(out)]
        ours.append(_timed(words, {"DOWNLOAD_PATH": str(dataset), "DB_HOST": ""}, out))
        if others:
            words = [others, "-c", _OTHERS[kind], str(dataset / "frames"), str(out)]
            theirs.append(_timed(words, {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}, out))
    for name, runs in ((kind, ours), ("  alternative", theirs)):
        if runs:
            seconds, cpu_s, peak = (statistics.median(values) for values in zip(*runs, strict=True))
            speed = size / 1e6 / seconds
            print(
                f"  {name:<13} {seconds:6.1f} s ({cpu_s:.1f} s of CPU)  {speed:4.0f} MB/s  {peak / 1e6:4.0f} MB memory"
            )
    seconds = statistics.median(seconds for seconds, *_ in ours)
    print(json.dumps({"name": f"export_100k {kind}", "seconds": round(seconds, 1)}), flush=True)
    return seconds


def _timed(words: list[str], variables: dict[str, str], out: Path) -> tuple[float, float, float]:
    """Run a command; return its seconds, those of CPU, and its peak of memory in bytes. Delete what it wrote."""
    environment = {**os.environ, **variables}
    start = time.perf_counter()
    process = subprocess.Popen(words, cwd=_REPOSITORY, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(words[:4])} ended with {process.returncode}")
    shutil.rmtree(out)
    memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return seconds, usage.ru_utime + usage.ru_stime, memory


if __name__ == "__main__":
    sys.exit(main())
