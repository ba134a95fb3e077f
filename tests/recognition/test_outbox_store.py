"""The outbox's file: what it keeps, one watch a file, damage, foreign files, bounds, a clock that jumps."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from data.errors import FolderError
from recognition.outputs.outbox.rules import Reported
from recognition.outputs.outbox.store import OutboxStore
from tests.recognition.alerts import CHESS, VALORANT, alert, picture

DAY_S = 86400.0


@pytest.fixture
def file(tmp_path) -> Path:
    """Return the path of an outbox that does not exist yet."""
    return tmp_path / "outbox.sqlite"


def opened(file: Path, **options: object) -> closing[OutboxStore]:
    """Return a context that opens the store and closes it."""
    return closing(OutboxStore(file, **options))  # type: ignore[arg-type]


def test_alerts_and_what_was_reported_survive_a_restart(file):
    """Each field of an alert comes back, also a source that is not UTF-8; a noted delivery does not."""
    first = alert(1, source="caf\udce9.mp4", event={"a": [1.5, None, "\u2028é"]}, jpeg=picture())
    with opened(file) as store:
        store.add([(first, ["a", "b"]), (alert(2), ["a"])], {"caf\udce9.mp4": Reported(CHESS, (743, 7))})
        store.add([], {"x": Reported(None), "y": Reported(VALORANT)})
        store.add([], {"y": None})
        store.remove("a", store.next("a").number)
    with opened(file) as store:
        assert store.reported() == {"caf\udce9.mp4": Reported(CHESS, (743, 7)), "x": Reported(None)}
        assert store.next("b").alert == first
        assert store.next("a").alert == alert(2)
        assert store.waiting() == {"a": 1, "b": 1}
        store.remove("b", store.next("b").number)
        store.remove("a", store.next("a").number)
        assert (store.next("a"), store.next("other"), store.waiting()) == (None, None, {})


def test_delivery_that_was_refused_comes_after_the_others(file):
    """The order is that of the alerts, of those refused least often."""
    with opened(file) as store:
        store.add([(alert(number), ["a"]) for number in (1, 2)], {})
        store.count_refusal("a", store.next("a").number)
        assert store.next("a").alert.id == alert(2).id
        store.count_refusal("a", store.next("a").number)
        assert (store.next("a").alert.id, store.next("a").refusals) == (alert(1).id, 1)


def test_file_that_another_watch_uses_is_refused(file):
    """The message names the file and the option; when the other one has ended, the file is free."""
    with opened(file), pytest.raises(FolderError, match=r"--outbox: .*another watch uses it; .* with --outbox"):
        OutboxStore(file)
    with opened(file) as store:
        assert store.waiting() == {}


@pytest.mark.parametrize("damage", ["garbled", "truncated"])
def test_file_when_damaged_is_kept_and_replaced(file, caplog, damage):
    """The watch starts with an empty outbox, says so, and leaves the damaged file under another name."""
    with opened(file) as store:
        store.add([(alert(number, jpeg=picture() * 500), ["a"]) for number in range(20)], {})
    data = file.read_bytes()
    file.write_bytes(data[:200] + b"\x55" * (len(data) - 200) if damage == "garbled" else data[: len(data) // 2])
    with opened(file) as store:
        assert store.next("a") is None
        store.add([(alert(1), ["a"])], {})
        assert store.next("a").alert == alert(1)
    [aside] = file.parent.glob("outbox.sqlite.damaged-*")
    assert "outbox.sqlite is damaged" in caplog.text
    assert aside.name in caplog.text
    assert aside.read_bytes()[:16] == data[:16]


def empty(store: OutboxStore) -> None:
    """Remove each delivery of a target."""
    while delivery := store.next("a"):
        store.remove("a", delivery.number)


def test_file_when_damaged_during_the_watch_is_replaced(file):
    """The error of the damaged file leads to a new one, in which alerts are stored again."""
    with opened(file) as store:
        store.add([(alert(number, jpeg=picture() * 2000), ["a"]) for number in range(200)], {})
    with opened(file) as store:
        with file.open("r+b") as opened_file:
            opened_file.seek(4096)
            opened_file.write(b"\x55" * (file.stat().st_size - 4096))
        with pytest.raises(sqlite3.DatabaseError) as raised:
            empty(store)
        store.repair(raised.value)
        store.add([(alert(1), ["a"])], {})
        assert store.next("a").number == 201  # a late note of an old number removes nothing
        store.repair(raised.value)  # of another thread, late
        assert store.waiting() == {"a": 1}


def test_file_that_is_no_outbox_is_left_alone(tmp_path):
    """A picture, another program's database, a folder and a file in no folder are refused with the option's name."""
    (tmp_path / "picture.jpg").write_bytes(picture() * 100)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("create table films (name)")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for name in ("picture.jpg", "other.db", ".", "missing/outbox.sqlite"):
        with pytest.raises(FolderError, match=r"^--outbox: cannot use .* with --outbox$"):
            OutboxStore(tmp_path / name)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_rows_that_somebody_edited_are_skipped(file):
    """Invalid rows cost themselves only."""
    with opened(file) as store:
        store.add([(alert(number), ["a"]) for number in range(5)], {"x": Reported(CHESS), "y": Reported(CHESS)})
    with closing(sqlite3.connect(file)) as editor, editor:
        bodies = ["{}", "[]", "no JSON", '{"id": 1, "at": 5, "before": 3, "game": null, "category": null}']
        for number, body in enumerate(bodies, 1):
            editor.execute("update alerts set body = ? where number = ?", (body, number))
        editor.execute("update reported set body = '[1]' where source = ?", (b"x",))
    with opened(file) as store:
        assert store.reported() == {"y": Reported(CHESS)}
        assert store.next("a").alert == alert(4)


def test_too_many_waiting_alerts_drop_the_oldest(file):
    """The bound counts deliveries; the newest alerts stay."""
    with opened(file, max_waiting=4) as store:
        for number in range(4):
            store.add([(alert(number), ["a", "b"])], {})
        assert (store.waiting(), store.dropped) == ({"a": 2, "b": 2}, 4)
        assert store.next("a").alert.id == alert(2).id


def test_clock_that_jumps_changes_no_age(file):
    """Ages count monotonic seconds within a run, and what the clock says between two runs."""
    times = iter([1e9, 9e9])  # a second read would be years later
    with opened(file, wall_clock=lambda: next(times)) as store:
        store.add([(alert(1), ["a"])], {"x": Reported(CHESS)})
        assert store.next("a").age_s < 60
    with opened(file, wall_clock=lambda: 1e9 + DAY_S) as store:
        assert DAY_S - 60 < store.next("a").age_s < DAY_S + 60
        store.remove_older(3600, ["a"])
        assert (store.waiting(), store.reported()) == ({"a": 1}, {"x": Reported(CHESS)})
        store.remove_older(3600, ["b"])
        assert store.waiting() == {}
    with opened(file, wall_clock=lambda: 1e9 + 2.1 * DAY_S) as store:
        assert store.reported() == {}  # no stream of Twitch lasts longer
    with opened(file, wall_clock=lambda: 0.0) as store:
        store.add([(alert(2), ["a"])], {})
        assert store.next("a").age_s < 60
