"""Fault injection of the stand-in: planned faults, faults by chance, and faulty paging of Helix."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time

import pytest
import requests

from data.http.loopback import loopback_url
from data.http.session import new_session
from tests.standin import Standin, faults
from tests.standin.clients import HELIX, helix_session
from tests.standin.faults import Fault, RandomFaults
from tests.standin.test_server import ROOT

TOP = f"{HELIX}/games/top"


def faulty(zoo, cache, kind, **where) -> Standin:
    """Return a stand-in whose responses about top games have this fault."""
    return Standin(zoo, cache=cache, faults=[Fault("fault", kind, path="/helix/games/top", **where)])


@pytest.mark.parametrize(
    ("where", "hit"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"times": 2}, [0, 1]),
        ({"skip": 2}, [2, 3, 4, 5]),
        ({"every": 3}, [0, 3]),
        ({"skip": 1, "every": 2, "times": 2}, [1, 3]),
        ({"for_s": 0}, [0]),
        ({"apart_s": 60}, [0]),
        ({"host": "gql.*"}, []),
    ],
)
def test_which_requests_are_hit(zoo, cache, where, hit):
    """Skip, every, times, time limits and hosts choose which of six requests are hit, and the hits are counted."""
    with faulty(zoo, cache, faults.status(500), **where) as standin, helix_session(standin) as session:
        found = []
        for _ in range(6):
            standin.clock.advance(0.002)
            found.append(session.get(TOP).status_code)
            assert session.get(f"{HELIX}/streams").status_code == 200
        assert [index for index, status in enumerate(found) if status == 500] == hit
        assert standin.fault_counts == ({"fault": len(hit)} if hit else {})


@pytest.mark.parametrize("reset_in_s", [-60, 60, None])
def test_rate_limit_fault_has_the_reset_asked_for(zoo, cache, reset_in_s):
    """A 429 has the reset asked for, and does not count as over the limit."""
    with faulty(zoo, cache, faults.rate_limited(reset_in_s)) as standin, helix_session(standin) as session:
        answer = session.get(TOP)
        assert (answer.status_code, answer.json()["status"]) == (429, 429)
        told = answer.headers.get("Ratelimit-Reset")
        assert told is None if reset_in_s is None else abs(float(told) - time.time() - reset_in_s) < 3
        assert standin.over_budget == 0


def test_faulty_bodies_come_with_status_200(zoo, cache):
    """An HTML page, truncated JSON and an empty body have status 200."""
    for kind, body in ((faults.html(), b"<!doctype"), (faults.truncated(), b'{"data"'), (faults.truncated(0), b"")):
        with faulty(zoo, cache, kind) as standin, helix_session(standin) as session:
            answer = session.get(TOP)
            assert answer.status_code == 200
            assert answer.content.startswith(body)
            with pytest.raises(json.JSONDecodeError):
                json.loads(answer.content)


def test_cut_off_response_sends_half_of_the_body(zoo, cache):
    """Content-Length announces the whole body, half of it is sent, and the record counts the sent bytes."""
    with faulty(zoo, cache, faults.cut_off()) as standin, helix_session(standin) as session:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            session.get(TOP)
        answer = session.get(TOP, stream=True)
        assert int(answer.headers["Content-Length"]) // 2 == standin.requests[-1].bytes > 0


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (faults.reset(), requests.exceptions.ConnectionError),
        (faults.silence(), requests.exceptions.ReadTimeout),
    ],
    ids=["reset", "silence"],
)
def test_reset_and_silence_raise_and_the_standin_stops_at_once(zoo, cache, kind, error):
    """The client sees a reset or a timeout, and the stand-in still stops at once."""
    with faulty(zoo, cache, kind) as standin:
        with helix_session(standin) as session, pytest.raises(error):
            session.get(TOP, timeout=0.3)
        start = time.monotonic()
    assert time.monotonic() - start < 10


def test_trickle_pauses_after_each_byte(zoo, cache):
    """Each byte takes its pause, from the status line on."""
    with faulty(zoo, cache, faults.trickle(0.004)) as standin, helix_session(standin) as session:
        start = time.monotonic()
        answer = session.get(TOP, stream=True)
        assert time.monotonic() - start > 0.004 * len("HTTP/1.1 200 OK")
        assert answer.raw.read(3) == b'{"d'


def test_faulty_paging_loses_no_item(zoo, cache):
    """Short pages, an empty page with a cursor, a cursor to the start, rejected cursors: no item is lost."""
    found = {}
    for paging in ("short", "empty", "loop", "invalid"):
        with Standin(zoo, cache=cache, paging=paging) as standin, helix_session(standin) as session:
            sizes, cursor = [], ""
            for _ in range(len(zoo.channels) // 2 + 2):
                answer = session.get(f"{HELIX}/streams", params={"first": 100, "after": cursor})
                sizes.append(len(answer.json().get("data", "no")))
                cursor = answer.json().get("pagination", {}).get("cursor", "")
                if not cursor:
                    break
            found[paging] = sizes, answer.status_code
    whole = len(zoo.channels) + (len(zoo.channels) - 2) // 2  # each page but the first repeats one
    assert sum(found["short"][0]) == whole
    assert set(found["short"][0]) <= {1, 2, 3}
    assert found["empty"][0][:3] == [3, 0, 3]
    assert sum(found["empty"][0]) == whole
    assert sum(found["loop"][0]) > whole
    assert found["invalid"] == ([3, 2], 400)


def test_an_unknown_paging_is_refused(zoo, cache):
    """An unknown name raises ValueError."""
    with pytest.raises(ValueError, match="lazy"):
        Standin(zoo, cache=cache, paging="lazy")


def statuses(zoo, cache, random_faults) -> list[int]:
    """Return the statuses of sixty requests with these faults by chance; 0 for no response."""
    found = []
    with Standin(zoo, cache=cache) as faultless, helix_session(faultless) as session:
        headers = session.headers
    with Standin(zoo, cache=cache, random_faults=random_faults) as standin, new_session(5, standin.url) as session:
        session.headers.update(headers)
        for _ in range(60):
            try:
                found.append(session.get(TOP).status_code)
            except requests.RequestException:
                found.append(0)
        met = standin.fault_counts
    assert met.total() == len([status for status in found if status not in (200, 401)]) + met["fine"]
    return found


QUICK = (
    Fault("500", faults.status(500)),
    Fault("reset", faults.reset()),
    Fault("fine", lambda response: response),
    Fault("elsewhere", faults.status(418), "id.twitch.tv"),
)


def test_random_faults_are_reproducible_by_seed(zoo, cache):
    """About the fraction is hit; the same seed gives the same faults, another one others; hosts are kept apart."""
    one, same, other = (statuses(zoo, cache, RandomFaults(0.5, seed, QUICK)) for seed in (1, 1, 2))
    assert one == same != other
    assert set(one) == {401, 500, 0}
    assert 8 <= len([status for status in one if status != 401]) <= 32
    assert set(statuses(zoo, cache, RandomFaults(0.0, 1, QUICK))) == {401}


def test_usual_faults_spare_a_new_token(zoo, cache):
    """A 401 is followed by good responses: two in a row would mean invalid credentials."""
    only = tuple(fault for fault in faults.USUAL if fault.name == "401")
    with (
        Standin(zoo, cache=cache, random_faults=RandomFaults(1.0, 0, only)) as standin,
        helix_session(standin) as session,
    ):
        assert [session.get(TOP).status_code for _ in range(20)] == [401] + [200] * 19


def test_helix_requests_are_counted_by_the_minute(zoo, cache):
    """Requests to Helix are counted by the minute; those over the limit are counted apart from faults."""
    with Standin(zoo, cache=cache) as standin, helix_session(standin) as session:
        answers = [session.get(TOP).status_code for _ in range(1600)]
        assert standin.over_budget == answers.count(429) > 0
        assert standin.helix_minutes.total() == 1600


def test_old_request_records_are_dropped(zoo, cache):
    """Only the newest requests are kept, so that a run of a day does not fill the memory."""
    with Standin(zoo, cache=cache) as standin, helix_session(standin) as session:
        session.get(TOP)
        standin.requests *= 100_000
        session.get(f"{HELIX}/users")
        assert len(standin.requests) == 100_001
        assert standin.requests[-1].path == "/helix/users"


def test_program_prints_counts_of_faults_at_the_end(tmp_path):
    """stderr gets the number of each fault and the use of Helix's rate limit."""
    command = [sys.executable, "-m", "tests.standin", "--cache", str(tmp_path), "--faults", "1", "--seed", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        env = dict(re.match(r"export (\w+)=(\S+)", process.stdout.readline()).groups() for _ in range(4))
        with new_session(9, loopback_url(env["TWITCH_STANDIN"])) as session:
            for _ in range(5):
                with contextlib.suppress(requests.RequestException):
                    session.get(TOP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        lines = process.stderr.read().splitlines()
    counts = [int(match[1]) for line in lines if (match := re.fullmatch(r"fault: (\d+) .+", line))]
    assert sum(counts) == 5
    assert lines[-1] == "helix: 5 requests, 5 in a minute at most, 0 over the budget"
