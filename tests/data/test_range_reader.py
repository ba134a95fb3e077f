"""Range reader: servers of every kind, as scripted responses."""

from __future__ import annotations

import pytest
import requests

from data.http.range_reader import ByteRange, RangeReader
from data.http.session import ResponseTooLarge, ResponseTooSlow, new_session
from data.readers import ChainedReader
from tests.scripted_server import Reply, ScriptedServer

FILE = bytes(range(256)) * 400  # 102,400 bytes
URL = "https://video.example/segment.ts"
WHOLE = ByteRange(URL)


def part(first: int, last: int, size: int | str = len(FILE)) -> Reply:
    """Return the response of a server that supports ranges."""
    last = min(last, len(FILE) - 1)
    return Reply(206, FILE[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{size}"})


def read(server: ScriptedServer, sizes: list[int], byte_range: ByteRange = WHOLE, **options) -> tuple[bytes, int]:
    """Read these sizes in turn and close; return the content and the number of bytes read."""
    values = {"initial_bytes": 1000, "deadline_s": 5, "limit_bytes": 1 << 20}
    with new_session(2, server.url) as session:

        def request(url, headers):
            return session.get(url, headers=headers, stream=True)

        with RangeReader(request, byte_range, **{**values, **options}) as file:
            content = b"".join(file.read(size) for size in sizes)
            return content, file.bytes_read


def ranges(server: ScriptedServer) -> list[str | None]:
    return [headers.get("Range") for *_, headers in server.requests]


def test_read_within_the_initial_bytes_makes_one_request():
    """The first request asks for exactly `initial_bytes`."""
    with ScriptedServer([part(0, 999)]) as server:
        assert read(server, [300, 300]) == (FILE[:600], 600)
        assert ranges(server) == ["bytes=0-999"]


def test_read_beyond_the_initial_bytes_requests_more():
    """Each further request asks for as much as there is already, and nothing twice."""
    with ScriptedServer([part(0, 999), part(1000, 1999), part(2000, 3999)]) as server:
        content, _ = read(server, [700] * 5)
        assert content == FILE[: len(content)]
        assert ranges(server) == ["bytes=0-999", "bytes=1000-1999", "bytes=2000-3999"]


def test_read_at_the_end_returns_nothing_without_a_request():
    """A file shorter than `initial_bytes` is read completely, and then gives b""."""
    with ScriptedServer([part(0, len(FILE) - 1)]) as server:
        content, used = read(server, [60_000] * 20, initial_bytes=1 << 20)
    assert (content, used) == (FILE, len(FILE))


@pytest.mark.parametrize("size", [len(FILE), "*"])
def test_content_range_with_an_unknown_total_ends_the_file(size):
    """A total of `*` (RFC 9110, 14.4) states no end, so the file ends with the bytes received."""
    with ScriptedServer([part(0, 999, size), part(1000, 1999, size)]) as server:
        content, _ = read(server, [999, 999, 999])
    assert content == FILE[: len(content)]
    assert len(content) == (1000 if size == "*" else 1999)


def test_status_200_serves_the_whole_file():
    """A server that ignores Range sends everything; no second request is made."""
    with ScriptedServer([Reply(200, FILE)]) as server:
        content, _ = read(server, [40_000] * 2)
        assert content == FILE[: len(content)]
        assert len(server.requests) == 1


@pytest.mark.parametrize("supports_ranges", [True, False])
def test_byte_range_is_read_exactly(supports_ranges):
    """Nothing before or after the range is read, from either kind of server."""
    reply = part(5000, 5999) if supports_ranges else Reply(200, FILE)
    with ScriptedServer([reply]) as server:
        content, _ = read(server, [700] * 4, ByteRange(URL, 5000, 6000), initial_bytes=4000)
        assert content == FILE[5000:6000]
        assert ranges(server) == ["bytes=5000-5999"]


def test_connection_is_reused_after_a_partial_read():
    """The next request uses the same connection."""
    with ScriptedServer([part(0, 999), part(0, 999)]) as server, new_session(2, server.url) as session:
        for _ in range(2):
            request = lambda url, headers: session.get(url, headers=headers, stream=True)  # noqa: E731 - short enough
            with RangeReader(request, WHOLE, initial_bytes=1000, deadline_s=5, limit_bytes=1 << 20) as file:
                assert file.read(10) == FILE[:10]
        (pool,) = [session.get_adapter(URL).poolmanager.connection_from_url(server.url)]
        assert (pool.num_connections, pool.num_requests) == (1, 2)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (
            Reply(206, FILE[:500], {"Content-Range": f"bytes 0-999/{len(FILE)}"}, promised=1000),
            requests.ConnectionError,
        ),
        (Reply(200, FILE, byte_pause_s=0.05), ResponseTooSlow),
        (Reply(silence_s=10), requests.Timeout),
    ],
    ids=["cut off", "a byte at a time", "silence"],
)
def test_server_failure_raises_within_the_deadline(reply, error):
    """A truncated response, a trickle and silence are errors, never a shorter file."""
    with ScriptedServer([reply]) as server, pytest.raises((error, requests.exceptions.ChunkedEncodingError)):
        read(server, [100_000] * 50, deadline_s=1)


