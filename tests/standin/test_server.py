"""The stand-in's server, its world, and the program around them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from data.http.loopback import loopback_url
from data.http.session import new_session
from tests.standin import CLIPS, Standin, World
from tests.standin.clients import HELIX, channel_streams, helix_session, streamlink_session
from tests.standin.world import USUAL

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_request_is_recorded(standin):
    """Method, host, path, query, status, size and time of each, in order."""
    before = time.time()
    with helix_session(standin) as session:
        body = session.get(f"{HELIX}/games/top", params={"first": 1}).content
    asked, got = standin.requests
    assert (asked.method, asked.host, asked.path, asked.status) == ("POST", "id.twitch.tv", "/oauth2/token", 200)
    assert (got.method, got.host, got.path, got.query) == ("GET", "api.twitch.tv", "/helix/games/top", {"first": ["1"]})
    assert (got.status, got.bytes) == (200, len(body))
    assert before <= asked.time <= got.time <= time.time()


@pytest.mark.parametrize(
    "url",
    [
        f"{HELIX}/clips",
        "https://www.twitch.tv/live",
        "https://usher.ttvnw.net/vod/v2/1.m3u8",
        "https://id.twitch.tv/oauth2/validate",
    ],
)
def test_what_it_does_not_know_is_answered_loudly(zoo, cache, url):
    """An unknown path, host or method is a 501, and stands in `unknown`."""
    with Standin(zoo, cache=cache) as standin, new_session(5, standin.url) as session:
        assert session.get(url).status_code == 501
        assert [(r.host, r.status) for r in standin.unknown] == [(url.split("/")[2], 501)]


@pytest.mark.parametrize("query", [{"operationName": "Unheard", "variables": {}}, [], "not JSON", {"query": "{}"}])
def test_an_unknown_query_is_an_unknown_request(zoo, cache, query):
    """GQL has one path: it is the operation that is known or not."""
    with Standin(zoo, cache=cache) as standin, new_session(5, standin.url) as session:
        data = query if isinstance(query, str) else json.dumps(query)
        assert session.post("https://gql.twitch.tv/gql", data=data).status_code == 501
        assert len(standin.unknown) == 1


def test_used_port_is_one_line():
    """The program names the port and the option for another one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "tests.standin", "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"port {port}: Address already in use; choose another one with --port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_request_that_breaks_off_is_no_request(zoo, cache):
    """A client that is killed while it sends a body leaves neither a record nor an unknown request."""
    with Standin(zoo, cache=cache) as standin:
        address = urlsplit(standin.url)
        with socket.create_connection((address.hostname, address.port)) as client:
            client.sendall(b"POST /gql HTTP/1.1\r\nHost: gql.twitch.tv\r\nContent-Length: 500\r\n\r\n{")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""
        assert standin.requests == standin.unknown == []


def test_an_unknown_request_fails_the_test_that_made_it(tmp_path):
    """The fixture looks at `unknown` when a test is over: such a test passes, and errs in the end."""
    (tmp_path / "test_careless.py").write_text(
        "import requests\n"
        "pytest_plugins = ['tests.conftest']\n"
        "def test_careless(standin):\n"
        "    requests.get(standin.url + '/who/knows')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    # PYTEST_ADDOPTS may ask for a plugin that is not on this path.
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "1 passed, 1 error" in done.stdout, done.stderr
    assert "/who/knows" in done.stdout


def test_failures_on_demand(standin):
    """`fail` gives a host's next answers a status; then all is as before."""
    with helix_session(standin) as session:
        standin.fail("api.twitch.tv", 503, times=2)
        assert [session.get(f"{HELIX}/games/top").status_code for _ in range(3)] == [503, 503, 200]
    assert [r.status for r in standin.requests] == [200, 503, 503, 200]


def test_a_hidden_channel_does_not_exist(world, cache):
    """Without its kept-out channels the world knows nothing of them: Helix, users, tokens, playlists."""
    hidden = next(iter(world.held_out))
    with Standin(world.without(world.held_out), cache=cache) as standin, helix_session(standin) as session:
        for path, query in [("streams", {"user_login": hidden}), ("users", {"login": hidden})]:
            assert session.get(f"{HELIX}/{path}", params=query).json()["data"] == []
        with streamlink_session(standin) as streamlink:
            assert channel_streams(streamlink, hidden) == {}
    assert {c.login for c in world.only(world.held_out).channels} == world.held_out


def test_the_worlds_rules(world):
    """Each usual behaviour occurs; one live channel a game is kept out, and its clip is no other channel's."""
    assert {channel.behaviour for channel in world.channels} == USUAL
    held_out = world.only(world.held_out).channels
    games = {channel.game_id for channel in world.channels if channel.igdb_id}
    assert {channel.game_id for channel in held_out} == games
    assert len(held_out) == len(games) >= 10
    assert {channel.behaviour for channel in held_out} == {"live"}
    files = [channel.file for channel in world.channels]
    assert {files.count(channel.file) for channel in held_out} == {1}
    assert all(re.fullmatch(r"[a-z0-9_]{4,25}", channel.login) for channel in world.channels)
    assert len({channel.user_id for channel in world.channels}) == len(world.channels)


def test_each_game_has_channels_to_learn_from(world):
    """Two channels a game or more give frames and are not kept out, each with a clip of its own."""
    learned = [channel for channel in world.without(world.held_out).channels if channel.has_frames]
    for game_id in {channel.game_id for channel in world.channels if channel.igdb_id}:
        assert len({channel.file for channel in learned if channel.game_id == game_id}) >= 2


def test_clips_are_small_and_each_has_a_source():
    """The clips fit in 25 MB, all of them are used, and SOURCES.md says of each where it is from."""
    clips = sorted(CLIPS.glob("*.mp4"))
    assert sum(clip.stat().st_size for clip in clips) < 25e6
    assert {channel.file for channel in World.load(CLIPS).channels} == set(clips)
    sources = (CLIPS / "SOURCES.md").read_text(encoding="utf-8")
    assert [clip.name for clip in clips if f"`{clip.name}`" not in sources] == []


@pytest.mark.parametrize(("column", "value"), [("behaviour", "lazy"), ("file", "missing.mp4"), ("login", "again")])
def test_a_wrong_line_is_named(tmp_path, column, value):
    """A slip in clips.tsv is a ValueError that names the channel, not a surprise later."""
    (tmp_path / "a.mp4").touch()
    row = {"game_id": "1", "game": "G", "igdb_id": "2", "login": "one", "user_name": "", "language": "en"}
    row |= {"viewers": "3", "title": "T", "file": "a.mp4", "behaviour": "live"}
    rows = [{**row, "login": "again"}, {**row, column: value}]
    lines = ["\t".join(row), *("\t".join(r.values()) for r in rows)]
    (tmp_path / "clips.tsv").write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=value if column == "login" else "one"):
        World.load(tmp_path)


