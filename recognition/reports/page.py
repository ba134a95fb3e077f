"""HTML page of a report: self-contained, without scripts, with pictures as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from data.entities import is_login
from data.text import plural
from recognition.reports import text
from recognition.reports.audit_report import SHARED, AuditReport
from recognition.reports.outcomes import AuditedStream, Outcome
from recognition.reports.trend import chart_points

MAX_PICTURES = 60
_MAX_ROWS = 500  # of a table: more make a page slow; the other files contain all
_FIRST_ROWS = 25  # categories that are open; the others unfold
_JPEG = b"\xff\xd8\xff"
_CHART = (440, 130)  # width and height of the chart's area, pixels
_MEANINGS = {
    Outcome.MATCH: "The picture shows the game of the category.",
    Outcome.OTHER_GAME: "The picture shows another game that the model knows. Only this is a mismatch.",
    Outcome.NO_GAME: "A menu, an intermission, somebody who talks, a desktop.",
    Outcome.UNKNOWN: "The model cannot tell: a game that it does not know, or an answer that is not reliable.",
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A stream in another game, as the page shows it.

    name: what stands for its login. url: of its channel; "" where the login is not published. picture: data URI; ""
    without a picture.
    """

    stream: AuditedStream
    name: str
    url: str
    picture: str


def render_page(report: AuditReport, name: Callable[[str], str]) -> str:
    """Return the page. name: what stands for a login in it."""
    points, top = chart_points([past for past in report.history if past.judged], *_CHART)
    return _template().render(
        report=report,
        about=report.about,
        text=text,
        outcomes=[(outcome, outcome.value.replace(" ", "-"), _MEANINGS[outcome]) for outcome in SHARED],
        other=Outcome.OTHER_GAME,
        mismatches=list(_mismatches(report.mismatches, name)),
        twice=all(stream.looks > 1 for stream in report.mismatches),
        first_rows=_FIRST_ROWS,
        max_rows=_MAX_ROWS,
        reasons=_reasons(report),
        points=points,
        models=len({point.observation.model for point in points}),
        chart=(*_CHART, top),
    )


@cache
def _template() -> Template:
    """Return the compiled page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt name raises instead of printing nothing
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda fraction: _unbroken(text.percent(fraction)),
        "limits": lambda share: _unbroken(text.limits(share)),
        "moment": text.moment,
        "name": text.name_of,
        "duration": text.duration,
        "size": text.size,
        "plural": plural,
        "unbroken": _unbroken,
    }
    return environment.get_template("audit.html")


def _unbroken(sentence: str) -> str:
    """Return the sentence with no-break spaces before its per cent signs."""
    return sentence.replace(" %", "\u00a0%")


def _mismatches(streams: Iterable[AuditedStream], name: Callable[[str], str]) -> Iterable[Mismatch]:
    """Yield the mismatches, the first 60 with a picture have it."""
    left = MAX_PICTURES
    for stream in streams:
        picture = ""
        if left and stream.jpeg.startswith(_JPEG):
            left -= 1
            picture = "data:image/jpeg;base64," + base64.b64encode(stream.jpeg).decode()
        shown = name(stream.login)
        is_published = shown == stream.login and is_login(shown)
        yield Mismatch(stream, shown, f"https://www.twitch.tv/{shown}" if is_published else "", picture)


def _reasons(report: AuditReport) -> list[tuple[str, int, int, list[tuple[str, str, int, int]]]]:
    """Return reason, streams, viewers and categories of what is not judged; the reason with the most streams first."""
    groups = []
    for reason, group in groupby(sorted(report.not_judged, key=lambda row: row[1]), key=lambda row: row[1]):
        rows = sorted(group, key=lambda row: -row[2])
        groups.append((reason, sum(row[2] for row in rows), sum(row[3] for row in rows), rows))
    return sorted(groups, key=lambda group: -group[1])