def test_response_beyond_the_limit_raises():
    """A server cannot make the reader exceed `limit_bytes`."""
    with ScriptedServer([Reply(200, FILE)]) as server, pytest.raises(ResponseTooLarge):
        read(server, [50_000] * 4, limit_bytes=60_000)


def ranged(header: str, body: bytes) -> Reply:
    """Return a 206 with this Content-Range."""
    return Reply(206, body, {"Content-Range": header})


@pytest.mark.parametrize(
    "reply",
    [
        ranged(f"bytes 0-999/{len(FILE)}", b""),
        ranged(f"bytes 0-999/{len(FILE)}", FILE[:10]),
        ranged(f"bytes 0-9/{len(FILE)}", FILE[:1000]),
        ranged(f"bytes 500-1499/{len(FILE)}", FILE[500:1500]),
        ranged(f"bytes 999-0/{len(FILE)}", FILE[:1000]),
        ranged("bytes 5-4/100", b""),
    ],
    ids=["empty", "too short", "too long", "another start", "backwards", "nothing"],
)
def test_content_range_that_differs_from_the_body_raises(reply):
    """A server that repeats such a response is not asked for ever."""
    with ScriptedServer([reply] * 50) as server:
        with pytest.raises(requests.RequestException):
            read(server, [100_000] * 200, initial_bytes=1000)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "header",
    [
        *(f"bytes 0-{'9' * 5000}/*", f"bytes 0-9/{'9' * 5000}", f"bytes {'9' * 5000}-9/*", "bytes 0-9", "bytes */9"),
        *("bytes -1-9/10", "bytes 0-9/-1", "bytes ٠-٩/*", "items 0-9/10", "x", ""),
    ],
    ids=range(11),
)
def test_invalid_content_range_ends_the_file_with_the_body(header):
    """As a 206 without one: the bytes are taken for the requested ones, and no others are requested."""
    reply = Reply(206, FILE[:1000], {"Content-Range": header.encode().decode("latin-1")})
    with ScriptedServer([reply] * 50) as server:
        assert read(server, [700] * 5) == (FILE[:1000], 1000)
        assert len(server.requests) == 1


def test_responses_together_beyond_the_limit_raise():
    """A file in many small responses, too, has at most `limit_bytes`."""
    replies = [part(0, 999, 10**9), part(1000, 1999, 10**9), part(2000, 3999, 10**9), part(4000, 7999, 10**9)]
    with ScriptedServer(replies) as server, pytest.raises(ResponseTooLarge):
        read(server, [1000] * 20, limit_bytes=3500)


def test_chained_reader_returns_the_start_then_the_file():
    """Reads return no more than the requested size."""

    class File:
        def __init__(self) -> None:
            self.rest = [b"cd", b"e", b""]

        def read(self, size, /):
            return self.rest.pop(0)

    reader = ChainedReader(b"ab", File())
    assert [reader.read(1), reader.read(5), reader.read(5), reader.read(5), reader.read(5)] == [
        b"a",
        b"b",
        b"cd",
        b"e",
        b"",
    ]


def test_read_requested_returns_what_was_requested_and_not_read():
    """After a short read, the rest of the first 1,000 bytes; no other request."""
    with ScriptedServer([part(0, 999)]) as server, new_session(2, server.url) as session:

        def request(url, headers):
            return session.get(url, headers=headers, stream=True)

        with RangeReader(request, WHOLE, initial_bytes=1000, deadline_s=5, limit_bytes=1 << 20) as file:
            assert file.read(300) + file.read_requested() == FILE[:1000]
            assert file.bytes_read == 1000
    assert len(server.requests) == 1
