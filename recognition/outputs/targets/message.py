"""Message form: the title, facts and link of an alert, in texts that a chat shows but never obeys.

Names of games and sources come from the network. Each becomes one short line of printable characters, in which a
zero-width space breaks what chats turn into mentions, links, tags and commands, also without markup.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from pathlib import Path

from data.entities import Game
from data.text import printable_line, redacted, valid_unicode
from recognition.outputs.targets.base import CHANGE, END, FAILURE, MATCH, MISMATCH, START, UNKNOWN, Alert
from recognition.sources import twitch_login

_MAX_LENGTH = 100  # characters of one foreign text: a Discord title may have 256
# @name, #tag, $TAG, <@id>, ://, evil.com and /command. Names such as S.T.A.L.K.E.R. stay.
_ACTIVE = re.compile(r"[@#$](?=[\w&!])|<(?=[@!#])|:(?=//)|(?<=\w)\.(?=\w\w)|(?<!\S)/(?=\w)")
_BREAK = "\u200b"
_DIFFERS = " (differs from the picture)"
_DISCORD_MARKUP = re.compile(r"([\\*_~`|>\[\]()#<:@-])")
_TITLES = {
    START: "{source} shows {game}",
    CHANGE: "{source} now shows {game}",
    UNKNOWN: "{source} shows no known game any more",
    MISMATCH: "{source} shows {game}, not {category}",
    MATCH: "{source} shows {game}, as its category says",
    END: "{source}: the stream has ended",
    FAILURE: "{source} gives no answer",
}


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """An alert in words. No text has markup; all are safe to send as plain text.

    facts: pairs of a label and its text, such as ("Confidence", "97 %").
    link: address of the channel; empty if the source is no channel of Twitch.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    link: str

    def as_text(self) -> str:
        """Return facts and link as lines of plain text."""
        return "\n".join([*(f"{label}: {text}" for label, text in self.facts), *([self.link] if self.link else [])])

    def as_html(self) -> str:
        """Return title, facts and link as HTML with the tags b, a and br."""
        lines = [f"<b>{escape(self.title)}</b>", *(f"{label}: {escape(text)}" for label, text in self.facts)]
        lines += [f'<a href="{escape(self.link)}">Watch</a>'] if self.link else []
        return "<br>".join(lines)


def compose(alert: Alert) -> AlertMessage:
    """Return the alert in words."""
    login = twitch_login(alert.source)
    names = {"source": inert(login or _source_name(alert.source))}
    names |= {"game": _name(alert.game) or "no known game", "category": _name(alert.category)}
    return AlertMessage(
        title=_TITLES[alert.kind].format(**names),
        facts=tuple((label, text) for label, text in _facts(alert).items() if text),
        link=f"https://www.twitch.tv/{login}" if login else "",
    )


def _facts(alert: Alert) -> dict[str, str]:
    is_over = alert.kind in (END, FAILURE)
    return {
        "Before": _name(alert.before) if alert.kind in (CHANGE, UNKNOWN) else "",
        "Last game": _name(alert.before or alert.game) if alert.kind == END else "",
        "Category": "" if is_over else _name(alert.category) + (_DIFFERS if alert.mismatch else ""),
        "Confidence": f"{100 * min(max(alert.confidence, 0.0), 1.0):.0f} %" if alert.known and not is_over else "",
        "Reason": inert(alert.message),
        "Time": f"{alert.at.astimezone():%Y-%m-%d %H:%M:%S}",
    }


def inert(text: str) -> str:
    """Return a foreign text as one short line without anything that a chat turns into a mention or a link."""
    line = printable_line(valid_unicode(redacted(text[: 10 * _MAX_LENGTH])))
    return _ACTIVE.sub(rf"\g<0>{_BREAK}", line if len(line) <= _MAX_LENGTH else f"{line[: _MAX_LENGTH - 1]}…")


def discord_text(text: str, limit: int = 1024) -> str:
    """Return a text of at most `limit` characters, with a backslash before each that Discord's Markdown would obey."""
    escaped = _DISCORD_MARKUP.sub(r"\\\1", text)
    return escaped if len(escaped) <= limit else escaped[: limit - 1].rstrip("\\") + "…"


def _source_name(source: str) -> str:
    """Return what is readable of an address or a path: its host and last part; a query may hold a token."""
    address = source.partition("?")[0]
    host, _, path = address.partition("://")[2].partition("/")
    return f"{host.rpartition('@')[2]} {Path(path).name}" if host else Path(address).name


def _name(game: Game | None) -> str:
    return inert(game.name) if game else ""
