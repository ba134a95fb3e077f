"""data.http.range_reader: the beginning of a remote file, fetched as far as it is read, from servers of every kind."""

from __future__ import annotations

import pytest
import requests

from data.http.range_reader import RangeReader
from data.http.session import ResponseTooLarge, ResponseTooSlow, new_session
from data.readers import ChainedReader
from tests.scripted_server import Reply, ScriptedServer

FILE = bytes(range(256)) * 400  # 102,400 bytes, no two places alike for long
URL = "https://video.example/segment.ts"


def part(first: int, last: int, size: int | str = len(FILE)) -> Reply:
    """What a server that knows ranges answers."""
    last = min(last, len(FILE) - 1)
    return Reply(206, FILE[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{size}"})


def read(server: ScriptedServer, sizes: list[int], **options) -> tuple[bytes, int]:
    """Read so much in turn, and close; what was read, and the bytes that were used."""
    values = {"initial_bytes": 1000, "deadline_s": 5, "limit_bytes": 1 << 20}
    with new_session(2, server.url) as session:

        def get(headers):
            return session.get(URL, headers=headers, stream=True)

        with RangeReader(get, **{**values, **options}) as file:
            content = b"".join(file.read(size) for size in sizes)
            return content, file.bytes_read


def ranges(server: ScriptedServer) -> list[str | None]:
    return [headers.get("Range") for *_, headers in server.requests]


def test_one_request_where_the_guess_suffices():
    """What lies within the guess costs one request, which asks for no more than the guess."""
    with ScriptedServer([part(0, 999)]) as server:
        assert read(server, [300, 300]) == (FILE[:600], 600)
        assert ranges(server) == ["bytes=0-999"]


def test_more_follows_where_the_guess_was_too_small():
    """Reading on asks for what follows, each time for as much as there is already; nothing is asked for twice."""
    with ScriptedServer([part(0, 999), part(1000, 1999), part(2000, 3999)]) as server:
        content, _ = read(server, [700] * 5)
        assert content == FILE[: len(content)]
        assert ranges(server) == ["bytes=0-999", "bytes=1000-1999", "bytes=2000-3999"]


def test_the_end_of_the_file_is_an_end():
    """A file shorter than the guess is read whole, and then gives b"", without another request."""
    with ScriptedServer([part(0, len(FILE) - 1)]) as server:
        content, used = read(server, [60_000] * 20, initial_bytes=1 << 20)
    assert (content, used) == (FILE, len(FILE))


@pytest.mark.parametrize("size", [len(FILE), "*"])
def test_parts_of_a_known_and_of_an_unknown_whole(size):
    """A total of `*` (RFC 9110, 14.4) leaves the end open: the part that was given is then all there is."""
    with ScriptedServer([part(0, 999, size), part(1000, 1999, size)]) as server:
        content, _ = read(server, [999, 999, 999])
    assert content == FILE[: len(content)]
    assert len(content) == (1000 if size == "*" else 1999)


def test_a_server_that_ignores_ranges():
    """A 200 with the whole file works as well; no second request is made."""
    with ScriptedServer([Reply(200, FILE)]) as server:
        content, _ = read(server, [40_000] * 2)
        assert content == FILE[: len(content)]
        assert len(server.requests) == 1


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_byte_range_is_a_file(knows_ranges):
    """Of a part of a resource nothing before it and nothing behind it is read, from either kind of server."""
    reply = part(5000, 5999) if knows_ranges else Reply(200, FILE)
    with ScriptedServer([reply]) as server:
        content, _ = read(server, [700] * 4, initial_bytes=4000, start=5000, end=6000)
        assert content == FILE[5000:6000]
        assert ranges(server) == ["bytes=5000-5999"]


def test_the_connection_serves_again():
    """After part of a part was read, the next request goes over the same connection."""
    with ScriptedServer([part(0, 999), part(0, 999)]) as server, new_session(2, server.url) as session:
        for _ in range(2):
            get = lambda headers: session.get(URL, headers=headers, stream=True)  # noqa: E731 - the shape it takes
            with RangeReader(get, initial_bytes=1000, deadline_s=5, limit_bytes=1 << 20) as file:
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
def test_trouble_is_told(reply, error):
    """A cut-off answer, a trickle and silence are errors in bounded time, never a shorter file."""
    with ScriptedServer([reply]) as server, pytest.raises((error, requests.exceptions.ChunkedEncodingError)):
        read(server, [100_000] * 50, deadline_s=1)


def test_size_is_limited():
    """A server cannot make us read more than the limit."""
    with ScriptedServer([Reply(200, FILE)]) as server, pytest.raises(ResponseTooLarge):
        read(server, [50_000] * 4, limit_bytes=60_000)


def test_joined():
    """Bytes at hand come first, then the file's, in pieces no larger than asked for."""

    class File:
        def __init__(self) -> None:
            self.rest = [b"cd", b"e", b""]

        def read(self, size, /):
            return self.rest.pop(0)

    joined = ChainedReader(b"ab", File())
    assert [joined.read(1), joined.read(5), joined.read(5), joined.read(5), joined.read(5)] == [
        b"a",
        b"b",
        b"cd",
        b"e",
        b"",
    ]
