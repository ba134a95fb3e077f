"""Server: uvicorn with the dashboard's app, from the first connection to the last."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from config import Settings
from dashboard.app import create_app
from dashboard.security.policy import Security
from dashboard.security.protocol import server_options
from dashboard.services import Services, open_services
from data import interruption
from data.errors import SettingsError
from data.memory import trim_periodically

_BACKLOG = 256
_GRACE_S = 2  # for open responses at the end
_UNSENT_MS = 60_000  # then a connection whose reader has stopped is closed, unsent bytes or not


def serve(settings: Settings, host: str, port: int) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code. Raises SettingsError: the address, or no token for it."""
    security = Security.create(settings, host, port)
    with _listen(host, port) as listener, open_services(settings, security) as services:
        bound = listener.getsockname()[1]
        print(f"Dashboard: http://{f'[{host}]' if ':' in host else host}:{bound}/", flush=True)
        with trim_periodically():  # requests are answered in up to 40 threads, whose arenas would stay
            make_server(services).run(sockets=[listener])
    return 0


def make_server(services: Services) -> uvicorn.Server:
    """Return the server of these services, which the caller opens and closes."""
    app = create_app(services)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_GRACE_S, **server_options())
    return _Server(config, services)


class _Server(uvicorn.Server):
    """uvicorn that ends streams of events first, and whose end by a signal is no error."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # the owner of the thread sets `should_exit`
            return
        with interruption.handled(self.handle_exit):  # uvicorn's own would send itself the signal again
            yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._services.watch.end_streams()
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises SettingsError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(f"--host, --port: cannot listen on {host}, port {port}: {error.strerror}") from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNSENT_MS)
    return listener
