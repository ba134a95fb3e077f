"""PostgreSQL server that a test stops and restarts, and a proxy that drops the response to a COMMIT."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from data.factories import connect_database
from data.storage import embedded_postgres
from tests.data.conftest import settings


class RestartablePostgres:
    """A server in `home`; a context manager. `settings` name it, whether it is_running or not."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._stack = ExitStack()
        self.settings: dict[str, str] = {}

    def __enter__(self) -> RestartablePostgres:
        self.start()
        with connect_database(settings(**self.settings)):
            return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Start the server unless it runs; return when it accepts connections."""
        socket = self._stack.enter_context(embedded_postgres.running_server(self._home))
        names = {
            "DB_HOST": str(socket),
            "DB_PORT": str(embedded_postgres.PORT),
            "DB_NAME": "postgres",
            "DB_USER": "postgres",
        }
        self.settings = {**names, "DB_PASSWORD": ""}

    def stop(self, number: signal.Signals) -> None:
        """Send a signal; return when no process of the server is left.

        SIGINT: fast shutdown. SIGQUIT: immediate shutdown. SIGKILL: as by the kernel when memory runs out.
        https://www.postgresql.org/docs/current/server-shutdown.html
        """
        server = psutil.Process(int((self._home / "data" / "postmaster.pid").read_text().split()[0]))
        processes = [server, *server.children(recursive=True)]
        server.send_signal(number)
        end = time.monotonic() + 20
        while any(map(is_running, processes)):
            assert time.monotonic() < end, f"{processes} outlive {number.name}"
            time.sleep(0.01)


def is_running(process: psutil.Process) -> bool:
    """Return whether the process runs; in a container without an init process zombies stay listed."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class LossyProxy:
    """A proxy to the server whose socket is in the folder `host`; a context manager.

    It drops the responses to the first `drops` COMMITs, with their connections. The server has committed, and the
    client cannot know. https://www.postgresql.org/docs/current/protocol-flow.html
    """

    def __init__(self, host: str, drops: int) -> None:
        self._server = f"{host}/.s.PGSQL.{embedded_postgres.PORT}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.remaining_drops = drops
        self.settings = {"DB_HOST": "127.0.0.1", "DB_PORT": str(self._listener.getsockname()[1])}

    def __enter__(self) -> LossyProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                dropping = threading.Event()
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._forward, args=(*ends, dropping), daemon=True).start()

    def _forward(
        self, source: socket.socket, target: socket.socket, from_client: bool, dropping: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if from_client and b"COMMIT" in data and self.remaining_drops:
                    self.remaining_drops -= 1
                    dropping.set()
                elif not from_client and dropping.is_set():
                    break  # this data is the response to the COMMIT
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
