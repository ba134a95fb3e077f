"""HTTP session: the only module that makes sessions, and so the only way to the network.

Every session has timeouts, a deadline for each response with its redirects, limits for each body, and retries of failed
connections. No session reads .netrc. Stand-in routing: where TWITCH_STANDIN names a stand-in, each request, whatever
its host, goes to the stand-in's socket with its original `Host` header.
"""

from __future__ import annotations

import codecs
import functools
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.utils import get_auth_from_url
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.util.retry import Retry

from data.http.bounded_response import DeadlineExceeded, response_deadline, with_bounded_responses
from data.http.public_address import with_public_peer

# Only connecting is retried here; the caller decides about responses, whatever their status.
_RETRY = Retry(total=None, connect=2, read=False, redirect=5, status=0, other=0, backoff_factor=0.3)
_CHUNK_BYTES, _MAX_COOKIES = 1 << 16, 100
_MAX_BODY_BYTES = 16 << 20  # of a response to a request without stream=True
_NO_TEXT = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}  # slow or raising codecs

# (body, URL): raises an exception for a body that must not be processed. None: any body may be.
Check = Callable[[bytes, str], None] | None


class ResponseTooSlow(requests.exceptions.Timeout):
    """The response kept arriving, but not within the deadline."""


class ResponseTooLarge(requests.exceptions.RequestException):
    """The response exceeded the caller's size limit."""


class InvalidResponse(requests.exceptions.RequestException):
    """The response, or an address in it, made requests raise an exception of another library."""


class _Session(requests.Session):
    """A session whose `request` raises RequestException only, whatever a server sends."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request."""
        try:
            return super().request(*args, **kwargs)
        except requests.RequestException:
            raise
        except Exception as error:  # such as UnicodeError for a Location header, urllib3's LocationParseError
            raise InvalidResponse(f"{type(error).__name__}: {error}") from error


class _FewCookies(DefaultCookiePolicy):
    """Refuses further cookies when the jar is full: in a run of weeks a server could fill the memory."""

    def __init__(self, jar: CookieJar) -> None:
        super().__init__()
        self._jar = jar

    def set_ok(self, cookie: Cookie, request: Any) -> bool:
        return len(self._jar) < _MAX_COOKIES and super().set_ok(cookie, request)


class _ReadResponse(requests.Response):
    """A response whose body is in memory."""

    def iter_lines(self, *_: Any, decode_unicode: bool = False, **__: Any) -> Iterator[Any]:
        """Yield the lines; requests joins a long one from 512 bytes each, in quadratic time."""
        return iter((self.text if decode_unicode else self.content).splitlines())


class _Adapter(HTTPAdapter):
    """Sends requests with a default timeout, to the stand-in instead of the URL's host where one is set."""

    public_only = False

    def __init__(
        self, timeout_s: float, deadline_s: float, standin: str, *, pool_size: int, limit_bytes: int, check: Check
    ) -> None:
        self._timeout_s, self._deadline_s, self._standin = timeout_s, deadline_s, standin
        self._limit_bytes, self._check = limit_bytes, check
        super().__init__(max_retries=_RETRY, pool_connections=pool_size, pool_maxsize=pool_size)

    def send(  # type: ignore[override]  # further arguments pass through unchanged
        self, request: requests.PreparedRequest, stream: bool = False, timeout: Any = None, **kwargs: Any
    ) -> requests.Response:
        """Send with the default timeout if the caller set none; without `stream`, read the body within limits."""
        if self._standin:
            request.headers["Host"] = urlsplit(request.url or "").netloc
        # Of a request, its redirects share nothing but the hooks: so these hold the deadline of the whole chain.
        chain = cast(dict[str, Any], request.hooks)
        deadline = chain.pop("deadline", None) or time.monotonic() + self._deadline_s
        with response_deadline(deadline):
            response = super().send(request, stream=stream, timeout=timeout or self._timeout_s, **kwargs)
        if response.is_redirect:
            chain["deadline"] = deadline
            _skip_body(response)
        elif not stream:
            self._read(response, deadline)
        return response

    def _read(self, response: requests.Response, deadline: float) -> None:
        """Read the body as `requests.Response.content` does, but within limits."""
        response._content = read_body(response, deadline - time.monotonic(), self._limit_bytes)
        response.encoding = _text_encoding(response.encoding)
        response.__class__ = _ReadResponse
        if self._check:
            self._check(response._content, response.url)

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> ConnectionPool:
        """Return the connection pool of the stand-in, or of the URL's host: a hook of requests."""
        if self._standin:
            pool = self.poolmanager.connection_from_url(self._standin)
        else:
            pool = super().get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        made = type(pool).ConnectionCls
        pool.ConnectionCls = with_bounded_responses(with_public_peer(made) if self.public_only else made)
        return pool

    def close(self) -> None:
        """Close the connections now: urllib3 waits for garbage collection if an error still refers to a response."""
        for key in self.poolmanager.pools.keys():  # noqa: SIM118 - this mapping has no iterator
            if pool := self.poolmanager.pools.get(key):
                pool.close()
        super().close()


