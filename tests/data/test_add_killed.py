"""What no import survives, its dataset does: data.add, killed at random moments, and repeated."""

from __future__ import annotations

import random
import signal
from collections import Counter
from pathlib import Path

from tests.data.kill_harness import DatasetUnderTest, KilledCommand, KillMoment, count_files, find_errors, run_and_kill
from tests.data.picture_sets import write_picture

KILLS = 1  # benchmarks.kills: ten of them


def test_kills_of_an_import_lose_nothing_and_its_repetition_adds_the_rest_once(
    tmp_path: Path, server: dict[str, str], engine: object
):
    """After kill -9 at random moments the next run goes on; at the end rows = files = pictures."""
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    rng = random.Random(seed)
    folders = [tmp_path / "set" / name for name in ("Chess/ann", "Chess/bob", "Go/ann", "Go/bob")]
    originals = Counter(
        write_picture(folder / f"{number}.jpg", (240, 240)) for folder in folders for number in range(65)
    )
    dataset = DatasetUnderTest(tmp_path / "data", server)
    command = KilledCommand(("data.add", str(tmp_path / "set")), "Added ", count_files, ends=True)
    wrong = []
    for _ in range(KILLS):
        moment = KillMoment(signal.SIGKILL, True, rng.uniform(0, 0.4), False)
        wrong += run_and_kill(dataset, moment, command)
    stdout, stderr = dataset.command(*command.words).communicate(timeout=60)
    assert (stdout.startswith("Added "), stderr, wrong) == (True, "", [])
    assert find_errors(dataset) == []
    assert Counter(map(dataset.folder.read, dataset.folder.frames())) == originals
