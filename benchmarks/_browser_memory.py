"""A page in Chromium by the DevTools protocol, and its memory while it stays open.

`sample_page` opens a page, waits, and yields one sample for each interval. It speaks the
DevTools protocol itself: Playwright asks for the network's events, and then the renderer keeps the content of answers.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.dashboard.browser import SWITCHES, find_browser

ALL_TILES = (1440, 4000)  # pixels at which 50 tiles are visible, and load their frames
_METRICS = {"Nodes": "nodes", "JSEventListeners": "listeners", "Documents": "documents"}
_START_S = 30
# Milliseconds from each change's time to its entry in the log of the wall.
_WATCH_LOG = """
  window.delays = [];
  new MutationObserver((records) => records.forEach((record) => record.addedNodes.forEach((entry) =>
    window.delays.push(Date.now() - Date.parse(entry.querySelector("time").dateTime))
  ))).observe(document.getElementById("log"), { childList: true });"""


@dataclass(frozen=True)
class PageSample:
    """What a page holds after a garbage collection. Sizes in MB.

    renderer_mb: USS of all renderer processes.
    delays_ms: of the changes that appeared in the log since the sample before, from the event's time.
    """

    minute: float
    heap_mb: float
    nodes: int
    listeners: int
    documents: int
    renderer_mb: float
    delays_ms: list[int]


class DevTools:
    """A connection to a page. Events are discarded."""

    def __init__(self, socket: Connection) -> None:
        self._socket, self._count = socket, 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return its result."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=_START_S))
            if answer.get("id") == self._count:
                return answer["result"]

    def evaluate(self, script: str) -> Any:
        """Return the value of a script, or that of its promise."""
        options = {"returnByValue": True, "awaitPromise": True}
        return self.call("Runtime.evaluate", expression=script, **options)["result"].get("value")


def sample_page(
    url: str, minutes: float, interval_s: float = 30.0, size: tuple[int, int] = ALL_TILES
) -> Iterator[PageSample]:
    """Open a page with a log of changes, as the wall has, and yield a sample every `interval_s`, for `minutes`."""
    with open_page(url, size) as (page, process):
        page.call("Performance.enable")
        time.sleep(2)
        page.evaluate(_WATCH_LOG)
        start = time.monotonic()
        while (passed_s := time.monotonic() - start) < minutes * 60:
            time.sleep(interval_s - passed_s % interval_s)
            yield _sample(page, process, (time.monotonic() - start) / 60)


@contextmanager
def open_page(url: str, size: tuple[int, int]) -> Iterator[tuple[DevTools, psutil.Process]]:
    """Open a page in a Chromium of its own; yield the connection to it, and the browser's process."""
    if not (executable := find_browser()):
        raise FileNotFoundError("no browser: install chromium")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        window = f"--window-size={size[0]},{size[1]}"
        command = [
            executable,
            "--headless=new",
            *SWITCHES,
            window,
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
        ]
        process = stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        stack.callback(process.terminate)
        port = _read_port(Path(folder) / "DevToolsActivePort")
        [target] = [one for one in httpx.get(f"http://127.0.0.1:{port}/json").json() if one["type"] == "page"]
        page = DevTools(stack.enter_context(connect(target["webSocketDebuggerUrl"], max_size=None)))
        page.call("Page.navigate", url=url)
        yield page, psutil.Process(process.pid)


def _read_port(file: Path) -> str:
    end = time.monotonic() + _START_S
    while not (file.exists() and file.read_text().strip()):
        if time.monotonic() > end:
            raise TimeoutError(f"Chromium did not start in {_START_S} s")
        time.sleep(0.1)
    return file.read_text().split()[0]


def _sample(page: DevTools, process: psutil.Process, minute: float) -> PageSample:
    page.call("HeapProfiler.collectGarbage")
    values = {item["name"]: item["value"] for item in page.call("Performance.getMetrics")["metrics"]}
    counts = {field: int(values[name]) for name, field in _METRICS.items()}
    renderers = [one for one in process.children(recursive=True) if "--type=renderer" in one.cmdline()]
    return PageSample(
        minute=minute,
        heap_mb=values["JSHeapUsedSize"] / 1e6,
        renderer_mb=sum(one.memory_full_info().uss for one in renderers) / 1e6,
        delays_ms=page.evaluate("window.delays.splice(0)"),
        **counts,
    )
