"""Server: uvicorn with the dashboard's app, from the first connection to the last."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from config import Settings
from dashboard.app import create_app
from dashboard.security.policy import Security
from dashboard.services import open_services
from data import interruption
from data.errors import SettingsError

_BACKLOG = 256
_MAX_CONNECTIONS = 256
_KEEP_ALIVE_S = 30
_GRACE_S = 2  # for open responses at the end: a stream of events has none of its own


def serve(settings: Settings, host: str, port: int) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code. Raises SettingsError: the address, or no token for it."""
    security = Security.create(settings, host, port)
    with _listen(host, port) as listener, open_services(settings, security) as services:
        config = uvicorn.Config(
            create_app(services),
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            ws="websockets-sansio",
            ws_max_size=65536,
        )
        bound = listener.getsockname()[1]
        print(f"Dashboard: http://{f'[{host}]' if ':' in host else host}:{bound}/", flush=True)
        _Server(config).run(sockets=[listener])
    return 0


class _Server(uvicorn.Server):
    """uvicorn whose end by a signal is no error: it does not send itself the signal again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with interruption.handled(self.handle_exit):
            yield


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises SettingsError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(f"--host, --port: cannot listen on {host}, port {port}: {error.strerror}") from error
