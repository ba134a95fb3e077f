"""What no run survives, its dataset does: --apply and --undo of a check, killed at random moments."""

from __future__ import annotations

import random
from pathlib import Path

from tests.data.kill_harness import DatasetUnderTest, find_errors
from tests.data.killed_changes import ChangingDataset, change_moments

KILLS = 2  # make soak: twenty of them


def test_kills_of_apply_and_undo_leave_each_change_whole_or_not_begun(
    tmp_path: Path, server: dict[str, str], engine: object
):
    """After SIGTERM or SIGKILL and the next command all frames of a change have moved, or none; rows = files.

    Every picture is there once, in a game or in the trash.
    """
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    dataset = DatasetUnderTest(tmp_path / "data", server)
    changing = ChangingDataset(dataset, frames=60)
    changing.fill()
    wrong = [error for moment in change_moments(KILLS, seed) for error in changing.kill(moment)]
    wrong += find_errors(dataset)
    print(changing.killed)
    assert not wrong
