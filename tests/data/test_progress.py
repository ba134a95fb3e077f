"""data.collection.progress: the lines that a download prints."""

from __future__ import annotations

import re
from collections import Counter

from data.collection.progress import ProgressDisplay, summary
from data.collection.state import CollectionStats
from data.entities import Game


def test_summary_without_rejected_frames_counts_streams_and_failures():
    """Rejected frames and streamers over quota are not mentioned when there are none."""
    stats = CollectionStats(streams=39, failures=Counter({"offline": 2, "only ads": 2}))
    assert summary(stats) == "39 streams tried, 4 failed (2 offline, 2 only ads)"
    assert summary(CollectionStats(streams=3)) == "3 streams tried, 0 failed"


def test_summary_counts_rejected_frames_by_reason_and_streamers_over_quota():
    """The most frequent reason comes first; a streamer over quota counts once."""
    rejected = Counter({"black": 8, "frozen": 20, "test card": 3})
    stats = CollectionStats(streams=9, rejected=rejected, over_quota={"ann", "bob"})
    assert summary(stats) == (
        "9 streams tried, 0 failed; 31 frames rejected (20 frozen, 8 black, 3 test card); 2 streamers over quota"
    )
    stats = CollectionStats(streams=9, rejected=Counter({"black": 1}), over_quota={"ann"})
    assert summary(stats).endswith("; 1 frame rejected (1 black); 1 streamer over quota")


def test_status_and_totals_contain_the_summary():
    """The status line adds what the loop does now; the line of totals ends the run."""
    rejected = Counter({"frozen": 2})
    stats = CollectionStats(frames=Counter({"Doom": 5, "None": 0}), rejected=rejected, streams=2, status="x")
    display = ProgressDisplay(stats, "Ctrl-C stops.")
    text = r"2 streams tried, 0 failed; 2 frames rejected \(2 frozen\)"
    assert re.fullmatch(rf"5 frames in 0 s \(\d+\.\d\d a second\), {text} · x", display.status())
    assert re.fullmatch(rf"Downloaded 5 frames of 1 game in 0 s \(\d+\.\d\d a second\); {text}\.", display.totals())
    single = ProgressDisplay(CollectionStats(frames=Counter({"Doom": 1})), "", frames=1)
    assert single.status().startswith("1 of 1 frame in ")
    assert single.totals().startswith("Downloaded 1 frame of 1 game in ")


def test_frames_that_are_missing_for_until_are_shown_with_the_time_left():
    """Before the first count the display says nothing of it; complete, it says that no frame is missing."""
    stats = CollectionStats(frames=Counter({"Doom": 5}), streams=2)
    display = ProgressDisplay(stats, "Ctrl-C stops.")
    assert "missing" not in display.status() + display.totals()
    stats.missing = 1450
    display._started_at -= 60  # 5 frames a minute
    assert " a second), 1,450 frames missing, about 5 h left, 2 streams tried" in display.status()
    assert " a second); 1,450 frames missing, about 5 h left at this speed; 2 streams" in display.totals()
    stats.add_saved(Game(1, "Doom"), 1449)
    assert "; 1 frame missing, about 1 s left at this speed; " in display.totals()
    stats.add_saved(Game(1, "Doom"), 2)
    assert "; 0 frames missing; 2 streams tried" in display.totals()


def test_steps_are_frames_or_with_a_time_limit_only_seconds():
    """A program that shows a bar gets what is done and the total, None without any limit."""
    stats = CollectionStats(frames=Counter({"Doom": 5}))
    assert ProgressDisplay(stats, "").steps() == (5, None)
    assert ProgressDisplay(stats, "", frames=10, minutes=1).steps() == (5, 10)
    display = ProgressDisplay(stats, "", minutes=1)
    display._started_at -= 600
    assert display.steps() == (60, 60)
    stats.missing = 3
    assert display.steps() == (5, 8)


def test_the_limit_that_ends_the_run_first_gives_the_time_left():
    """With --frames, --minutes and --until the shortest time is shown."""
    stats = CollectionStats(frames=Counter({"Doom": 5}), missing=10**6)
    display = ProgressDisplay(stats, "", frames=10)
    display._started_at -= 60
    assert "5 of 10 frames" in display.status()
    assert "about 60 s left" in display.status() or "about 61 s left" in display.status()
