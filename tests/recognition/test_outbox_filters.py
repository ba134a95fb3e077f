"""Filters of a target: what a URL's parameters allow, and quiet hours by the local clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from data.errors import SettingsError
from recognition.outputs.outbox.filters import Filter, split_filter
from recognition.outputs.targets.base import KINDS
from tests.recognition.alerts import CHESS, VALORANT, alert

ALL = frozenset(KINDS)


def split(url: str) -> tuple[str, Filter]:
    """Return what `split_filter` makes of a URL."""
    return split_filter(url, "--alert")


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("https://h/p?kinds=change", "https://h/p"),
        ("https://h/p?key=a%20b&kinds=change&x", "https://h/p?key=a%20b&x"),
        ("tgram://1:Ab/c/?quiet=1:00-2:00&format=html&games=x#part", "tgram://1:Ab/c/?format=html#part"),
        ("discord://id/token", "discord://id/token"),
        ("https://h/kinds=1?Kinds=1", "https://h/kinds=1?Kinds=1"),
    ],
)
def test_filters_are_removed_from_the_url_and_nothing_else(url, left):
    """A receiver gets its URL as it was written, without our parameters."""
    assert split(url)[0] == left


@pytest.mark.parametrize(
    ("query", "accepted"),
    [
        ("", True),
        ("kinds=change,end", True),
        ("kinds=end", False),
        ("channels=Other,%20SomeOne", True),
        ("channels=https://www.twitch.tv/someone", True),
        ("channels=other", False),
        ("games=valorant", True),
        ("games=743", True),
        ("games=Tetris,chess", True),
        ("games=Tetris", False),
        ("kinds=change&channels=someone&games=Tetris", False),
    ],
)
def test_filter_accepts_by_kind_channel_and_game(query, accepted):
    """Values are separated by commas; a game counts by name or id, before or after the change."""
    assert split(f"x://h?{query}")[1].accepts(alert(), ALL) is accepted
    assert not split(f"x://h?{query}")[1].accepts(alert(kind="failure", before=None, game=None), frozenset())
    assert (alert().before, alert().game) == (CHESS, VALORANT)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("kinds=changes", "--alert: invalid kinds 'changes'; choose from start, change"),
        ("kinds=", "--alert: invalid kinds ''"),
        ("channels=,", "--alert: invalid channels ','"),
        ("quiet=22-7", "--alert: invalid quiet '22-7'; write two different times as in quiet=22:00-07:00"),
        ("quiet=25:00-07:00", "invalid quiet"),
        ("quiet=07:00-7:00", "invalid quiet"),
        ("quiet=%1b[31m", "invalid quiet '\ufffd[31m'"),
        ("quiet=" + "9" * 5000, "invalid quiet"),
        ("kinds=end&kinds=start", "--alert: kinds= comes twice"),
    ],
)
def test_filter_when_invalid_names_the_option_and_no_secret(query, message):
    """The message holds the value and what to write instead, nothing else of the URL."""
    with pytest.raises(SettingsError) as raised:
        split(f"discord://id/s3cret?{query}&token=s3cret")
    assert message in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert len(str(raised.value)) < 250


@pytest.fixture
def central_europe(monkeypatch) -> Iterator[None]:
    """Give the process the clock of Central Europe: summer time from the last Sunday of March to that of October."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


def quiet_minutes(quiet: str, first: datetime) -> list[str]:
    """Return which minutes of the 24 hours after `first` are quiet, as times on the local clock."""
    wanted, start = split(f"x://h?quiet={quiet}")[1], first.timestamp()
    local = [datetime.fromtimestamp(start + 60 * minute) for minute in range(24 * 60)]
    return [f"{moment:%H:%M}" for moment in local if wanted.is_quiet(moment)]


@pytest.mark.usefixtures("central_europe")
def test_quiet_hours_over_midnight_and_changes_of_the_clock():
    """They begin and end by the clock's face: an hour less in the night of March, one more in that of October."""
    usual = quiet_minutes("22:00-07:00", datetime(2026, 6, 1, 12))
    assert (usual[0], usual[-1], len(usual)) == ("22:00", "06:59", 9 * 60)
    spring = quiet_minutes("22:00-07:00", datetime(2026, 3, 28, 12))
    assert (spring[0], spring[-1], len(spring)) == ("22:00", "06:59", 8 * 60)
    autumn = quiet_minutes("22:00-07:00", datetime(2026, 10, 24, 12))
    assert (autumn[0], autumn[-1], len(autumn)) == ("22:00", "06:59", 10 * 60)
    assert not quiet_minutes("02:15-02:45", datetime(2026, 3, 28, 12))  # this time is skipped
    assert quiet_minutes("1:00-2:30", datetime(2026, 3, 28, 12))[-1] == "01:59"
    assert len(quiet_minutes("02:15-02:45", datetime(2026, 10, 24, 12))) == 60
    assert len(quiet_minutes("12:00-24:00", datetime(2026, 6, 1, 0))) == 12 * 60
