"""HTTP session: the only module that makes sessions, and so the only way to the network.

Every session has timeouts, a deadline for each response, and retries of failed connections. Stand-in
routing: where TWITCH_STANDIN names a stand-in, each request, whatever its host, goes to the stand-in's
socket with its original `Host` header.
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
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.retry import Retry

# Only connecting is retried here; the caller decides about responses, whatever their status.
_RETRY = Retry(total=None, connect=2, read=False, redirect=5, status=0, other=0, backoff_factor=0.3)
_CHUNK_BYTES = 1 << 16
_MAX_BODY_BYTES = 16 << 20  # of a response to a request without stream=True


class ResponseTooSlow(requests.exceptions.Timeout):
    """The response kept arriving, but not within the deadline."""


class ResponseTooLarge(requests.exceptions.RequestException):
    """The response exceeded the caller's size limit."""


class _Adapter(HTTPAdapter):
    """Sends requests with a default timeout, to the stand-in instead of the URL's host where one is set."""

    def __init__(self, timeout_s: float, deadline_s: float, standin: str, pool_size: int) -> None:
        self._timeout_s, self._deadline_s, self._standin = timeout_s, deadline_s, standin
        super().__init__(max_retries=_RETRY, pool_connections=pool_size, pool_maxsize=pool_size)

    def send(  # type: ignore[override]  # further arguments pass through unchanged
        self, request: requests.PreparedRequest, stream: bool = False, timeout: Any = None, **kwargs: Any
    ) -> requests.Response:
        """Send with the default timeout if the caller set none; without `stream`, read the body within limits."""
        if self._standin:
            request.headers["Host"] = urlsplit(request.url or "").netloc
        response = super().send(request, stream=stream, timeout=timeout or self._timeout_s, **kwargs)
        if not stream:
            response._content = read_body(response, self._deadline_s, _MAX_BODY_BYTES)  # as `content` does, unlimited
        return response

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> ConnectionPool:
        """Return the connection pool of the stand-in, or of the URL's host: a hook of requests."""
        if self._standin:
            pool = self.poolmanager.connection_from_url(self._standin)
        else:
            pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        pool.ConnectionCls = _with_header_deadline(type(pool).ConnectionCls, self._deadline_s)
        return pool

    def close(self) -> None:
        """Close the connections now: urllib3 waits for garbage collection if an error still refers to a response."""
        for key in self.poolmanager.pools.keys():  # noqa: SIM118 - this mapping has no iterator
            if pool := self.poolmanager.pools.get(key):
                pool.close()
        super().close()


@functools.cache
def _with_header_deadline(connection: Any, deadline_s: float) -> Any:
    """Return a subclass of a connection class whose responses must send their headers within `deadline_s`."""

    class Response(http.client.HTTPResponse):
        def begin(self) -> None:
            reader = _DeadlineReader(self.fp, deadline_s)
            self.fp = reader  # type: ignore[assignment]  # it has every method that http.client uses
            super().begin()
            reader.deadline = math.inf

    return type(connection.__name__, (connection,), {"response_class": Response})


class _DeadlineReader:
    """A socket's file that limits the time of each line to `deadline_s`, and of all lines to `deadline` (monotonic).

    http.client reads the headers, and later the sizes of chunks, by lines. The socket's own timeout starts
    again at each byte, so a server that sends one byte at a time never exceeds it.
    """

    def __init__(self, file: BinaryIO, deadline_s: float) -> None:
        self._file: Any = file
        self._deadline_s = deadline_s
        self.deadline = time.monotonic() + deadline_s

    def readline(self, limit: int = -1) -> bytes:
        """Return a line, as a file does. Raises TimeoutError."""
        deadline, line = min(self.deadline, time.monotonic() + self._deadline_s), b""
        while not line.endswith(b"\n") and len(line) != limit and (available := self._file.peek(1)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the response's headers took longer than {self._deadline_s:g} s")
            size = available.find(b"\n") + 1 or len(available)
            line += self._file.read(size if limit < 0 else min(size, limit - len(line)))
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def configure_session(
    session: requests.Session, timeout_s: float, standin: str = "", *, deadline_s: float = 30.0, pool_size: int = 16
) -> requests.Session:
    """Give a session (ours or Streamlink's) timeouts, connection retries and stand-in routing; return it.

    timeout_s: seconds to connect, and between two reads.
    standin: result of `data.http.loopback.loopback_url`; "": no stand-in.
    deadline_s: seconds for the headers of a response, and again for its body if the request has no stream=True.
    pool_size: number of connections kept open.
    """
    adapter = _Adapter(timeout_s, deadline_s, standin, pool_size)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # Streamlink's `mount` sets these to None. They include TCP_NODELAY, without which a POST's body waits for 40 ms.
    adapter.poolmanager.connection_pool_kw["socket_options"] = HTTPConnection.default_socket_options
    session.trust_env = session.trust_env and not standin  # no proxy between us and the stand-in
    return session


def new_session(
    timeout_s: float, standin: str = "", *, deadline_s: float = 30.0, pool_size: int = 16
) -> requests.Session:
    """Return a session of our own, which the caller closes. The arguments are those of `configure_session`."""
    session = configure_session(requests.Session(), timeout_s, standin, deadline_s=deadline_s, pool_size=pool_size)
    session.headers["User-Agent"] = "TwitchCategory (+https://github.com/molokhovdmitry/TwitchCategory)"
    return session


def read_body(response: requests.Response, deadline_s: float, limit_bytes: int) -> bytes:
    """Return the whole body of a response to a request with stream=True, and close the response.

    Raises ResponseTooSlow after `deadline_s` seconds, ResponseTooLarge beyond `limit_bytes`, and
    RequestException if the connection breaks.
    """
    with response:
        return b"".join(iter_body(response, deadline_s, limit_bytes))


def iter_body(response: requests.Response, deadline_s: float, limit_bytes: int) -> Iterator[bytes]:
    """Yield the chunks of a body as they arrive. Limits and errors are those of `read_body`."""
    deadline, size = time.monotonic() + deadline_s, 0
    try:
        # One read of the socket each: `iter_content` would wait for a full chunk.
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            size += len(chunk)
            if size > limit_bytes:
                raise ResponseTooLarge(f"more than {limit_bytes} bytes from {urlsplit(response.url).hostname}")
            if time.monotonic() > deadline:
                raise ResponseTooSlow(f"{urlsplit(response.url).hostname} took longer than {deadline_s:g} s")
            yield chunk
    except ReadTimeoutError as error:
        raise requests.exceptions.ReadTimeout(str(error)) from error
    except HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(str(error)) from error