def _skip_body(response: requests.Response) -> None:
    """Let nobody read a redirect's body: requests would, to its end, whatever its size."""
    with suppress(HTTPError):  # one read is enough for a usual body; then the connection is used again
        response.raw.read1(_CHUNK_BYTES)
    response.raw.close()  # with the connection, if bytes are left
    response._content = b""


def _text_encoding(name: str | None) -> str:
    """Return the encoding of a body's text; UTF-8 instead of none, because guessing it takes seconds per megabyte."""
    try:
        return "utf-8" if not name or codecs.lookup(name).name in _NO_TEXT else name
    except (LookupError, ValueError):
        return "utf-8"


def _url_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Authenticate with the user and password of the URL. As a session's `auth` it replaces .netrc."""
    user, password = get_auth_from_url(request.url or "")
    return cast(requests.PreparedRequest, HTTPBasicAuth(user, password)(request)) if user or password else request


def _rebuild_auth(session: requests.Session, request: requests.PreparedRequest, response: requests.Response) -> None:
    """Drop the credentials of a request that is redirected to another host, as requests does, but without .netrc."""
    if session.should_strip_auth(response.request.url or "", request.url or ""):
        request.headers.pop("Authorization", None)


def configure_session(
    session: requests.Session,
    timeout_s: float,
    standin: str = "",
    *,
    deadline_s: float = 30.0,
    pool_size: int = 16,
    limit_bytes: int = _MAX_BODY_BYTES,
    check: Check = None,
    public_only: bool = False,
) -> requests.Session:
    """Give a session (ours or Streamlink's) timeouts, limits, connection retries and stand-in routing; return it.

    timeout_s: seconds to connect, and between two reads.
    standin: result of `data.http.loopback.loopback_url`; "": no stand-in.
    deadline_s: seconds for a response with its body, the redirects before it included.
    pool_size: number of connections kept open.
    limit_bytes, check: for the body of a response to a request without stream=True: its largest size; called with it.
    public_only: connect to public addresses only (data.http.public_address), through the environment's proxy if any.
    """
    adapter = _Adapter(timeout_s, deadline_s, standin, pool_size=pool_size, limit_bytes=limit_bytes, check=check)
    adapter.public_only = public_only and not standin
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.adapters.pop("file://", None)  # Streamlink's reads /dev/zero, and waits for a FIFO, for ever
    # Streamlink's `mount` sets these to None. They include TCP_NODELAY, without which a POST's body waits for 40 ms.
    adapter.poolmanager.connection_pool_kw["socket_options"] = HTTPConnection.default_socket_options
    session.trust_env = session.trust_env and not standin  # no proxy between us and the stand-in
    # Only .netrc is ignored: it would replace Twitch's token. The environment's proxies and certificates are used.
    session.auth = _url_credentials
    session.cookies.set_policy(_FewCookies(session.cookies))
    warnings.filterwarnings("ignore", "http.cookiejar bug", UserWarning)  # it cannot read a cookie of an absurd age
    session.rebuild_auth = functools.partial(_rebuild_auth, session)  # type: ignore[method-assign]
    return session


def new_session(
    timeout_s: float, standin: str = "", *, deadline_s: float = 30.0, pool_size: int = 16
) -> requests.Session:
    """Return a session of our own, which the caller closes. The arguments are those of `configure_session`."""
    session = configure_session(_Session(), timeout_s, standin, deadline_s=deadline_s, pool_size=pool_size)
    # Threads share a session: a cookie that one thread stores changes what another one reads. None is needed.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers["User-Agent"] = "TwitchCategory (+https://github.com/molokhovdmitry/TwitchCategory)"
    return session


def read_body(response: requests.Response, deadline_s: float, limit_bytes: int) -> bytes:
    """Return the whole body of a response to a request with stream=True, and close the response.

    Raises ResponseTooSlow after `deadline_s` seconds, ResponseTooLarge, RequestException if the connection breaks.
    """
    with response:
        return b"".join(iter_body(response, deadline_s, limit_bytes))


def iter_body(response: requests.Response, deadline_s: float, limit_bytes: int) -> Iterator[bytes]:
    """Yield the chunks of a body as they arrive. Limits and errors are those of `read_body`."""
    deadline, size = time.monotonic() + deadline_s, 0
    # One read of the socket each: `iter_content` would wait for a full chunk.
    while chunk := _read_chunk(response):
        size += len(chunk)
        if size > limit_bytes:
            raise ResponseTooLarge(f"more than {limit_bytes} bytes from {urlsplit(response.url).hostname}")
        if time.monotonic() > deadline:
            raise ResponseTooSlow(f"{urlsplit(response.url).hostname} took longer than {deadline_s:g} s")
        yield chunk


def _read_chunk(response: requests.Response) -> bytes:
    """Return the next bytes of a body, decompressed; b"" at its end. Raises RequestException."""
    try:
        return cast(bytes, response.raw.read1(_CHUNK_BYTES, decode_content=True))
    except ReadTimeoutError as error:
        too_slow = isinstance(error.__cause__, DeadlineExceeded)
        raise (ResponseTooSlow if too_slow else requests.exceptions.ReadTimeout)(str(error)) from error
    except Exception as error:  # HTTPError, and what decoders let pass
        raise requests.exceptions.ChunkedEncodingError(str(error)) from error
