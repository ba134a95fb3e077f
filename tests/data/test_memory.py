"""data.memory: what a process frees goes back to the system while it runs."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from data.memory import given_back
from tests.data.conftest import REPOSITORY, environment

# Blocks of 60 kB, every second one freed: free pages between used ones, which glibc keeps.
FRAGMENTED = """
import time
from pathlib import Path
from data.memory import given_back

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

with given_back(float("{every_s}")):
    blocks = [bytearray(60_000) for _ in range(4000)]
    for block in blocks:
        block[::4096] = b"x" * len(block[::4096])
    full = resident_mb()
    del blocks[::2]
    time.sleep(0.5)
    print(full - resident_mb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; elsewhere given_back does nothing")
@pytest.mark.parametrize(("every_s", "back"), [(0.1, True), (1000.0, False)])
def test_free_pages_go_back(every_s, back):
    """Of 240 MB half is freed, in pieces: 90 MB at least go back in a few turns, and without a turn next to none."""
    command = [sys.executable, "-c", FRAGMENTED.format(every_s=every_s)]
    env = environment(PYTHONPATH=str(REPOSITORY))
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True)
    assert (float(done.stdout) > 90) is back


def test_no_thread_is_left():
    """The block's end is the thread's, without a wait for its next turn."""
    before = set(threading.enumerate())
    with given_back():
        assert {thread.name for thread in set(threading.enumerate()) - before} <= {"memory"}
    assert set(threading.enumerate()) == before
