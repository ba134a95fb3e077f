"""Alerts benchmark: planted switches reach each kind of receiver although both ends stop and start again.

    python -m benchmarks.alerts --minutes 6 [--channels 20] [--seed N] [--stop term|kill|both]

A watch, with the model in MODEL_PATH, sends alerts to a webhook, Discord, Slack, Telegram, ntfy and an MQTT broker:
real servers on loopback, behind the services' own host names. The receivers are down when the watch starts, and again
while the watch itself is stopped, by SIGTERM or by SIGKILL, and started again. Later it is stopped once more, while
alerts are on their way. Prints one JSON object for each way:

    alerts      different alerts that any receiver got, by id
    receivers   by receiver: received, lost (another receiver has them), doubled (the same id again)
    unsent      changes that the watch printed and no receiver got: there should be none
    switches    planted, found, missed, false, of what the webhook received

A change that is printed at a restart for a game that was reported before is no alert. Returns 1 if an alert was lost or
a switch missed, or if one was doubled by SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import config
from benchmarks import _planted
from model.inference.classifier import ONNX_FILE
from tests.receivers import chats
from tests.receivers.broker import MqttBroker
from tests.receivers.chats import Chats

_REPOSITORY = Path(__file__).parent.parent
_DOWN_UNTIL_S = 15  # of the receivers, from the start on
_DOWN_BEFORE_S, _DOWN_AFTER_S = 6, 12  # seconds before and after the watch is stopped
_IN_FLIGHT_AFTER, _IN_FLIGHT_BEFORE_S = 0.7, 25  # fraction of the run; seconds before its end: the last restart
_SETTLE_S = 90
_STOPS = {"term": signal.SIGTERM, "kill": signal.SIGKILL}


class Receivers:
    """All receivers, and what they got."""

    def __init__(self, stack: ExitStack) -> None:
        """Start them; `stack` stops them."""
        self.web, self.chat, self.ntfy = (stack.enter_context(Chats()) for _ in range(3))
        self.broker = stack.enter_context(MqttBroker())
        self.all = (self.web, self.chat, self.ntfy, self.broker)

    @property
    def options(self) -> list[str]:
        """Options of the command, one target each."""
        urls = [chats.WEBHOOK.format(address=self.web.address), chats.NTFY.format(address=self.ntfy.address)]
        urls += [chats.DISCORD, chats.SLACK, chats.TELEGRAM, f"mqtt://{self.broker.address}"]
        return [word for url in urls for word in ("--alert", f"{url}?kinds=start,change,unknown")]

    def ids(self) -> dict[str, list[str]]:
        """Return the ids that each receiver got, in their order, with doubles."""
        found: dict[str, list[str]] = {name: [] for name in ("webhook", "discord", "slack", "telegram", "ntfy", "mqtt")}
        for server in (self.web, self.chat, self.ntfy):
            for received in [*server.received]:
                found[received.service].append(received.id)
        found["mqtt"] = [json.loads(m.payload)["id"] for m in [*self.broker.published] if m.topic.endswith("/event")]
        return found

    def changes(self) -> list[dict[str, Any]]:
        """Return the events that the webhook got, each once."""
        return [*{received.id: json.loads(received.text) for received in self.web.received}.values()]

    def stop(self) -> None:
        """Stop all, as crashes do."""
        for receiver in self.all:
            receiver.stop()

    def start(self) -> None:
        """Start all again."""
        for receiver in self.all:
            receiver.start()


def main(argv: list[str] | None = None) -> int:
    """Run each way of stopping, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="Deliver alerts of planted switches over restarts of both ends.")
    parser.add_argument("--minutes", type=float, default=6, help="of each run, at least 2 (%(default)s)")
    parser.add_argument("--channels", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the switches (%(default)s)")
    parser.add_argument("--stop", choices=[*_STOPS, "both"], default="both", help="how the watch ends (%(default)s)")
    args = parser.parse_args(argv)
    model = config.load().model_path
    if not (model / ONNX_FILE).is_file():
        parser.error(f"MODEL_PATH: {model / ONNX_FILE} is missing")
    failed = False
    for name in _STOPS if args.stop == "both" else [args.stop]:
        with tempfile.TemporaryDirectory(prefix="alerts-") as folder, ExitStack() as stack:
            summary = _run(Path(folder), Receivers(stack), args, _STOPS[name])
        print(json.dumps({"name": "alerts", "stop": name, "minutes": args.minutes, **summary}), flush=True)
        failed |= _has_failed(summary, may_double=name == "kill")
    return int(failed)


def _has_failed(summary: dict[str, Any], *, may_double: bool) -> bool:
    receivers = summary["receivers"].values()
    doubled = sum(receiver["doubled"] for receiver in receivers)
    lost = sum(receiver["lost"] for receiver in receivers) + len(summary["unsent"])
    return bool(lost or summary["switches"]["missed"] or (doubled and not may_double))


def _run(folder: Path, receivers: Receivers, args: argparse.Namespace, stop: signal.Signals) -> dict[str, Any]:
    """Return the summary of one run."""
    seconds = 60 * args.minutes
    _planted.write(_planted.planned(args.channels, 0, 0, args.seed), folder)  # transcodes, which takes time
    plan = _planted.planned(args.channels, time.time(), seconds, args.seed)
    _planted.write(plan, folder)
    (folder / "logins").write_text("\n".join(plan.played))
    with _planted.running_standin(folder) as (_, variables):
        environment = {**os.environ, **variables, **receivers.chat.environment}
        command = [sys.executable, "-m", "recognition.recognize", "--watch", "--json", "--from", str(folder / "logins")]
        command += ["--outbox", str(folder / "outbox.sqlite"), *receivers.options]

        def start() -> subprocess.Popen[bytes]:
            with (folder / "events").open("ab") as events:
                return subprocess.Popen(command, cwd=_REPOSITORY, stdout=events, env=environment)

        end = time.monotonic() + seconds
        watching = _with_restarts(start, receivers, seconds, stop)
        try:
            _settle(receivers, end)
        finally:
            watching.send_signal(signal.SIGTERM)
            code = watching.wait(60)
    if code:
        raise RuntimeError(f"the watch ended with {code}")
    return _summary(plan, receivers, _printed(folder / "events"))


def _with_restarts(
    start: Callable[[], subprocess.Popen[bytes]], receivers: Receivers, seconds: float, stop: signal.Signals
) -> subprocess.Popen[bytes]:
    """Start the watch without receivers, stop both ends in the middle, the watch at an alert; return the last watch."""
    began = time.monotonic()

    def wait_until(moment: float) -> None:
        time.sleep(max(0.0, began + moment - time.monotonic()))

    def restart() -> subprocess.Popen[bytes]:
        watching.send_signal(stop)
        watching.wait(60)
        return start()

    receivers.stop()
    watching = start()
    wait_until(_DOWN_UNTIL_S)
    receivers.start()
    wait_until(seconds / 2 - _DOWN_BEFORE_S)
    receivers.stop()
    wait_until(seconds / 2)
    watching = restart()
    wait_until(seconds / 2 + _DOWN_AFTER_S)
    receivers.start()
    wait_until(seconds * _IN_FLIGHT_AFTER)
    seen = len(receivers.web.received)
    while len(receivers.web.received) == seen and time.monotonic() < began + seconds - _IN_FLIGHT_BEFORE_S:
        time.sleep(0.0005)
    return restart()


def _settle(receivers: Receivers, end: float) -> None:
    """Wait until the end of the plan, then until all receivers have the same alerts."""
    time.sleep(max(0.0, end - time.monotonic()))
    end = time.monotonic() + _SETTLE_S
    while len({frozenset(ids) for ids in receivers.ids().values()}) > 1 and time.monotonic() < end:
        time.sleep(1)
    time.sleep(2)  # a double may follow


def _printed(path: Path) -> list[dict[str, Any]]:
    """Return the changes that the watch printed; a killed one may leave half a line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if '"event": "change"' in line and line.endswith("}")]


def _summary(plan: _planted.Plan, receivers: Receivers, printed: list[dict[str, Any]]) -> dict[str, Any]:
    found = receivers.ids()
    everything = {number for ids in found.values() for number in ids}
    received = {
        name: {
            "received": len(ids),
            "lost": len(everything - {*ids}),
            "doubled": sum(Counter(ids).values()) - len({*ids}),
        }
        for name, ids in found.items()
    }
    changes = receivers.changes()
    return {
        "alerts": len(everything),
        "receivers": received,
        "unsent": _unsent(printed, changes),
        "switches": _planted.compared(plan, [change for change in changes if change["event"] == "change"]),
    }


def _unsent(printed: list[dict[str, Any]], changes: list[dict[str, Any]]) -> list[str]:
    """Return the printed changes that were not sent, without those to the game that was reported last."""
    sent = {(change["source"], change["time"]) for change in changes}
    reported: dict[str, Any] = {}
    unsent = []
    for change in printed:
        game = change["game"] and change["game"]["name"]
        if (change["source"], change["time"]) not in sent and reported.get(change["source"], "") != game:
            unsent.append(f"{change['time']} {change['source']} {game}")
        reported[change["source"]] = game
    return unsent


if __name__ == "__main__":
    sys.exit(main())
