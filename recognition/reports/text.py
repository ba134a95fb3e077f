"""Numbers and sentences of a report, for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

from data.text import plural, printable, valid_unicode
from recognition.reports.audit_report import AuditReport, Shares
from recognition.reports.outcomes import Outcome
from recognition.reports.shares import Share

_MAX_NAME = 100  # characters of a foreign name on a page
_LISTED = 3  # categories in the lines for a terminal


def percent(fraction: float) -> str:
    """Return a fraction as per cent with two significant digits or one decimal: 0.52 %, 2.1 %, 33.3 %, 0 %."""
    value = round(100 * fraction, 6)  # sums of weights leave a rest in the last digits
    if value in {0, 100}:
        return f"{value:.0f} %"
    return f"{value:.2f} %" if value < 1 else f"{value:.1f} %"


def interval(share: Share) -> str:
    """Return the interval: 1.2 % to 3.4 %."""
    return f"{percent(share.low)} to {percent(share.high)}"


def limits(share: Share) -> str:
    """Return the interval in short, for tables: 1.2–3.4 %."""
    low, high = percent(share.low), percent(share.high)
    return f"{low.removesuffix(' %')}–{high}" if low != high else high


def moment(at: datetime) -> str:
    """Return a time in UTC: 26 Nov 2026, 15:02 UTC."""
    at = at.astimezone(timezone.utc)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


def name_of(text: str) -> str:
    """Return a foreign name as one line of at most 100 characters, without control characters and lone surrogates."""
    line = " ".join(printable(valid_unicode(text)).split())
    return line if len(line) <= _MAX_NAME else f"{line[: _MAX_NAME - 1]}…"


def duration(seconds: float) -> str:
    """Return a time: 42 s, 12.5 min, 3.2 h."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 or seconds == 0 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Return a number of bytes: 512 B, 3.4 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def headline(report: AuditReport) -> str:
    """Return the answer in one sentence with its interval."""
    if not report.judged:
        return "No stream could be judged."
    share = report.by_streams.mismatch
    return (
        f"{percent(share.value)} of the live streams in {categories(len(report.categories))} show another game than "
        "their category says "
        f"(95 % interval {interval(share)})."
    )


def viewers_sentence(report: AuditReport) -> str:
    """Return the answer by viewers, as a sentence."""
    share = report.by_viewers.mismatch
    return f"These streams have {percent(share.value)} of the viewers (95 % interval {interval(share)})."


def basis_sentence(report: AuditReport) -> str:
    """Return what the answer rests on, as a sentence."""
    streams = plural(report.judged, "stream")
    if report.population > report.judged + sum(count for _, count in report.failures):
        return f"It rests on the pictures of {streams}, a sample of the {report.population:,} live ones there."
    return f"It rests on the pictures of {streams}."


def reliability_sentence(report: AuditReport) -> str:
    """Return which categories are counted, as a sentence."""
    if not report.min_precision:
        return "All games of the model are counted, however often it errs."
    return (
        "Only games that the model names reliably are counted: "
        f"at least {100 * report.min_precision:g} % of the streams that it calls so show this game."
    )


def categories(count: int) -> str:
    """Return the count with its noun: "1 category", "2 categories"."""
    return f"{count:,} {'category' if count == 1 else 'categories'}"


def correction_sentence(shares: Shares) -> str:
    """Return what the model's errors change in the answer by streams, as a sentence."""
    observed = shares.outcomes[Outcome.OTHER_GAME]
    if shares.corrected is None:
        return (
            f"The share is not corrected for the model's errors, which were not measured: {percent(observed.value)} is "
            "what the model says."
        )
    return (
        f"The model says {percent(observed.value)} ({interval(observed)}); "
        f"{percent(shares.corrected.value)} is left when its own errors are taken out."
    )


def report_lines(report: AuditReport) -> list[str]:
    """Return the report in a few lines for a terminal."""
    return list(_lines(report)) if report.judged else [headline(report), *_rest(report)]


def _lines(report: AuditReport) -> Iterator[str]:
    yield headline(report)
    yield viewers_sentence(report)
    yield basis_sentence(report)
    yield correction_sentence(report.by_streams)
    shares = ", ".join(
        f"{outcome.value} {percent(share.value)} ({report.count(outcome):,})"
        for outcome, share in report.by_streams.outcomes.items()
    )
    yield f"Model's answers: {shares}"
    worst = [result for result in report.categories if result.counts[Outcome.OTHER_GAME]][:_LISTED]
    if worst:
        yield "Most in another game: " + ", ".join(
            f"{name_of(result.category.name)} {result.counts[Outcome.OTHER_GAME]:,} of {result.streams:,}"
            for result in worst
        )
    yield from _rest(report)


def _rest(report: AuditReport) -> Iterator[str]:
    if report.not_judged:
        count = sum(row[2] for row in report.not_judged)
        yield f"Not judged: {plural(count, 'stream')} of {categories(len(report.not_judged))}"
    if report.failures:
        yield "Failed: " + ", ".join(f"{count:,} {name_of(reason)}" for reason, count in report.failures[:_LISTED])
    about = report.about
    yield (
        f"Cost: {duration(about.seconds)}, {duration(about.cpu_seconds)} of processor time, "
        f"{plural(about.frames, 'frame')}, {plural(about.requests, 'request')}, {size(about.bytes)}"
    )
