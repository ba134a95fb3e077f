"""Protocol: limits of connections that uvicorn itself does not have, against clients that are slow or many."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from dashboard.security.rates import network_of

_MAX_CONNECTIONS, _MAX_OF_CLIENT = 256, 64  # of all; of one address, or network, of another machine
_REQUEST_S = 10.0  # until the headers of a request have arrived
_STALL_S = 30.0  # until a client reads more of a response
_KEEP_ALIVE_S = 15
_MAX_HEADER_BYTES = 48 << 10
_MIN_CHUNK_BYTES, _MAX_SMALL_CHUNKS = 512, 1000  # of a body; larger chunks make up for smaller ones
_MAX_FRAGMENTS = 64  # of a WebSocket's message


log = logging.getLogger(__name__)


def server_options() -> dict[str, Any]:
    """Return the arguments of uvicorn.Config that the limits need."""
    log.setLevel(logging.ERROR)  # of invalid requests uvicorn warns: a flood of them would fill the log
    return {
        "http": BoundedHttp,
        "ws": BoundedSocket,
        "h11_max_incomplete_event_size": _MAX_HEADER_BYTES,
        "ws_max_size": 64 << 10,
        "ws_per_message_deflate": False,  # a small message may decompress to a large one
        "timeout_keep_alive": _KEEP_ALIVE_S,
        "backlog": _MAX_CONNECTIONS,
        "proxy_headers": False,  # anybody can send them
        "server_header": False,
        "access_log": False,
    }


class _Stall:
    """A timer that closes a connection whose client reads nothing."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport, seconds: float) -> None:
        """Start the timer, unless it runs."""
        self._timer = self._timer or asyncio.get_running_loop().call_later(seconds, transport.abort)

    def end(self) -> None:
        """Stop the timer."""
        if self._timer:
            self._timer.cancel()
            self._timer = None


class _Connection(h11.Connection):
    """Parser of requests that stops at a body of tiny chunks: each one costs as much as a large one."""

    def __init__(self, max_incomplete_event_size: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size)
        self._chunks = 0
        self.is_exceeded = False

    def next_event(self) -> Any:
        """Return the next event; NEED_DATA for ever after too many chunks."""
        if self.is_exceeded:
            return h11.NEED_DATA
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = 0
        elif isinstance(event, h11.Data):
            self._chunks += 1 - len(event.data) // _MIN_CHUNK_BYTES
            self.is_exceeded = self._chunks > _MAX_SMALL_CHUNKS
        return event


class BoundedHttp(H11Protocol):
    """HTTP/1.1 of clients that send a whole request in time and read its response; too many are turned away."""

    conn: _Connection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Connection(self.config.h11_max_incomplete_event_size or _MAX_HEADER_BYTES)
        self.logger = log
        self._request, self._stall = _Stall(), _Stall()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or turn the client away."""
        super().connection_made(transport)
        # asyncio leaves it unset on connections of a listener whose protocol is 0, and headers and body are two
        # writes: the second one would wait for an acknowledgement, 40 ms in each response.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _is_crowded(self):
            transport.abort()
            return
        self._request.begin(transport, _REQUEST_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._request.end()
        self._stall.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        if self.conn.is_exceeded:
            self.transport.abort()
        if self.transport.get_protocol() is not self:  # a WebSocket now
            self._request.end()
            return
        answered = self.cycle is None or self.cycle.response_complete
        is_part = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        # The rest of a body that nobody waits for any more must end in time, too.
        if is_part or (answered and self.conn.their_state is h11.SEND_BODY):
            self._request.begin(self.transport, _REQUEST_S)
        else:
            self._request.end()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._stall.begin(self.transport, _STALL_S)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._stall.end()


class BoundedSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose client reads, and sends messages of few fragments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stall = _Stall()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stall.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Read nothing meanwhile: each ping would add a pong to what waits."""
        super().pause_writing()
        self.transport.pause_reading()
        self._stall.begin(self.transport, _STALL_S)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        self._stall.end()
        if not self.read_paused:
            self.transport.resume_reading()

    async def send(self, message: Any) -> None:
        """Send a message of the app; take a refusal for a complete handshake, or uvicorn logs an error for each one."""
        await super().send(message)
        refused = message["type"] == "websocket.http.response.body" and not message.get("more_body")
        self.handshake_complete = self.handshake_complete or refused

    def handle_cont(self, event: Any) -> None:
        """Take a fragment of a message."""
        if len(getattr(self, "frames", ())) < _MAX_FRAGMENTS:  # older releases keep the bytes only
            super().handle_cont(event)
        else:
            self.transport.abort()


def _is_crowded(protocol: H11Protocol) -> bool:
    connections: Any = protocol.connections
    address = protocol.client[0] if protocol.client else ""
    if len(connections) > _MAX_CONNECTIONS:
        return True
    if not address or ipaddress.ip_address(address.partition("%")[0]).is_loopback:  # browsers' tabs and proxies
        return False
    network = network_of(address)
    return sum(bool(other.client) and network_of(other.client[0]) == network for other in connections) > _MAX_OF_CLIENT
