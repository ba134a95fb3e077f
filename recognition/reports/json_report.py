"""JSON form of a report, as docs/audit.schema.json specifies it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from data.entities import Game
from recognition.reports.audit_report import SCHEMA, AuditAbout, AuditReport, CategoryResult, Shares
from recognition.reports.outcomes import AuditedStream
from recognition.reports.text import name_of


def as_json(report: AuditReport, name: Callable[[str], str]) -> dict[str, Any]:
    """Return the report as a JSON object. name: what stands for a login in it, such as its pseudonym."""
    return {
        "schema": SCHEMA,
        "audit": _audit(report.about) | {"min_precision": report.min_precision},
        "counts": _counts(report),
        "by_streams": _shares(report.by_streams),
        "by_viewers": _shares(report.by_viewers),
        "categories": [_category(result) for result in report.categories],
        "mismatches": [_mismatch(stream, name(stream.login)) for stream in report.mismatches],
        "not_judged": [
            {"category": name_of(category) or None, "reason": reason, "streams": count, "viewers": viewers}
            for category, reason, count, viewers in report.not_judged
        ],
        "failures": [{"reason": name_of(reason), "streams": count} for reason, count in report.failures],
        "cost": {key: getattr(report.about, key) for key in ("seconds", "cpu_seconds", "frames", "requests", "bytes")},
        "history": [{"at": iso_time(past.at), **past.to_summary()} for past in report.history],
    }


def iso_time(at: datetime) -> str:
    """Return a time as ISO 8601 in UTC: 2026-11-26T17:00:00Z."""
    return at.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def finite(value: float) -> float:
    """Return the value; 0 for a value that JSON does not have."""
    return value if math.isfinite(value) else 0.0


def _audit(about: AuditAbout) -> dict[str, Any]:
    return {
        "id": about.id,
        "scope": name_of(about.scope),
        "started": iso_time(about.started),
        "ended": iso_time(about.ended),
        "model": name_of(about.model),
        "model_hash": about.model_hash,
        "version": about.version,
    }


def _counts(report: AuditReport) -> dict[str, int]:
    return {
        "listed": report.about.listed,
        "sampled": report.about.sampled,
        "judged": report.judged,
        "failed": sum(count for _, count in report.failures),
        "not_confirmed": report.unconfirmed,
        "population": report.population,
    }


def _shares(shares: Shares) -> dict[str, Any]:
    return {
        "other_game": asdict(shares.mismatch),
        "corrected": shares.corrected is not None,
        "observed": {outcome.value: asdict(share) for outcome, share in shares.outcomes.items()},
        "error_rates": asdict(shares.rates) if shares.rates else None,
    }


def _category(result: CategoryResult) -> dict[str, Any]:
    return {
        "category": _game(result.category),
        "streams": result.streams,
        "viewers": result.viewers,
        "outcomes": {outcome.value: count for outcome, count in result.counts.items()},
        "other_game": asdict(result.share),
        "expected_by_mistake": result.by_mistake,
    }


def _mismatch(stream: AuditedStream, name: str) -> dict[str, Any]:
    return {
        "stream": name,
        "category": _game(stream.category),
        "shown": _game(stream.shown),
        "confidence": finite(stream.confidence),
        "viewers": stream.viewers,
        "language": name_of(stream.language),
        "at": iso_time(stream.at),
    }


def _game(game: Game | None) -> dict[str, Any] | None:
    return {"id": game.id, "name": name_of(game.name)} if game else None
