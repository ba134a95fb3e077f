"""The outbox in a process that is killed or ended: nothing is lost, and what comes twice has the same id."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from tests.recognition.outbox_process import emit, started
from tests.recognition.receiver import Receiver, wait_until
from tests.scripted_server import Reply

KILLS = 4


def sources_by_id(receiver: Receiver) -> dict[str, str]:
    """Return the source of each alert that the receiver got."""
    return {delivery: json.loads(body)["source"] for delivery, body in [*receiver.bodies.items()]}


def deliver_rest(file: Path, *receivers: Receiver) -> None:
    """Run the process once more until nothing waits."""
    process = started(file, *(receiver.url for receiver in receivers))
    with process:
        emit(process, "last")
        wait_until(lambda: all("last" in map(sources_by_id(r).get, r.accepted) for r in receivers))
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("select count(*) from deliveries").fetchone() == (0,)
        assert connection.execute("select count(*) from alerts").fetchone() == (0,)


def assert_each_once(receiver: Receiver, sources: Iterable[str], max_doubles: int) -> None:
    """Check that each source's alert was accepted, with one id, and how many were accepted twice."""
    named = sources_by_id(receiver)
    assert sorted(named.values()) == sorted(sources)  # one id each
    counts = Counter(named[delivery] for delivery in receiver.accepted)
    assert counts.keys() == set(sources)
    assert sum(counts.values()) - len(counts) <= max_doubles


def test_kill_at_any_point_loses_nothing_and_doubles_only_what_was_not_noted(tmp_path):
    """SIGKILL at random moments: each stored alert arrives at two receivers; each kill doubles one alert at most.

    After each kill the watch sees the same games again, as it would: they are not reported again.
    """
    rng = random.Random(1)
    file, sources = tmp_path / "outbox.sqlite", []
    with Receiver() as fast, Receiver(lambda _: Reply(204, silence_s=0.03)) as slow:
        for _ in range(KILLS):
            process = started(file, fast.url, slow.url)
            with process:
                for source in [*sources]:
                    emit(process, source)
                for _ in range(rng.randint(1, 8)):
                    sources.append(f"source{len(sources)}")
                    emit(process, sources[-1])
                time.sleep(rng.uniform(0, 0.08))
                process.kill()
        deliver_rest(file, fast, slow)
        for receiver in (fast, slow):
            assert_each_once(receiver, [*sources, "last"], max_doubles=KILLS)


def test_kill_between_acceptance_and_note_repeats_the_id(tmp_path):
    """The receiver has accepted and the process is killed before it reads so: the alert comes again, id unchanged."""
    file = tmp_path / "outbox.sqlite"
    with Receiver(lambda _: Reply(204, silence_s=1.0)) as receiver:
        process = started(file, receiver.url)
        with process:
            emit(process, "someone")
            wait_until(lambda: receiver.accepted)
            process.kill()
        receiver.reply = lambda _: Reply(204)
        deliver_rest(file, receiver)
        assert receiver.accepted[0] == receiver.accepted[1]
        assert_each_once(receiver, ["someone", "last"], max_doubles=1)


def test_sigterm_waits_for_the_delivery_and_doubles_nothing(tmp_path):
    """A watch that is ended again and again while it delivers sends each alert once."""
    file, sources = tmp_path / "outbox.sqlite", []
    with Receiver(lambda _: Reply(204, silence_s=0.1)) as receiver:
        for _ in range(2):
            process = started(file, receiver.url)
            with process:
                for _ in range(6):
                    sources.append(f"source{len(sources)}")
                    emit(process, sources[-1])
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
        deliver_rest(file, receiver)
        assert_each_once(receiver, [*sources, "last"], max_doubles=0)


def test_receiver_that_restarts_gets_everything_across_our_restart(tmp_path):
    """Alerts of before and after our kill arrive when the receiver is up again at its port."""
    file = tmp_path / "outbox.sqlite"
    with Receiver() as first:
        port = first.port
    process = started(file, first.url)
    with process:
        emit(process, "before")
        process.kill()
    process = started(file, first.url)
    with process:
        emit(process, "after")
        with Receiver(port=port) as second:
            wait_until(lambda: len(second.accepted) == 2)
            assert [sources_by_id(second)[delivery] for delivery in second.accepted] == ["before", "after"]
            assert process.stdin
            process.stdin.close()
            assert process.wait(10) == 0
