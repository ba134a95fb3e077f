"""Connections for a visitor's source reach public addresses only, whatever a name, a redirect or a playlist says."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import requests

from config import Settings
from data.errors import SourceNotFound, StreamUnavailable
from data.factories import make_grabber
from data.http import public_address
from data.http.session import configure_session, new_session
from tests.scripted_server import Reply, ScriptedServer

PUBLIC = ["8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700:4700::1111"]
PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.31.0.1", "192.168.0.1", "169.254.169.254"),
    *("100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fe80::1%eth0", "fec0::1"),
    *("fd00::1", "ff02::1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:db8::1", "", "localhost", "127.1"),
    *("192.0.0.192", "168.63.129.16"),
]


@pytest.mark.parametrize(("address", "expected"), [*((a, True) for a in PUBLIC), *((a, False) for a in PRIVATE)])
def test_address_is_public_only_on_the_internet(address, expected):
    """Also an IPv6 address that holds a private IPv4 address is private."""
    assert public_address.is_public(address) is expected


def _guarded_session():
    return configure_session(requests.Session(), 5, public_only=True)


def _resolve_as(monkeypatch, *answers):
    """Let each lookup give the next of these lists of addresses; the last one stays. Return the names looked up."""
    real, names, left = socket.getaddrinfo, [], list(answers)

    def lookup(host, port, *args, **kwargs):
        if host[:1].isdigit():
            return real(host, port, *args, **kwargs)
        names.append(host)
        answer = left.pop(0) if len(left) > 1 else left[0]
        return [entry for address in answer for entry in real(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return names


@pytest.fixture
def one_private(monkeypatch):
    """Let 127.0.0.2 alone be private, so that the others of this machine stand for the internet."""
    monkeypatch.setattr(public_address, "is_public", lambda address: address != "127.0.0.2")
    with socket.create_server(("127.0.0.2", 0)) as private:
        private.setblocking(False)
        yield private


def _assert_untouched(listener):
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_guarded_session_never_connects_to_this_machine(host):
    """In no spelling of its address; without the guard it does."""
    with ScriptedServer([Reply(body=b"secret")] * 2) as server, _guarded_session() as session:
        with pytest.raises(requests.ConnectionError):
            session.get(f"http://{host}:{server.url.rpartition(':')[2]}/")
        assert not server.requests
        with new_session(5) as plain:
            assert plain.get(server.url).text == "secret"


def test_redirect_to_a_private_address_is_not_followed(one_private):
    """A public server cannot send the toolkit into the own network."""
    moved = Reply(302, headers={"Location": f"http://127.0.0.2:{one_private.getsockname()[1]}/admin"})
    with ScriptedServer([moved]) as server, _guarded_session() as session:
        with pytest.raises(requests.ConnectionError):
            session.get(server.url)
        assert len(server.requests) == 1
    _assert_untouched(one_private)


def test_name_with_one_private_address_is_refused(monkeypatch, one_private):
    """All addresses of a name are checked before the first connection."""
    _resolve_as(monkeypatch, ["127.0.0.1", "127.0.0.2"])
    with ScriptedServer([Reply()]) as server, _guarded_session() as session:
        port = server.url.rpartition(":")[2]
        with pytest.raises(requests.ConnectionError):
            session.get(f"http://rebind.example:{port}/")
        assert not server.requests
    _assert_untouched(one_private)


def test_name_that_changes_its_address_gains_nothing(monkeypatch, one_private):
    """DNS rebinding: the address that was checked is the one that is connected to; each connection checks again."""
    names = _resolve_as(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    closing = Reply(body=b"public", headers={"Connection": "close"})
    with ScriptedServer([closing]) as server, _guarded_session() as session:
        url = f"http://rebind.example:{server.url.rpartition(':')[2]}/"
        assert session.get(url).text == "public"
        assert names == ["rebind.example"]  # looked up once for the check and the connection
        with pytest.raises(requests.ConnectionError):
            session.get(url)
    _assert_untouched(one_private)


def test_second_address_is_tried_where_the_first_does_not_answer(monkeypatch):
    """As without the guard, a name of several addresses is reached at any of them."""
    monkeypatch.setattr(public_address, "is_public", lambda _: True)
    _resolve_as(monkeypatch, ["127.0.0.3", "127.0.0.1"])
    with ScriptedServer([Reply(body=b"here")]) as server, _guarded_session() as session:
        assert session.get(f"http://two.example:{server.url.rpartition(':')[2]}/").text == "here"


def test_peer_is_checked_before_a_byte_is_sent(one_private):
    """Whatever the lookup said, a connection to a private peer ends before the request."""
    with socket.create_connection(one_private.getsockname()) as connected:
        with pytest.raises(public_address.PrivateAddress):
            public_address._checked(connected)
        assert connected.fileno() == -1


def _settings(tmp_path, **values):
    return Settings(_env_file=None, download_path=tmp_path, timeout_s=5, **values)


def test_guarded_grabber_opens_no_file_and_no_private_address(tmp_path):
    """Streamlink's own session is guarded, too."""
    picture = Path(__file__).parent / "no such file.png"
    with ScriptedServer([Reply()]) as server, make_grabber(_settings(tmp_path), public_only=True) as grabber:
        with pytest.raises(SourceNotFound):
            list(grabber.frames(str(picture), 1))
        with pytest.raises(SourceNotFound):
            list(grabber.frames(str(Path(__file__).parent), 1))
        with pytest.raises(StreamUnavailable):
            list(grabber.frames(f"{server.url}/live.m3u8", 1))
        assert not server.requests


def test_guarded_grabber_reaches_the_standin(tmp_path, standin, world):
    """TWITCH_STANDIN names an address of this machine, which the user chose."""
    settings = _settings(tmp_path, twitch_standin=standin.url)
    with make_grabber(settings, public_only=True) as grabber:
        assert list(grabber.frames(world.channels[0].login, 1))
