"""Sources of visitors: which addresses a visitor may ask for. The machine's files and its network are never among them.

A name is checked here, and the address that it leads to when a connection is made (data.http.public_address).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from data.errors import SettingsError
from data.settings.lists import read_entries
from data.twitch.addresses import canonical, is_twitch, twitch_url

_MAX_CHARACTERS = 2000
# Visible ASCII without what makes readers of URLs disagree about the host. A space would begin Streamlink's parameters.
_URL = re.compile(r"https?://[a-z0-9.:-]+(?:[/?][!-~]*)?", re.IGNORECASE)
_NOT_IN_URL = re.compile(r"[\\@#\"<>^`{|}]")
# A last label of digits is an IP address in one of its spellings: 127.1, 2130706433, 0x7f000001, 017700000001.
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_LOCAL = ("localhost", "local", "internal", "lan", "home", "arpa", "test", "invalid", "onion")  # never on the internet


class AllowedSources:
    """Checks what a visitor asks for. `hosts`: names of sites beside Twitch; `.site.com`: also all names below it."""

    def __init__(self, hosts: Iterable[str]) -> None:
        """Raises SettingsError: an entry of DASHBOARD_SOURCES is no host name."""
        entries = [entry.lower().removeprefix("*") for entry in read_entries(hosts, "DASHBOARD_SOURCES")]
        for entry in entries:
            if not _is_public_name(entry.removeprefix(".")):
                raise SettingsError(f"DASHBOARD_SOURCES: {entry!r} is no public host name; write one such as kick.com")
        self._hosts = frozenset(entry for entry in entries if not entry.startswith("."))
        self._domains = tuple(entry for entry in entries if entry.startswith("."))

    def check(self, source: str) -> str:
        """Return the source in its canonical form. Raises SettingsError: a sentence for visitors, who set nothing."""
        text = source.strip() if len(source) <= _MAX_CHARACTERS else ""
        if text.isascii() and text.isprintable():
            name = canonical(text)
            if twitch_url(name):
                return name
            if not is_twitch(name) and self._is_listed(name):
                return name
        raise SettingsError(self._allowed())

    def _is_listed(self, url: str) -> bool:
        if not _URL.fullmatch(url) or _NOT_IN_URL.search(url):
            return False
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:  # a port that is no number
            return False
        if port not in (None, 80, 443) or not _is_public_name(host):
            return False
        return host in self._hosts or host.endswith(self._domains)

    def _allowed(self) -> str:
        sites = ", ".join(sorted(self._hosts | {f"*{domain}" for domain in self._domains}))
        text = "Only a Twitch login, or the address of a channel, a recording or a clip on twitch.tv, can be asked for"
        return f"{text}, and http(s) addresses on {sites}" if sites else f"{text}; DASHBOARD_SOURCES allows more sites"


def _is_public_name(host: str) -> bool:
    return len(host) <= 253 and bool(_HOST.fullmatch(host)) and host.rpartition(".")[2] not in _LOCAL
