"""data.collection.progress: the lines that a download prints."""

from __future__ import annotations

import re
from collections import Counter

from data.collection.progress import Display, streams
from data.collection.state import Tally


def test_where_nothing_was_left_out_nothing_is_said_of_it():
    """Streams tried and failed, as ever."""
    tally = Tally(streams=39, failures=Counter({"offline": 2, "only ads": 2}))
    assert streams(tally) == "39 streams tried, 4 failed (2 offline, 2 only ads)"
    assert streams(Tally(streams=3)) == "3 streams tried, 0 failed"


def test_what_was_left_out_is_told_by_reason():
    """Most frequent reason first; streamers who have their share are counted once each."""
    tally = Tally(streams=9, left_out=Counter({"black": 8, "frozen": 20, "test card": 3}), passed_over={"ann", "bob"})
    assert streams(tally) == (
        "9 streams tried, 0 failed; 31 frames left out (20 frozen, 8 black, 3 test card); "
        "2 streamers passed over for having a full share"
    )
    tally = Tally(streams=9, left_out=Counter({"black": 1}), passed_over={"ann"})
    assert streams(tally).endswith("; 1 frame left out (1 black); 1 streamer passed over for having a full share")


def test_status_and_last_line_tell_it_both():
    """The line between, with what goes on now, and the line at the end."""
    left_out = Counter({"frozen": 2})
    tally = Tally(frames=Counter({"Doom": 5, "None": 0}), left_out=left_out, streams=2, doing="x")
    display = Display(tally, "Ctrl-C stops.")
    told = r"2 streams tried, 0 failed; 2 frames left out \(2 frozen\)"
    assert re.fullmatch(rf"5 frames in 0 s \(\d+\.\d\d a second\), {told} · x", display.status())
    assert re.fullmatch(rf"Downloaded 5 frames of 1 games in 0 s \(\d+\.\d\d a second\); {told}\.", display.totals())
