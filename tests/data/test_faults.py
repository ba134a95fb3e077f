"""A download survives Twitch's troubles: every line of tests/data/scenarios.py, run for real, and what it costs."""

from __future__ import annotations

import ctypes
import gc
import re
import statistics
import subprocess
import sys
from collections import Counter

import psutil
import pytest

from data.capture.grabber import Grabber
from data.errors import StreamError
from tests.data.conftest import REPOSITORY, environment
from tests.data.scenarios import MEMORY_FAULTS, TABLE, Scenario, emptied, everything, played, twitch_of
from tests.standin import Fault, faults
from tests.standin.media import TRANSCODES
from tests.standin.playlist import MEDIA_HOST


@pytest.mark.parametrize("scenario", TABLE, ids=lambda scenario: scenario.name)
def test_a_download_in_trouble(scenario: Scenario, catalog, folder, capfd):
    """Frames of the streams that work, reasons for the others; or the right end; and nothing amiss after it."""
    outcome = played(scenario, catalog, folder)
    assert outcome.met.keys() == {fault.name for fault in scenario.faults}
    assert outcome.logins == scenario.gives
    assert scenario.reasons <= outcome.failures.keys()
    assert type(outcome.error) is (scenario.error or type(None))
    assert not scenario.says or any(re.search(scenario.says, line) for line in outcome.said), outcome.said
    assert outcome.repairs == ("Nothing to mend.",)
    assert outcome.rows_are_files
    assert not outcome.wrong
    assert not outcome.left
    assert "Traceback" not in capfd.readouterr().err


def test_the_page_is_of_this_table():
    """docs/faults.md has a line for each scenario, in order: python -m benchmarks.faults --write docs/faults.md."""
    lines = (REPOSITORY / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")]
    assert names[1:] == [scenario.name for scenario in TABLE]


# Two grabs in a process of their own, of a good channel and of a sick one: what the second costs beyond the first.
# VmHWM is the most that was resident, proc(5); what getrusage says of that, a child takes over from its parent.
COSTS = """
import re, sys, time
from pathlib import Path
from data.errors import StreamError
from data.capture.grabber import Grabber

costs, reasons = [], []
with Grabber(img_size=240, jpeg_quality=95, standin=sys.argv[1]) as grabber:
    for login in ("good", "sick"):
        try:
            list(grabber.frames(login, 3))
        except StreamError as error:
            reasons.append(error.reason)
        kilobytes = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
        costs.append((1024 * kilobytes, time.process_time()))
print(*(second - first for first, second in zip(*costs)), *reasons, sep=",")
"""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def bomb_costs() -> tuple[float, float, str]:
    """Memory (bytes at most), CPU seconds and outcome of trying three segments of 8K video."""
    scenario = next(scenario for scenario in TABLE if "bomb" in scenario.channels.values())
    with twitch_of(scenario) as standin:
        command = [sys.executable, "-c", COSTS, standin.url]
        env = environment(PYTHONPATH=str(REPOSITORY))
        done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True)
    memory, seconds, reason = done.stdout.strip().split(",")
    return float(memory), float(seconds), reason


@on_linux
def test_a_bomb_costs_little(bomb_costs):
    """8K video is refused, for a fraction of a second and for less than two of its frames (50 MB each) at a time."""
    memory, seconds, reason = bomb_costs
    assert reason == "no picture"
    assert memory < 100e6
    assert seconds < 2


def test_a_bomb_is_refused_by_its_head(bomb_costs):
    """The size stands in the first bytes: no frame of 50 MB has to be made to refuse it."""
    assert bomb_costs[0] < 16e6


def test_a_failed_segment_is_asked_for_once(zoo_of_fmp4, capfd):
    """FFmpeg reads on after an error: the file has ended for it then; nobody waits twice, and nothing is printed."""
    with Grabber(img_size=240, jpeg_quality=95, standin=zoo_of_fmp4.url) as grabber, pytest.raises(StreamError):
        list(grabber.frames("good", 3))
    assert zoo_of_fmp4.faults_met.total() == 3
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture
def zoo_of_fmp4():
    """A channel of fragments all of which fail; its init section does not."""
    broken = Fault("no fragment", faults.status(500), MEDIA_HOST, "*.m4s")
    scenario = Scenario("fragments that fail", {"good": "fmp4"}, (broken,))
    with twitch_of(scenario) as standin:
        standin.transcoder.prepare(scenario.world.channels[0].file, TRANSCODES[0], fmp4=True)
        yield standin


def test_nothing_of_a_stream_is_kept():
    """After fifty streams there are as many objects as after ten."""
    counts = []
    with twitch_of(TABLE[0]) as standin, Grabber(img_size=240, jpeg_quality=95, standin=standin.url) as grabber:
        for tries in (10, 40):
            for _ in range(tries):
                with pytest.raises(StreamError):
                    list(grabber.frames("nobody", 1))
            standin.requests.clear()
            gc.collect()
            counts.append(len(gc.get_objects()))
    assert counts[1] - counts[0] < 40


def test_memory_stays_flat(catalog, folder):
    """Every quick fault again and again in one process: once all has happened a few times, nothing more is kept.

    Objects, which are exact: a handful for the run. Resident memory, which is not: freed memory lies in pieces among
    what is in use, 8 to 13 MB more of it in the ten later rounds. Kept for each of their 250 streams, the 100 kB of a
    segment or of a decoder would be 25 MB.
    """
    resident, objects, streams, met = [], [], [], Counter[str]()
    for number in range(20):
        outcome = played(everything(number), catalog, folder)
        met.update(outcome.met)
        streams.append(outcome.streams)
        assert (outcome.rows_are_files, outcome.wrong, outcome.left) == (True, (), ())
        emptied(catalog, folder)
        resident.append(_resident_bytes())
        objects.append(len(gc.get_objects()))
    assert met.keys() == MEMORY_FAULTS
    assert sum(streams[10:]) > 100
    assert objects[-1] - objects[9] <= 200
    assert statistics.median(resident[-3:]) - statistics.median(resident[8:11]) < 24e6


def _resident_bytes() -> int:
    """Memory that this process holds and uses: what glibc keeps of freed memory, where it can, is given back before."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    return psutil.Process().memory_info().rss
