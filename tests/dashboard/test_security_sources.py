"""Addresses that a visitor may ask for: Twitch and listed sites, never this machine or its network."""

from __future__ import annotations

import pytest

from dashboard.security.sources import AllowedSources
from data.errors import SettingsError

ALLOWED = AllowedSources(["kick.com", "*.example.org", "deep.example.net"])


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("some_login", "some_login"),
        (" @Some_Login ", "some_login"),
        ("https://www.twitch.tv/Some_Login?x=1", "some_login"),
        ("twitch.tv/videos/12", "https://www.twitch.tv/videos/12"),
        ("clips.twitch.tv/Slug", "https://clips.twitch.tv/Slug"),
        ("HTTPS://Kick.com/someone", "https://kick.com/someone"),
        ("http://kick.com:80/", "http://kick.com:80/"),
        ("https://a.b.example.org/live.m3u8?x=%20y", "https://a.b.example.org/live.m3u8?x=%20y"),
        ("https://deep.example.net", "https://deep.example.net"),
    ],
)
def test_source_of_an_allowed_site_is_returned_in_its_canonical_form(source, name):
    """Twitch and the listed sites may be asked for."""
    assert ALLOWED.check(source) == name


FILES = ["/etc/passwd", "./a.mp4", "-", "file:///etc/passwd", "FILE:/etc/passwd", "a.mp4", "..", "C:\\x.mp4", "~/a.mp4"]
STREAMLINK = [
    "hls://file:///etc/passwd",
    "hls://https://kick.com/x",
    "httpstream://https://kick.com/x",
    "https://https://kick.com/x",
    "dash://kick.com/x",
    "https://kick.com/x http-proxy=http://10.0.0.1",
    "https://kick.com/x\nhls-playlist=1",
    "rtmp://kick.com/x",
    "kick.com/x",
]
OTHER_HOSTS = [
    "https://evil.com/",
    "https://kick.com.evil.com/",
    "https://evilkick.com/",
    "https://sub.kick.com/",
    "https://example.org/",  # *.example.org: only the names below it
    "https://kick.com@evil.com/",
    "https://evil.com#@kick.com/",
    "https://evil.com\\@kick.com/",
    "https://user:password@kick.com/",
    "https://kick.com:8080/",
    "https://kick.com:99999/",
    "https://kick.com:a/",
    "https:///kick.com/",
    "https:kick.com",
    "https://kick.com%2eevil.com/",
    "https://evil.com?https://kick.com",
    "https://evil.com/twitch.tv/login",
    "https://twitch.tv.evil.com/login",
]
ADDRESSES = [
    f"http://{host}/"
    for host in (
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "0", "0.0.0.0"),
        *("10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[fe80::1]", "[fe80::1%25eth0]", "[fd00::1]", "[ff02::1]"),
        *("localhost", "LOCALHOST.", "a.localhost", "printer.local", "metadata.google.internal", "8.8.8.8"),
    )
]
SPELLINGS = [
    "https://ⓚick.com/",
    "https://kıck.com/",
    "https://kick。com/",
    "https://xn--kick-.com/",
    "https://кick.com/",
    "https://ki\u00adck.com/",
    "https://kick.com\u202e/",
    "https://kick.com./",
    "https://kick..com/",
    "https://-kick.com/",
    "\uff48ttps://kick.com/",
    "some\0login",
    "х" * 5,
    "",
    " ",
    "a" * 26,
    "https://kick.com/" + "a" * 3000,
    "<script>alert(1)</script>",
]


@pytest.mark.parametrize("source", [*FILES, *STREAMLINK, *OTHER_HOSTS, *ADDRESSES, *SPELLINGS], ids=ascii)
def test_any_other_source_is_refused_with_what_is_allowed(source):
    """Files, Streamlink's prefixes and parameters, other hosts, IP addresses and their spellings, look-alikes."""
    with pytest.raises(SettingsError, match=r"^Only a Twitch login.*kick\.com"):
        ALLOWED.check(source)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "nas.local", "router", "*", "https://kick.com", "a b.com", "[::1]"]
)
def test_list_with_what_is_no_public_name_is_refused(host):
    """DASHBOARD_SOURCES cannot open the own network."""
    with pytest.raises(SettingsError, match=r"^DASHBOARD_SOURCES: "):
        AllowedSources([host])


def test_empty_list_allows_twitch_only_and_says_how_to_add():
    """The message names the setting."""
    with pytest.raises(SettingsError, match="DASHBOARD_SOURCES allows more sites"):
        AllowedSources([]).check("https://kick.com/x")
