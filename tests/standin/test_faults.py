"""The stand-in in trouble: faults that are planned, weather, and Helix's pages as they should not be."""

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

from data.http import session as web
from tests.standin import Standin, faults
from tests.standin.clients import HELIX, helix_session
from tests.standin.faults import Fault, Weather
from tests.standin.test_server import ROOT

TOP = f"{HELIX}/games/top"


def harmed(zoo, cache, does, **where) -> Standin:
    """A stand-in whose answers about top games are harmed so."""
    return Standin(zoo, cache=cache, faults=[Fault("harm", does, path="/helix/games/top", **where)])


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
    """The first, the n-th, every n-th, those of a host, of a time: of six requests these, and they are counted."""
    with harmed(zoo, cache, faults.status(500), **where) as standin, helix_session(standin) as session:
        found = []
        for _ in range(6):
            time.sleep(0.002)
            found.append(session.get(TOP).status_code)
            assert session.get(f"{HELIX}/streams").status_code == 200
        assert [index for index, status in enumerate(found) if status == 500] == hit
        assert standin.faults_met == ({"harm": len(hit)} if hit else {})


@pytest.mark.parametrize("reset_in_s", [-60, 60, None])
def test_a_limit_that_is_made_up(zoo, cache, reset_in_s):
    """429 with the reset where it was asked for; it does not count as the budget's own."""
    with harmed(zoo, cache, faults.limited(reset_in_s)) as standin, helix_session(standin) as session:
        answer = session.get(TOP)
        assert (answer.status_code, answer.json()["status"]) == (429, 429)
        told = answer.headers.get("Ratelimit-Reset")
        assert told is None if reset_in_s is None else abs(float(told) - time.time() - reset_in_s) < 3
        assert standin.over_budget == 0


def test_answers_of_another_kind(zoo, cache):
    """A page instead of JSON, JSON that stops in the middle and nothing say 200 as if all were well."""
    for does, body in ((faults.html(), b"<!doctype"), (faults.shortened(), b'{"data"'), (faults.shortened(0), b"")):
        with harmed(zoo, cache, does) as standin, helix_session(standin) as session:
            answer = session.get(TOP)
            assert answer.status_code == 200
            assert answer.content.startswith(body)
            with pytest.raises(json.JSONDecodeError):
                json.loads(answer.content)


def test_an_answer_that_breaks_off(zoo, cache):
    """Half of the body comes, the whole is promised; what was sent is noted."""
    with harmed(zoo, cache, faults.cut_off()) as standin, helix_session(standin) as session:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            session.get(TOP)
        answer = session.get(TOP, stream=True)
        assert int(answer.headers["Content-Length"]) // 2 == standin.requests[-1].bytes > 0


@pytest.mark.parametrize(
    ("does", "error"),
    [
        (faults.reset(), requests.exceptions.ConnectionError),
        (faults.silence(), requests.exceptions.ReadTimeout),
    ],
    ids=["reset", "silence"],
)
def test_no_answer_at_all(zoo, cache, does, error):
    """A reset connection and a silent one are what they say; the stand-in stops at once all the same."""
    with harmed(zoo, cache, does) as standin:
        with helix_session(standin) as session, pytest.raises(error):
            session.get(TOP, timeout=0.3)
        start = time.monotonic()
    assert time.monotonic() - start < 1


def test_a_byte_at_a_time(zoo, cache):
    """A trickle takes its time for every byte, from the status line on."""
    with harmed(zoo, cache, faults.trickle(0.01)) as standin, helix_session(standin) as session:
        start = time.monotonic()
        answer = session.get(TOP, stream=True)
        assert time.monotonic() - start > 0.01 * len("HTTP/1.1 200 OK")
        assert answer.raw.read(3) == b'{"d'


def test_pages(zoo, cache):
    """Short pages, an empty one with a cursor, a cursor to the start, cursors that are refused; no item is lost."""
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
    """A slip in the name is no stand-in that behaves."""
    with pytest.raises(ValueError, match="lazy"):
        Standin(zoo, cache=cache, paging="lazy")


def statuses(zoo, cache, weather) -> list[int]:
    """What sixty requests are answered in this weather; 0 for no answer."""
    found = []
    with Standin(zoo, cache=cache) as calm, helix_session(calm) as session:
        headers = session.headers
    with Standin(zoo, cache=cache, weather=weather) as standin, web.new_session(5, standin.url) as session:
        session.headers.update(headers)
        for _ in range(60):
            try:
                found.append(session.get(TOP).status_code)
            except requests.RequestException:
                found.append(0)
        met = standin.faults_met
    assert met.total() == len([status for status in found if status not in (200, 401)]) + met["fine"]
    return found


QUICK = (
    Fault("500", faults.status(500)),
    Fault("reset", faults.reset()),
    Fault("fine", lambda response: response),
    Fault("elsewhere", faults.status(418), "id.twitch.tv"),
)


def test_weather_comes_by_chance_and_by_seed(zoo, cache):
    """The share is kept, roughly; the same seed is the same weather, another is another; faults keep to their hosts."""
    one, same, other = (statuses(zoo, cache, Weather(0.5, seed, QUICK)) for seed in (1, 1, 2))
    assert one == same != other
    assert set(one) == {401, 500, 0}
    assert 8 <= len([status for status in one if status != 401]) <= 32
    assert set(statuses(zoo, cache, Weather(0.0, 1, QUICK))) == {401}


def test_usual_weather_spares_a_new_token(zoo, cache):
    """Of the usual faults a 401 comes once in a while only: two at a stretch would say that the credentials are bad."""
    only = tuple(fault for fault in faults.USUAL if fault.name == "401")
    with Standin(zoo, cache=cache, weather=Weather(1.0, 0, only)) as standin, helix_session(standin) as session:
        assert [session.get(TOP).status_code for _ in range(20)] == [401] + [200] * 19


def test_the_budget_is_watched(zoo, cache):
    """Requests to Helix are counted by the minute, and those beyond the points, which no fault can pass for."""
    with Standin(zoo, cache=cache) as standin, helix_session(standin) as session:
        answers = [session.get(TOP).status_code for _ in range(1600)]
        assert standin.over_budget == answers.count(429) > 0
        assert standin.helix_minutes.total() == 1600


def test_old_notes_are_dropped(zoo, cache):
    """A run of a day fills no memory: of the requests the newest stay."""
    with Standin(zoo, cache=cache) as standin, helix_session(standin) as session:
        session.get(TOP)
        standin.requests *= 100_000
        session.get(f"{HELIX}/users")
        assert len(standin.requests) == 100_001
        assert standin.requests[-1].path == "/helix/users"


def test_the_program_in_bad_weather(tmp_path):
    """It tells on stderr what it did to its viewers, and how Helix's budget fared."""
    command = [sys.executable, "-m", "tests.standin", "--cache", str(tmp_path), "--faults", "1", "--seed", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        env = dict(re.match(r"export (\w+)=(\S+)", process.stdout.readline()).groups() for _ in range(4))
        with web.new_session(9, web.loopback_url(env["TWITCH_STANDIN"])) as session:
            for _ in range(5):
                with contextlib.suppress(requests.RequestException):
                    session.get(TOP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        told = process.stderr.read().splitlines()
    counts = [int(match[1]) for line in told if (match := re.fullmatch(r"fault: (\d+) .+", line))]
    assert sum(counts) == 5
    assert told[-1] == "helix: 5 requests, 5 in a minute at most, 0 over the budget"
