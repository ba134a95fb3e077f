"""HTTP: the only maker of sessions, and the only way to the network.

Every session here has timeouts, a bounded total per answer, retries of lost connections, and, when
TWITCH_STANDIN names one, the detour: each request, whatever its host, goes to the stand-in's socket
with its own `Host` header, so that the program above does not know the difference.
"""

from __future__ import annotations

import functools
import http.client
import math
import time
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import ConnectionPool
from urllib3.util.retry import Retry

# A new connection is tried again; an answer, whatever its status, is the caller's to judge.
_RETRY = Retry(total=None, connect=2, read=False, redirect=5, status=0, other=0, backoff_factor=0.3)
_CHUNK_BYTES = 1 << 16
_MAX_BODY_BYTES = 16 << 20  # of an answer that is read at once


class ResponseTooSlow(requests.exceptions.Timeout):
    """The answer kept coming, but not within the deadline."""


class ResponseTooLarge(requests.exceptions.RequestException):
    """The answer exceeded the size the caller allows."""


class _Adapter(HTTPAdapter):
    """Sends with a default timeout, and to the stand-in instead of the URL's host where one is set."""

    def __init__(self, timeout_s: float, deadline_s: float, standin: str, pool_size: int) -> None:
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._standin = standin
        super().__init__(max_retries=_RETRY, pool_connections=pool_size, pool_maxsize=pool_size)

    def send(  # type: ignore[override]  # the rest is passed on as it comes
        self, request: requests.PreparedRequest, stream: bool = False, timeout: Any = None, **kwargs: Any
    ) -> requests.Response:
        """Send with this adapter's timeout where the caller set none; without `stream`, read the body in bounds."""
        if self._standin:
            request.headers["Host"] = urlsplit(request.url or "").netloc
        response = super().send(request, stream=stream, timeout=timeout or self._timeout_s, **kwargs)
        if not stream:
            response._content = read_body(response, self._deadline_s, _MAX_BODY_BYTES)  # what `content` would set
        return response

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> ConnectionPool:
        """The connection pool of the stand-in, or of the URL's own host: the hook that requests has for this."""
        if self._standin:
            pool = self.poolmanager.connection_from_url(self._standin)
        else:
            pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        pool.ConnectionCls = _with_header_deadline(type(pool).ConnectionCls, self._deadline_s)
        return pool

    def close(self) -> None:
        """Close the connections: urllib3 leaves that to the garbage collector where an error still holds its answer."""
        for key in self.poolmanager.pools.keys():  # noqa: SIM118 - this mapping has no iterator
            if pool := self.poolmanager.pools.get(key):
                pool.close()
        super().close()


@functools.cache
def _with_header_deadline(connection: Any, deadline_s: float) -> Any:
    """A class of connections like this one, whose answers have `deadline_s` seconds for their heads."""

    class Response(http.client.HTTPResponse):
        def begin(self) -> None:
            lines = _DeadlineReader(self.fp, deadline_s)
            self.fp = lines  # type: ignore[assignment]  # all of a file that http.client uses
            super().begin()
            lines.until = math.inf

    return type(connection.__name__, (connection,), {"response_class": Response})


class _DeadlineReader:
    """A socket's file, of which no line takes longer than `deadline_s` seconds, nor all up to `until`, monotonic.

    http.client reads the head, and later the sizes of chunks, by lines; the socket's timeout starts anew at each byte.
    """

    def __init__(self, file: BinaryIO, deadline_s: float) -> None:
        self._file: Any = file
        self._deadline_s = deadline_s
        self.until = time.monotonic() + deadline_s

    def readline(self, limit: int = -1) -> bytes:
        """As a file's. Raises TimeoutError."""
        until, line = min(self.until, time.monotonic() + self._deadline_s), b""
        while not line.endswith(b"\n") and len(line) != limit and (there := self._file.peek(1)):
            if time.monotonic() > until:
                raise TimeoutError(f"the answer's head took longer than {self._deadline_s:g} s")
            size = there.find(b"\n") + 1 or len(there)
            line += self._file.read(size if limit < 0 else min(size, limit - len(line)))
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def configure_session(
    session: requests.Session, timeout_s: float, standin: str = "", *, deadline_s: float = 30.0, pool_size: int = 16
) -> requests.Session:
    """Give `session` (ours or Streamlink's) timeouts, connection retries and the detour; returns it.

    `timeout_s`: seconds to connect and between two reads. `standin`: "" or what `loopback_url` returned.
    `deadline_s`: seconds for the head of any answer, and again for the body of a request without stream=True, which
    no caller can bound.
    """
    adapter = _Adapter(timeout_s, deadline_s, standin, pool_size)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # Streamlink's `mount` sets this to None. Without TCP_NODELAY, which is among it, the body of a POST waits 40 ms.
    adapter.poolmanager.connection_pool_kw["socket_options"] = HTTPConnection.default_socket_options
    session.trust_env = session.trust_env and not standin
    return session


def new_session(
    timeout_s: float, standin: str = "", *, deadline_s: float = 30.0, pool_size: int = 16
) -> requests.Session:
    """A session of our own; the caller closes it (it is a context manager). `pool_size`: connections kept open."""
    session = configure_session(requests.Session(), timeout_s, standin, deadline_s=deadline_s, pool_size=pool_size)
    session.headers["User-Agent"] = "TwitchCategory (+https://github.com/molokhovdmitry/TwitchCategory)"
    return session


def read_body(response: requests.Response, deadline_s: float, limit_bytes: int) -> bytes:
    """The whole body of a response that was asked for with stream=True; closes the response.

    Raises ResponseTooSlow when it takes longer than `deadline_s` seconds in all, ResponseTooLarge past
    `limit_bytes`, and requests' own exceptions when the connection breaks.
    """
    with response:
        return b"".join(iter_body(response, deadline_s, limit_bytes))


def iter_body(response: requests.Response, deadline_s: float, limit_bytes: int) -> Iterator[bytes]:
    """The body's pieces as they arrive, under the same bounds and with the same errors as `read_body`."""
    end = time.monotonic() + deadline_s
    size = 0
    for piece in _read_chunks(response):
        size += len(piece)
        if size > limit_bytes:
            raise ResponseTooLarge(f"more than {limit_bytes} bytes from {urlsplit(response.url).hostname}")
        if time.monotonic() > end:
            raise ResponseTooSlow(f"{urlsplit(response.url).hostname} took longer than {deadline_s:g} s")
        yield piece


def _read_chunks(response: requests.Response) -> Iterator[bytes]:
    """What each single read of the socket brings: `iter_content` would wait for a full chunk."""
    from urllib3 import exceptions as u3

    try:
        while piece := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            yield piece
    except u3.ReadTimeoutError as error:
        raise requests.exceptions.ReadTimeout(str(error)) from error
    except u3.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(str(error)) from error
