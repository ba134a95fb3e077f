"""HTTP receiver of alerts: answers as a test says, and records what it got and what it accepted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from tests.scripted_server import LoopbackServer, Reply, ScriptedServer


class Receiver(LoopbackServer):
    """Answers each POST by `reply`, given the id of the alert. `attempts` and `accepted` hold ids, in their order."""

    def __init__(self, reply: Callable[[str], Reply] = lambda _: Reply(204), port: int = 0) -> None:
        self.reply = reply
        self.attempts: list[str] = []
        self.accepted: list[str] = []
        self.bodies: dict[str, bytes] = {}  # by id
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                delivery = self.headers["webhook-id"]
                receiver.attempts.append(delivery)
                receiver.bodies[delivery] = body
                reply = receiver.reply(delivery)
                if reply.status < 300:
                    receiver.accepted.append(delivery)
                ScriptedServer._send(self, reply)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler, port)
        self.port = self._server.server_port


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Poll the condition until it holds; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def answering(status: int, times: int, **options: object) -> Callable[[str], Reply]:
    """Return a reply function: this status for the first requests, then 204."""
    left, lock = [times], threading.Lock()

    def reply(_: str) -> Reply:
        with lock:
            left[0] -= 1
            return Reply(status, **options) if left[0] >= 0 else Reply(204)  # type: ignore[arg-type]

    return reply
