"""Time and disk of model.create for 36 games with 2,700 frames each, extrapolated from two smaller trainings.

Both run the command as a user does, on frames of the stand-in's clips, with a fixed number of epochs. Their
difference is the time per frame, from the features to the files. The rest (imports, graphs) is constant.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks import _grabbing, sessions

_FRAMES = 36 * 2_700
_FEW, _MORE = 4, 24  # frames of each session: 176 and about 1,000


def main(argv: list[str] | None = None) -> int:
    """Measure, extrapolate, print a JSON line, and return the exit code."""
    del argv
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        root = sessions.collected(folder / "all" / "frames")
        few, few_s = _trained(root, folder / "few", _FEW)
        more, more_s = _trained(root, folder / "more", _MORE)
        sizes = [path.stat().st_size for path in root.rglob("*.jpg")]
    each_s = (more_s - few_s) / (more - few)
    figures = {
        "name": "train_time",
        "frames": [few, more],
        "seconds": [round(few_s, 1), round(more_s, 1)],
        "ms_a_frame": round(1000 * each_s, 1),
        "hours_for_97200": round((few_s + each_s * (_FRAMES - few)) / 3600, 2),
        "gb_for_97200": round(_FRAMES * sum(sizes) / len(sizes) / 1e9, 2),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _trained(root: Path, folder: Path, each: int) -> tuple[int, float]:
    """Train on the first frames of each session; return their number and the seconds."""
    taken: dict[str, int] = defaultdict(int)
    for path in sorted(root.rglob("*.jpg"), key=lambda path: (len(path.name), path.name)):
        session = f"{path.parent.name}/{path.name.rpartition('-')[0]}"
        if taken[session] < each:
            taken[session] += 1
            target = folder / "frames" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    settings = {"DOWNLOAD_PATH": str(folder), "MODEL_PATH": str(folder / "model"), "PATIENCE": "100"}
    start = time.monotonic()
    command = [sys.executable, "-m", "model.create", "-q"]
    subprocess.run(command, cwd=_grabbing.REPOSITORY, env=os.environ | settings, check=True, stdout=subprocess.DEVNULL)
    return sum(taken.values()), time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())
