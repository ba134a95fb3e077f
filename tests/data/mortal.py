"""A PostgreSQL that dies and comes back, and a way to it that drops the answer to a commit."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from data.storage import embedded_postgres
from data.storage.database import connect
from tests.data.conftest import settings


class Mortal:
    """A server in `home`; a context manager. `settings` name it, whether it runs or not."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._uses = ExitStack()
        self.settings: dict[str, str] = {}

    def __enter__(self) -> Mortal:
        self.start()
        with connect(settings(**self.settings)):
            return self

    def __exit__(self, *_: object) -> None:
        self._uses.close()

    def start(self) -> None:
        """Have it run and answer; it may run already."""
        socket = self._uses.enter_context(embedded_postgres.server(self._home))
        names = {
            "DB_HOST": str(socket),
            "DB_PORT": str(embedded_postgres.PORT),
            "DB_NAME": "postgres",
            "DB_USER": "postgres",
        }
        self.settings = {**names, "DB_PASSWORD": ""}

    def stop(self, number: signal.Signals) -> None:
        """SIGINT: fast, its clients are told. SIGQUIT: at once. SIGKILL: as by the kernel, short of memory.

        https://www.postgresql.org/docs/current/server-shutdown.html. Returns when no process of it is left.
        """
        server = psutil.Process(int((self._home / "data" / "postmaster.pid").read_text().split()[0]))
        everything = [server, *server.children(recursive=True)]
        server.send_signal(number)
        end = time.monotonic() + 20
        while any(map(runs, everything)):
            assert time.monotonic() < end, f"{everything} outlive {number.name}"
            time.sleep(0.01)


def runs(process: psutil.Process) -> bool:
    """Whether it runs; in a container without an init the dead stay listed."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Lossy:
    """A way to the server behind `host`, a socket's folder; a context manager.

    The first `times` answers to a COMMIT are dropped with their connections: the server did it, the client
    cannot know. https://www.postgresql.org/docs/current/protocol-flow.html
    """

    def __init__(self, host: str, times: int) -> None:
        self._server = f"{host}/.s.PGSQL.{embedded_postgres.PORT}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.left = times
        self.settings = {"DB_HOST": "127.0.0.1", "DB_PORT": str(self._listener.getsockname()[1])}

    def __enter__(self) -> Lossy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed: the end
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                dropping = threading.Event()
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=(*ends, dropping), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, asks: bool, dropping: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if asks and b"COMMIT" in data and self.left:
                    self.left -= 1
                    dropping.set()
                elif not asks and dropping.is_set():
                    break  # this was the answer
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
