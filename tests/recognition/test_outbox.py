"""Outbox output against real receivers: failures of the receiver, of the disk and of a target's own code."""

from __future__ import annotations

import dataclasses
import json
import logging
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from data.entities import Game
from data.http.session import new_session
from recognition.events import GameChanged, as_json, now
from recognition.outputs.outbox import courier
from recognition.outputs.outbox.filters import Filter, split_filter
from recognition.outputs.outbox.outbox import Outbox
from recognition.outputs.outbox.store import OutboxStore
from recognition.outputs.targets.base import Alert
from recognition.outputs.targets.mqtt import MqttTarget
from recognition.outputs.webhook import Webhook
from tests.recognition.alerts import alert
from tests.recognition.receiver import Receiver, answering, wait_until
from tests.scripted_server import Reply

GAME = Game(7, "Bleu pâle")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch) -> None:
    """Let the first pause after a failure be a tenth of the usual one."""
    monkeypatch.setattr(courier, "_RETRY_S", 0.1)


@pytest.fixture
def file(tmp_path) -> Path:
    """Return the path of an outbox that does not exist yet."""
    return tmp_path / "outbox.sqlite"


def first_answer(source: str = "someone") -> GameChanged:
    """Return the first answer of a source."""
    return GameChanged(source, now(), None, GAME, True, 3, 0.9)


def webhook(url: str, query: str = "", timeout_s: float = 0.5) -> tuple[Webhook, Filter]:
    """Return a target with a short timeout, and its filter."""
    address, wanted = split_filter(f"{url}?{query}", "--alert")
    return Webhook(address, new_session(timeout_s, deadline_s=2 * timeout_s)), wanted


@contextmanager
def opened(file: Path, *targets: Any, **options: Any) -> Iterator[Outbox]:
    """Yield an outbox and close it."""
    outbox = Outbox(OutboxStore(file), targets, **options)
    try:
        yield outbox
    finally:
        outbox.close()


def sources(receiver: Receiver) -> list[str]:
    """Return the sources of the accepted alerts, in their order."""
    return [json.loads(receiver.bodies[delivery])["source"] for delivery in receiver.accepted]


def test_change_is_posted_once_also_after_a_restart(file):
    """The body is the event's JSON. A watch that starts again and sees the same game posts nothing."""
    event = first_answer()
    with Receiver() as receiver:
        for _ in range(2):
            with opened(file, webhook(receiver.url)) as outbox:
                outbox.emit(event)
        assert [receiver.bodies[delivery] for delivery in receiver.accepted] == [
            json.dumps(as_json(event), ensure_ascii=False).encode()
        ]


@pytest.mark.parametrize("reply", [Reply(500), Reply(429, headers={"Retry-After": "1"}), Reply(silence_s=0.8)])
def test_delivery_when_the_error_may_pass_is_repeated_in_order(file, reply, caplog):
    """After 500, 429 or no response the same alert comes again, with its id, before the next one."""
    with Receiver(answering(reply.status, 1, headers=reply.headers, silence_s=reply.silence_s)) as receiver:
        with opened(file, webhook(f"{receiver.url}/s3cret")) as outbox, caplog.at_level(logging.INFO):
            outbox.emit(first_answer("a"))
            outbox.emit(first_answer("b"))
            wait_until(lambda: outbox.delivered == 2)
        assert sources(receiver)[-2:] == ["a", "b"]
        first, second, third = receiver.attempts
        assert first == second != third
    assert "; retrying" in caplog.text
    assert "127.0.0.1 accepts alerts again" in caplog.text
    assert "s3cret" not in caplog.text


def test_retry_after_is_waited_for_also_at_the_close(file):
    """A receiver that asks for an hour gets no second request, and the alert stays for the next start."""
    with Receiver(lambda _: Reply(429, headers={"Retry-After": "3600"})) as receiver:
        with opened(file, webhook(receiver.url)) as outbox:
            outbox.emit(first_answer())
            wait_until(lambda: receiver.attempts)
            time.sleep(1.5)
        assert len(receiver.attempts) == 1
        receiver.reply = lambda _: Reply(204)
        with opened(file, webhook(receiver.url)):
            wait_until(lambda: receiver.accepted)
        assert receiver.attempts[0] == receiver.accepted[0]