def test_the_program(tmp_path):
    """It prints the lines to export, serves with them, and ends cleanly on SIGTERM."""
    command = [sys.executable, "-m", "tests.standin", "--cache", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(4)]
        env = dict(re.match(r"export (\w+)=(\S+)", line).groups() for line in lines)
        with new_session(5, loopback_url(env["TWITCH_STANDIN"])) as session:
            form = {"client_id": env["CLIENT_ID"], "client_secret": env["CLIENT_SECRET"]}
            form["grant_type"] = "client_credentials"
            assert session.post("https://id.twitch.tv/oauth2/token", data=form).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr
        assert process.stderr.read() == ""


CALL = """
import config, data.factories
from data.http.loopback import loopback_url
from data.http.session import new_session
settings = config.load()
with new_session(5, settings.twitch_standin) as session:
    print(*(game.name for game in data.factories.make_helix(settings, session).top_games(config.NON_GAMES)), sep="\\n")
"""


def test_its_lines_make_a_shell_talk_to_it(world, tmp_path):
    """The lines, given to a shell as they are, are settings with which the toolkit gets the games from here."""
    command = [sys.executable, "-m", "tests.standin", "--cache", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        exports = "".join(process.stdout.readline() for _ in range(4))
        shell = ["sh", "-c", f'{exports}\nexec "{sys.executable}" -c "$1"', "sh", CALL]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}  # no settings but those of the lines
        done = subprocess.run(shell, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        process.send_signal(signal.SIGTERM)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.splitlines()) == {channel.game for channel in world.channels if channel.igdb_id}
    assert process.returncode == 0


def test_what_killed_transcodes_left_is_removed(zoo, tmp_path):
    """A work folder that is hours old goes at the next start; a fresh one may be another process's."""
    old, fresh = tmp_path / ".making-old", tmp_path / ".making-fresh"
    for folder in (old, fresh):
        folder.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    with Standin(zoo, cache=tmp_path):
        assert (old.exists(), fresh.exists()) == (False, True)


def test_channels_that_switch_are_read_from_a_file(world, tmp_path):
    """switches.tsv beside clips.tsv: who, when, to whose game; what comes first comes first. A slip is named."""
    one, other = world.channels[0], world.channel("stk_hacienda")
    columns = [name for name in vars(one) if name != "switches"]
    lines = ["\t".join(columns), *("\t".join(str(getattr(c, name)) for name in columns) for c in (one, other))]
    (tmp_path / "clips.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plan = ["login\tat\tplays", f"{one.login}\t2000\t{one.login}", f"{one.login}\t1000\t{other.login}"]
    (tmp_path / "switches.tsv").write_text("\n".join(plan) + "\n")
    channel = World.load(tmp_path).channel(one.login)
    assert channel
    assert [channel.file_at(at) for at in (999, 1000, 1999, 2000)] == [one.file, other.file, other.file, one.file]
    assert [(s.at, s.game) for s in channel.switches] == [(1000, other.game), (2000, one.game)]
    (tmp_path / "switches.tsv").write_text("login\tat\tplays\nnobody\t1\tnobody\n")
    with pytest.raises(ValueError, match="nobody"):
        World.load(tmp_path)
