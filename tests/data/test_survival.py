"""What no run survives, its dataset does: kills at random moments, and full disks."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.data.killing import Site, faults, kill, moments
from tests.standin import Standin

KILLS = int(os.environ.get("KILLS", "8"))  # python -m benchmarks.kills: fifty of them

Disk = Callable[[int], Path]


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Mount a disk of so many megabytes; it is gone when the test ends."""
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
def sites(server: dict[str, str], twitch: Standin) -> Iterator[dict[bool, Site]]:
    """Two datasets: one on the tests' server, and (True) one with an embedded server of its own."""
    folder = Path(tempfile.mkdtemp(prefix="killed-"))
    variables = {**twitch.environment, "MIN_STREAMERS": "1"}
    yield {
        False: Site(folder / "own", {**variables, **server}),
        True: Site(folder / "embedded", {**variables, "DB_HOST": ""}),
    }
    shutil.rmtree(folder, ignore_errors=True)


def test_killed_at_random_moments(sites: dict[bool, Site], engine: object):
    """SIGTERM and kill -9, from the process's start to the middle of saving: after dbSync rows = files, all whole.

    No count is wrong, no temporary file and no process is left, neither a download nor an embedded server.
    """
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    wrong = [complaint for moment in moments(KILLS, seed) for complaint in kill(sites[moment.embedded], moment)]
    wrong += [complaint for site in sites.values() for complaint in faults(site)]
    assert not wrong
    assert any(site.folder.frames() for site in sites.values())


@pytest.mark.parametrize(("embedded", "megabytes"), [(False, 3), (True, 44)])
def test_a_full_disk_ends_the_run_and_spoils_nothing(
    disk: Disk, sites: dict[bool, Site], engine: object, embedded: bool, megabytes: int
):
    """Exit 1 with what to do about it; rows = files and no half picture, with PostgreSQL on the full disk too."""
    site = Site(disk(megabytes), sites[embedded].variables)
    for _ in range(2):  # the second run finds the disk full
        download = site.command("data.download")
        _, story = download.communicate(timeout=90)
        assert download.returncode == 1
        assert "No space left on device: free some space" in story
        assert len(story.splitlines()) == 1
        assert not site.processes()
    assert not faults(site)
    assert len(list(site.folder.frames())) > 50


@pytest.mark.parametrize("megabytes", [1, 10, 30])
def test_a_disk_too_small_for_the_embedded_server_says_so(disk: Disk, sites: dict[bool, Site], megabytes: int):
    """Wherever making it was cut short, the line says what to do about it, and nothing is left running."""
    site = Site(disk(megabytes), sites[True].variables)
    assert _no_space(site)
    assert not site.processes()


def test_a_disk_without_a_byte_left_can_be_cleared(disk: Disk, sites: dict[bool, Site]):
    """The embedded server cannot even write its pid there, and says what to do; once that is done all works."""
    site = Site(disk(44), sites[True].variables)
    assert not faults(site)
    filler = site.dataset / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    assert _no_space(site)
    filler.unlink()
    assert not faults(site)


def _no_space(site: Site) -> bool:
    """Whether data.info ends with the one line that a full disk asks for."""
    command = site.command("data.info")
    _, story = command.communicate(timeout=90)
    return command.returncode == 1 and bool(
        re.fullmatch(r"error: .*No space left on device.*free some space.*\n", story)
    )