def test_refused_alert_delays_no_other_and_comes_again(file, caplog):
    """After 410 the next alert is sent; the refused one comes again, and the refusal is one warning."""
    refused: list[str] = []

    def reply(delivery: str) -> Reply:
        refused.append(delivery)
        return Reply(410) if delivery == refused[0] else Reply(204)

    with Receiver(reply) as receiver:
        with opened(file, webhook(receiver.url)) as outbox:
            for source in "abc":
                outbox.emit(first_answer(source))
            wait_until(lambda: outbox.delivered == 2)
        assert sources(receiver) == ["b", "c"]
        receiver.reply = lambda _: Reply(204)
        with opened(file, webhook(receiver.url)):
            wait_until(lambda: len(receiver.accepted) == 3)
        assert receiver.accepted[2] == receiver.attempts[0]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings[0] == "127.0.0.1 responded with status 410; refused alerts are tried again later"
    assert warnings[1] == "1 alert not delivered to 127.0.0.1; the next watch delivers it"
    assert len(warnings) == 2


def test_receiver_that_is_down_and_comes_back_gets_all(file):
    """Alerts of before and after the restart of the receiver arrive in their order; `emit` waits for nobody."""
    with Receiver() as first:
        port = first.port
    with opened(file, webhook(first.url)) as outbox:
        began = time.monotonic()
        for number in range(30):
            outbox.emit(first_answer(f"source{number}"))
        assert time.monotonic() - began < 20
        with Receiver(port=port) as second:
            wait_until(lambda: outbox.delivered == 30)
            assert sources(second) == [f"source{number}" for number in range(30)]


def test_receiver_that_hangs_delays_neither_others_nor_the_close(file, caplog):
    """Each target has its own thread; a delivery without a response is left for the next start."""
    with socket.create_server(("127.0.0.1", 0)) as silent, Receiver() as receiver:
        hanging = webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/s3cret", timeout_s=60)
        with opened(file, hanging, webhook(receiver.url), close_timeout_s=0.3) as outbox:
            for number in range(3):
                outbox.emit(first_answer(f"source{number}"))
            wait_until(lambda: len(receiver.accepted) == 3)
            began = time.monotonic()
            outbox.close()
            assert time.monotonic() - began < 20
    assert "3 alerts not delivered to 127.0.0.1" in caplog.text
    assert OutboxStore(file).waiting() == {hanging[0].key: 3}


def test_brokers_that_acknowledge_nothing_delay_the_close_by_one_of_them(file):
    """Each takes a second to close; together they take no longer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        targets = [(MqttTarget(f"{url}/{number}"), Filter()) for number in range(8)]
        connections = [server.accept()[0] for _ in targets]
        for connection in connections:
            connection.recv(1000)
            connection.sendall(b"\x20\x02\x00\x00")  # CONNACK of MQTT 3.1.1; nothing after it
        with opened(file, *targets, close_timeout_s=0.1) as outbox:
            outbox.emit(first_answer())
            began = time.monotonic()
            outbox.close()
            assert time.monotonic() - began < 4
        for connection in connections:
            connection.close()


def test_alert_that_nobody_accepts_is_dropped_in_the_end(file, caplog):
    """After `give_up_after_s` seconds an alert is dropped with a warning, and the next one is tried."""
    with Receiver(answering(503, 2)) as receiver, opened(file, webhook(receiver.url), give_up_after_s=0.05) as outbox:
        outbox.emit(first_answer("a"))
        wait_until(lambda: outbox.dropped)
        outbox.emit(first_answer("b"))
        wait_until(lambda: outbox.delivered)
        assert sources(receiver) == ["b"]
    assert "an alert of " in caplog.text
    assert "1 alert dropped" in caplog.text


def test_alert_that_one_receiver_always_refuses_is_dropped_although_others_are_accepted(file, caplog):
    """Its own refusals count: a target that accepts the rest would keep it for ever, and warn each time."""
    with Receiver(answering(410, times=1)) as receiver:
        target = webhook(receiver.url)
        with closing(OutboxStore(file, wall_clock=lambda: time.time() - 8 * 86400)) as store:
            store.add([(alert(source="poison"), [target[0].key])], {})
            for _ in range(20):
                store.count_refusal(target[0].key, 1)
        with opened(file, target) as outbox:
            wait_until(lambda: outbox.dropped == 1)
            outbox.emit(first_answer("a"))
            wait_until(lambda: outbox.delivered == 1)
    assert "410" not in caplog.text
    assert caplog.text.count("is dropped") == 1


def test_quiet_hours_hold_alerts_back_and_lose_none(file):
    """In quiet hours nothing is sent, at the close neither; afterwards everything is, in order."""
    time_of_day = datetime(2026, 11, 26, 23, 59)
    with Receiver() as receiver:
        target = webhook(receiver.url, "quiet=22:00-07:00&kinds=start")
        with opened(file, target, local_now=lambda: time_of_day) as outbox:
            outbox.emit(first_answer("a"))
            outbox.emit(first_answer("b"))
            time.sleep(0.2)
        assert not receiver.attempts
        time_of_day = datetime(2026, 11, 27, 7, 0)
        with opened(file, webhook(receiver.url, "quiet=22:00-07:00"), local_now=lambda: time_of_day) as outbox:
            wait_until(lambda: outbox.delivered == 2)
        assert sources(receiver) == ["a", "b"]


def test_filters_and_several_targets_with_one_address(file):
    """Each target gets what its filter accepts; two filters of one address are two targets."""
    with Receiver() as receiver:
        targets = [webhook(receiver.url, f"channels={name}") for name in ("a", "a,b", "c")]
        with opened(file, *targets) as outbox:
            outbox.emit(first_answer("a"))
            outbox.emit(first_answer("b"))
            wait_until(lambda: outbox.delivered == 3)
        assert sorted(sources(receiver)) == ["a", "a", "b"]
        assert len(set(receiver.accepted)) == 2


@contextmanager
def full_disk(file: Path) -> Iterator[None]:
    """Let no file of this process grow beyond the size of the outbox's log, if there is one: each write there fails."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = file.with_name(f"{file.name}-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size if log.exists() else 0, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_disk_when_full_keeps_alerts_in_memory_until_there_is_space(file, caplog):
    """One warning; the watch goes on, and the alerts arrive when the disk takes them, each once."""
    with Receiver() as receiver, opened(file, webhook(receiver.url)) as outbox:
        outbox.emit(first_answer("before"))
        wait_until(lambda: outbox.delivered == 1)
        with full_disk(file):
            for source in "ab":
                outbox.emit(dataclasses.replace(first_answer(source), jpeg=b"x" * 100_000))
            time.sleep(0.1)
            assert sources(receiver) == ["before"]
        outbox.emit(first_answer("after"))
        wait_until(lambda: outbox.delivered == 4)
        assert sources(receiver) == ["before", "a", "b", "after"]
    assert caplog.text.count("alerts wait in memory") == 1


