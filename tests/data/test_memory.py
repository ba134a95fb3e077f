"""data.memory: freed memory returns to the operating system while the process runs."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from data.memory import trim_periodically
from tests.data.conftest import REPOSITORY, environment

# Free every second of 4000 blocks of 60 kB: glibc keeps such free pages between used ones.
FRAGMENTED = """
import time
from pathlib import Path
from data.memory import trim_periodically

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

with trim_periodically(float("{every_s}")):
    blocks = [bytearray(60_000) for _ in range(4000)]
    for block in blocks:
        block[::4096] = b"x" * len(block[::4096])
    full = resident_mb()
    del blocks[::2]
    time.sleep(0.5)
    print(full - resident_mb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; elsewhere trim_periodically does nothing")
@pytest.mark.parametrize(("every_s", "returned"), [(0.1, True), (1000.0, False)])
def test_free_pages_return_to_the_system(every_s, returned):
    """Of 240 MB half is freed, in pieces: trims return at least 90 MB, no trim almost nothing."""
    command = [sys.executable, "-c", FRAGMENTED.format(every_s=every_s)]
    env = environment(PYTHONPATH=str(REPOSITORY))
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True)
    assert (float(done.stdout) > 90) is returned


def test_the_thread_ends_with_the_block():
    """The block's end stops the thread at once, without a wait for its next trim."""
    before = set(threading.enumerate())
    with trim_periodically():
        assert {thread.name for thread in set(threading.enumerate()) - before} <= {"memory"}
    assert not set(threading.enumerate()) - before
