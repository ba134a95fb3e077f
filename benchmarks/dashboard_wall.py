"""Wall benchmark: what the dashboard's wall costs and how fast it tells, on live channels with planted switches.

    python -m benchmarks.dashboard_wall [--minutes 2] [--channels 50] [--no-page] [--seed N]

`recognize --watch` and the server watch the same channels of the stand-in at the same time, so that the machine's other
load is the same for both. A page is open, a program follows the stream of events, and another client reads nothing.
All are processes of their own. Prints one JSON object:

    cores       CPU use of the command, of the server, and the server's `share` beyond the command, in cores
    delay_ms    from a change to its arrival at the program (`stream`) and on the page (`page`): median, p95, worst
    messages    a second on the stream, and its kB a second
    switches    planted, found, missed, false, as in benchmarks.watch
    page        after each interval: heap, DOM nodes, renderer memory; `growth` of the latter in the last third
    stalled     whether the server cut off the client that reads nothing (it takes minutes to fill the buffers)
    memory_mb   of the command and the server, early and at the end

Returns 1 if a switch was missed or false, or a share of the CPU above 5 % of a core.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import httpx2 as httpx
import psutil

from benchmarks import _planted
from benchmarks._planted import running_standin

_REPOSITORY = Path(__file__).parent.parent
_WARM_S = 20.0  # the cost of opening all streams is not counted
_API = "/api/v1/watch"
_SAMPLE_S = 10.0
_MAX_SHARE = 0.05


@dataclass
class Received:
    """What a program received on the stream of events."""

    delays_ms: list[float] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    messages: int = 0
    size: int = 0


def main(argv: list[str] | None = None) -> int:
    """Start all processes, measure, print the summary, and return the exit code."""
    parser = argparse.ArgumentParser(description="Measure the dashboard's live wall.")
    parser.add_argument("--minutes", type=float, default=2, help="default: %(default)s")
    parser.add_argument("--channels", type=int, default=50, help="default: %(default)s")
    parser.add_argument("--no-page", action="store_true", help="open no browser")
    parser.add_argument("--seed", type=int, default=0, help="of the switches (%(default)s)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="wall-") as folder:
        summary = _measured(Path(folder), args)
    print(json.dumps({"name": "dashboard_wall", "minutes": args.minutes, "channels": args.channels, **summary}))
    switches = summary["switches"]
    return int(bool(switches["missed"] or switches["false"] or summary["cores"]["share"] > _MAX_SHARE))


@contextmanager
def _running(command: list[str], variables: dict[str, str], **files: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a command of the toolkit; end it by SIGTERM."""
    environment = {**os.environ, **variables}
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=_REPOSITORY, env=environment, text=True, **files)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _measured(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Return the summary of a run."""
    _planted.write(_planted.planned(args.channels, 0, 0, args.seed), folder)  # transcodes, which takes time
    plan = _planted.planned(args.channels, time.time(), _WARM_S + 60 * args.minutes, args.seed)
    _planted.write(plan, folder)
    (folder / "logins").write_text("\n".join(plan.played))
    command = ["recognition.recognize", "--watch", "--wait", "--category", "--json", "--from", str(folder / "logins")]
    with running_standin(folder) as (_, variables), _running(command, variables, stdout=subprocess.DEVNULL) as watching:
        variables |= {"DOWNLOAD_PATH": str(folder / "data")}
        with _running(["dashboard.serve", "--port", "0"], variables, stdout=subprocess.PIPE) as server:
            url = _address(server.stdout)
            received = _follow(url, list(plan.played))
            time.sleep(_WARM_S)
            stalled, before = _stall(url), (received.messages, received.size)
            usage = {"watch": _Usage(watching), "server": _Usage(server)}
            samples = _look(url, args)
            cores = {name: one.cores() for name, one in usage.items()}
            seconds = 60 * args.minutes
            return {
                "cores": {**cores, "share": round(cores["server"] - cores["watch"], 4)},
                "delay_ms": {"stream": _delays(received.delays_ms), "page": _delays(_on_page(samples))},
                "messages": {
                    "per_s": round((received.messages - before[0]) / seconds, 1),
                    "kb_s": round((received.size - before[1]) / 1e3 / seconds, 1),
                },
                "switches": _planted.compared(plan, received.changes),
                "page": _page(samples),
                "stalled": {"cut_off": _is_cut_off(stalled)},
                "memory_mb": {name: one.memory_mb() for name, one in usage.items()},
            }


class _Usage:
    """CPU and memory of a process from now on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = psutil.Process(process.pid)
        self._start, self._cpu_s, self._memory = time.monotonic(), self._seconds(), self._process.memory_info().rss

    def _seconds(self) -> float:
        return sum(self._process.cpu_times()[:2])

    def cores(self) -> float:
        """Return the average CPU use, in cores."""
        return round((self._seconds() - self._cpu_s) / (time.monotonic() - self._start), 4)

    def memory_mb(self) -> list[int]:
        """Return the memory at the start and now."""
        return [round(size / 1e6) for size in (self._memory, self._process.memory_info().rss)]


def _follow(url: str, sources: list[str]) -> Received:
    """Put the channels on the wall and follow its events in a thread."""
    received = Received()
    with httpx.Client(base_url=url, timeout=60) as api:
        after = api.get(_API).json()["last_event_id"]
        answer = api.post(_API, json={"sources": sources}).raise_for_status().json()
    if answer["refused"]:
        raise RuntimeError(f"refused: {answer['refused'][:3]}")
    threading.Thread(target=_receive, args=(url, after, received), daemon=True).start()
    return received


def _address(output: IO[str] | None) -> str:
    """Return the URL that the server prints."""
    assert output
    return output.readline().split()[-1].rstrip("/")


def _receive(url: str, after: str, received: Received) -> None:
    """Follow the stream of events until the server ends."""
    try:
        with httpx.stream("GET", f"{url}{_API}/events", params={"after": after}, timeout=60) as response:
            for line in response.iter_lines():
                received.size += len(line) + 1
                if not line.startswith("data: "):
                    continue
                received.messages += 1
                event = json.loads(line[6:])["event"]
                if event and event["event"] == "change":
                    at = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()
                    received.delays_ms.append(1e3 * (time.time() - at))
                    received.changes.append(event)
    except httpx.HTTPError:
        return


def _stall(url: str) -> socket.socket:
    """Ask for the events and read none of them."""
    address = urlsplit(url)
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect((address.hostname, address.port))
    stalled.sendall(f"GET {_API}/events HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    return stalled


def _is_cut_off(stalled: socket.socket) -> bool:
    """Return whether the stream has an end: what the kernel held may still be read before it."""
    stalled.settimeout(1)
    try:
        while stalled.recv(1 << 20):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def _look(url: str, args: argparse.Namespace) -> list[Any]:
    """Keep the page open for the whole time and return samples of it; without a browser, only wait."""
    if args.no_page:
        time.sleep(60 * args.minutes)
        return []
    from benchmarks._browser_memory import sample_page

    return list(sample_page(f"{url}/live", args.minutes, max(_SAMPLE_S, 2 * args.minutes)))


def _page(samples: list[Any]) -> dict[str, Any] | None:
    """Return the samples, and the growth of the renderer's memory after two thirds of the time."""
    if not samples:
        return None
    rows = [{key: value for key, value in asdict(one).items() if key != "delays_ms"} for one in samples]
    rows = [{key: round(value, 2) for key, value in row.items()} for row in rows]
    warm = samples[len(samples) * 2 // 3]
    return {"samples": rows, "growth": round(samples[-1].renderer_mb / warm.renderer_mb - 1, 3)}


def _on_page(samples: list[Any]) -> list[float]:
    return [delay for one in samples[1:] for delay in one.delays_ms]  # at first the page shows older changes


def _delays(delays_ms: list[float]) -> dict[str, int]:
    ordered = sorted(delays_ms)
    if not ordered:
        return {"count": 0}
    rank = {"median": len(ordered) // 2, "p95": int(len(ordered) * 0.95), "worst": -1}
    return {"count": len(ordered)} | {name: round(ordered[index]) for name, index in rank.items()}


if __name__ == "__main__":
    sys.exit(main())
