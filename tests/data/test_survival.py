"""What no run survives, its dataset does: kills at random kill_moments, and full disks."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from data.storage.frame_folder import FrameFolder
from data.video.images import encode_jpeg
from tests.data.kill_harness import DatasetUnderTest, find_errors, kill_moments, run_and_kill
from tests.standin import Standin

KILLS = 4  # make soak: fifty of them

Disk = Callable[[int], Path]


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Return a function that mounts a disk of the given size in MB; unmount the disks at the test's end."""
    with ExitStack() as mounted:

        def mount(megabytes: int) -> Path:
            folder = Path(tempfile.mkdtemp(prefix="disk-"))
            mounted.callback(shutil.rmtree, folder, ignore_errors=True)
            command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
            mounted.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
            return folder

        yield mount


@pytest.fixture
def datasets(server: dict[str, str], twitch: Standin) -> Iterator[dict[bool, DatasetUnderTest]]:
    """Two datasets: False: on the tests' server; True: with its own embedded server."""
    folder = Path(tempfile.mkdtemp(prefix="killed-"))
    variables = {**twitch.environment, "MIN_STREAMERS": "1"}
    yield {
        False: DatasetUnderTest(folder / "own", {**variables, **server}),
        True: DatasetUnderTest(folder / "embedded", {**variables, "DB_HOST": ""}),
    }
    shutil.rmtree(folder, ignore_errors=True)


def test_kills_at_random_moments_leave_a_repairable_dataset(datasets: dict[bool, DatasetUnderTest], engine: object):
    """After SIGTERM or SIGKILL and dbSync, rows = files, every file is complete, and every count is correct.

    The kills come from the process's start to the middle of saving. No temporary file and no process is left.
    """
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    wrong = [error for moment in kill_moments(KILLS, seed) for error in run_and_kill(datasets[moment.embedded], moment)]
    wrong += [error for dataset in datasets.values() for error in find_errors(dataset)]
    assert not wrong
    assert any(dataset.folder.frames() for dataset in datasets.values())


@pytest.mark.parametrize(("embedded", "megabytes"), [(False, 3), (True, 44)])
def test_a_full_disk_ends_the_run_and_damages_nothing(
    disk: Disk, datasets: dict[bool, DatasetUnderTest], engine: object, embedded: bool, megabytes: int
):
    """Exit code 1 and advice; rows = files and no incomplete file, also with PostgreSQL on the full disk."""
    dataset = DatasetUnderTest(disk(megabytes), datasets[embedded].variables)
    for _ in range(2):  # the second run finds the disk full
        download = dataset.command("data.download")
        _, stderr = download.communicate(timeout=90)
        assert download.returncode == 1
        assert "No space left on device: free some space" in stderr
        assert len(stderr.splitlines()) == 1
        assert not dataset.processes()
    assert not find_errors(dataset)
    assert len(list(dataset.folder.frames())) > 50


@pytest.mark.parametrize("megabytes", [1, 10, 30])
def test_a_disk_too_small_for_the_embedded_server_says_so(
    disk: Disk, datasets: dict[bool, DatasetUnderTest], megabytes: int
):
    """Wherever the creation of the cluster fails, one line says what to do, and no process is left."""
    dataset = DatasetUnderTest(disk(megabytes), datasets[True].variables)
    assert _no_space(dataset)
    assert not dataset.processes()


def test_a_disk_without_a_byte_left_can_be_cleared(disk: Disk, datasets: dict[bool, DatasetUnderTest]):
    """The embedded server cannot even write its pid; after freeing space, as the message says, all works."""
    dataset = DatasetUnderTest(disk(44), datasets[True].variables)
    assert not find_errors(dataset)
    filler = _fill(dataset.path)
    assert _no_space(dataset)
    filler.unlink()
    assert not find_errors(dataset)


def test_dbsync_repairs_the_rows_of_a_full_disk(disk: Disk, datasets: dict[bool, DatasetUnderTest], engine: object):
    """Lines of frames that are gone stay in the manifest until there is space; temporary files free some."""
    dataset = DatasetUnderTest(disk(3), datasets[False].variables)
    store = FrameFolder(dataset.path / "frames")
    frames = store.save(7, "ann", [encode_jpeg(np.full((240, 240, 3), grey, np.uint8), 90) for grey in range(9)])
    assert not find_errors(dataset)
    stale = store.root / "7" / f".{2**22 + 1}-{'0' * 16}.tmp"  # pid_max is 2**22
    store.delete(frames[:5])
    _fill(dataset.path)
    stale.touch()
    command = dataset.command("data.dbSync")
    _, stderr = command.communicate(timeout=90)
    assert (command.returncode, len(stderr.splitlines())) == (0, 1)
    assert re.search("Lines of frames that are gone stay in the manifests: .*No space left", stderr)
    assert not stale.exists()
    assert not find_errors(dataset)


def _fill(folder: Path) -> Path:
    """Write a file that leaves no byte of the disk free; return its path."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return filler


def _no_space(dataset: DatasetUnderTest) -> bool:
    """Return whether data.dbSync ends with the one line for a full disk."""
    command = dataset.command("data.dbSync")
    _, stderr = command.communicate(timeout=90)
    return command.returncode == 1 and bool(
        re.fullmatch(r"error: .*No space left on device.*free some space.*\n", stderr)
    )