def test_disk_that_is_full_at_the_start_delays_alerts_and_not_the_watch(file, caplog):
    """The outbox makes its file when there is space; until then alerts wait in memory."""
    with Receiver() as receiver:
        with full_disk(file), opened(file, webhook(receiver.url)) as outbox:
            outbox.emit(first_answer("a"))
            time.sleep(0.1)
            assert not receiver.attempts
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            outbox.emit(first_answer("b"))
            wait_until(lambda: outbox.delivered == 2)
        assert sources(receiver) == ["a", "b"]
    assert caplog.text.count("alerts wait in memory") == 1


def test_acceptance_that_cannot_be_noted_is_not_delivered_again(file):
    """While the disk is full at the note, nothing more is sent; afterwards the note is made first."""
    with Receiver(lambda _: Reply(204, silence_s=0.3)) as receiver, opened(file, webhook(receiver.url)) as outbox:
        outbox.emit(first_answer("a"))
        outbox.emit(first_answer("b"))
        wait_until(lambda: receiver.attempts)
        with full_disk(file):
            wait_until(lambda: outbox.delivered == 1)
            time.sleep(0.3)
            assert sources(receiver) == ["a"]
        outbox.emit(first_answer("c"))  # wakes the thread
        wait_until(lambda: outbox.delivered == 3)
        assert sources(receiver) == ["a", "b", "c"]


class Broken:
    """A target whose library fails in a way that nobody foresaw, and whose errors hold a secret."""

    name, key, default_kinds = "broken", "key", frozenset({"start"})

    def __init__(self) -> None:
        self.delivered: list[str] = []

    def deliver(self, alert: Alert) -> None:
        """Fail for one source."""
        if alert.source == "poison":
            raise KeyError("s3cret")
        self.delivered.append(alert.source)

    def close(self) -> None:
        """Have nothing to free."""


def test_target_when_its_code_fails_goes_on_with_the_next_alert(file, caplog):
    """The type of the error is logged, not its text; the thread lives."""
    target = Broken()
    with caplog.at_level(logging.DEBUG), opened(file, (target, Filter())) as outbox:
        outbox.emit(first_answer("poison"))
        outbox.emit(first_answer("sound"))
        wait_until(lambda: target.delivered)
    assert "broken unexpected KeyError" in caplog.text
    assert "s3cret" not in caplog.text


def test_backlog_of_the_run_before_is_logged(file, caplog):
    """What waits is named by its host; alerts of targets that are not named now wait on, for a week."""
    with opened(file, webhook("http://127.0.0.1:9"), webhook("http://localhost:9")) as outbox:
        outbox.emit(first_answer())
    with caplog.at_level(logging.INFO), opened(file, webhook("http://127.0.0.1:9")):
        pass
    assert "1 waiting alert for 127.0.0.1" in caplog.text
    assert "1 waiting alert for a target that is not named now" in caplog.text
