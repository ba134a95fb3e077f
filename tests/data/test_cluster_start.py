"""Start of a cluster on this machine, when it is interrupted: Ray is not needed for that."""

from __future__ import annotations

import subprocess
from concurrent.futures import Future

import psutil

from data.pool.cluster import end_start


def test_end_of_a_start_that_hangs_kills_its_processes_and_no_others():
    """Children and their children, which Ray would leave behind; a child from before the start goes on."""
    with subprocess.Popen(["sleep", "600"]) as other:
        others = psutil.Process().children(recursive=True)
        with subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            child.stdout.readline()
            end_start(Future(), others, 0.2)
            child.communicate(timeout=10)  # until the pipe has no writer any more
        assert child.returncode < 0
        assert other.poll() is None
        other.kill()
