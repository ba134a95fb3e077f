"""Views: frames of the index, changes and trash as the JSON of dashboard.dataset.responses."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import date, datetime, timezone
from typing import Any

import numpy as np

from dashboard.dataset.history import TrashedFile
from dashboard.dataset.index import DatasetIndex
from dashboard.dataset.queries import FrameCriteria, StreamRun
from dashboard.dataset.requests import FilterFields
from dashboard.dataset.summary import DatasetSummary
from data.entities import StoredFrame
from data.storage.journal import ChangeSummary
from data.storage.manifest import to_iso

_PICTURES = "/api/v1/dataset/pictures"
_TRASH_PICTURES = "/api/v1/dataset/trash/pictures"
_DAY_S = 86_400


def to_filter(fields: FilterFields) -> FrameCriteria:
    """Return the filter that a request asks for."""
    return FrameCriteria(
        games=frozenset(map(int, fields.game)),
        logins=frozenset(fields.login),
        languages=frozenset(fields.language),
        kinds=frozenset(fields.kind),
        suggested=frozenset(map(int, fields.suggested)),
        suspect=fields.suspect,
        min_suspicion=fields.min_suspicion,
        since=_epoch(fields.since) if fields.since else None,
        until=_epoch(fields.until) + _DAY_S if fields.until else None,
        login_part=fields.q.strip().lower(),
    )


def game_entries(summary: DatasetSummary) -> list[dict[str, Any]]:
    """Return the games with their numbers."""
    return [
        {
            "id": str(one.game.id),
            "name": one.game.name,
            "frames": one.frames,
            "streamers": one.streamers,
            "checked": one.checked,
            "suspects": one.suspects,
        }
        for one in summary.games
    ]


def frame_entries(index: DatasetIndex, positions: np.ndarray) -> list[dict[str, Any]]:
    """Return the frames at these positions."""
    rows = index.rows[positions]
    found = index.findings.table[rows["finding"]]
    columns = ("game", "login", "number", "date", "language", "hash", "finding")
    findings = zip(*(found[name].tolist() for name in ("suspicion", "kind", "suspect", "suggested")), strict=True)
    entries = []
    for row, finding in zip(zip(*(rows[name].tolist() for name in columns), strict=True), findings, strict=True):
        entries.append(_entry(index, row, finding))
    return entries


def _entry(index: DatasetIndex, row: Sequence[Any], finding: Sequence[Any]) -> dict[str, Any]:
    game, login_code, number, time, language, head, finding_row = row
    suspicion, kind, suspect, suggested = finding
    login = index.logins.texts[login_code]
    return {
        "path": f"{game}/{login}-{number}.jpg",
        "game_id": str(game),
        "login": login,
        "number": number,
        "picture": _picture(_PICTURES, game, login, number, f"{head:016x}" if head else ""),
        "date": to_iso(time) or None,
        "language": index.languages.texts[language],
        "suspicion": _number(suspicion),
        "kind": index.findings.texts.texts[kind] if finding_row >= 0 else None,
        "suspect": suspect,
        "suggested": str(suggested) if suggested else None,
    }


def paths(index: DatasetIndex, positions: np.ndarray) -> list[str]:
    """Return the paths of the frames at these positions."""
    columns = (index.rows[name][positions].tolist() for name in ("game", "login", "number"))
    return [f"{game}/{index.logins.texts[login]}-{number}.jpg" for game, login, number in zip(*columns, strict=True)]


def group_entries(index: DatasetIndex, positions: np.ndarray, found: Sequence[StreamRun]) -> list[dict[str, Any]]:
    """Return the groups of the frames at these positions."""
    first = index.rows[positions[[group.start for group in found]]] if found else index.rows[:0]
    pairs = zip(first["game"].tolist(), first["login"].tolist(), strict=True)
    return [
        {
            "game_id": str(game),
            "login": index.logins.texts[login],
            "start": group.start,
            "count": group.count,
            "suspicion": _number(group.suspicion),
        }
        for (game, login), group in zip(pairs, found, strict=True)
    ]


def frame_detail(index: DatasetIndex, position: int, frame: StoredFrame) -> dict[str, Any]:
    """Return a frame with its provenance and the reason of the last check, without its neighbours."""
    finding = index.findings.table[index.rows["finding"][position]]
    return {
        **frame_entries(index, np.array([position]))[0],
        "sha256": frame.sha256.hex(),
        "title": frame.details.title,
        "viewers": frame.details.viewers,
        "origin": frame.details.origin,
        "reason": index.findings.texts.texts[finding["reason"]],
    }


def neighbour_entries(index: DatasetIndex, found: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
    """Return the frames at these positions with their similarities."""
    entries = frame_entries(index, np.array([position for position, _ in found], np.intp))
    return [
        {**{name: entry[name] for name in ("path", "picture", "game_id")}, "similarity": round(similarity, 4)}
        for entry, (_, similarity) in zip(entries, found, strict=True)
    ]


def change_entry(change: ChangeSummary, undone: Collection[str] = ()) -> dict[str, Any]:
    """Return a change. undone: ids of changes that were undone."""
    return {
        "id": change.id,
        "time": to_iso(change.time) or None if math.isfinite(change.time) else None,
        "summary": change.summary,
        "moved": change.moved,
        "trashed": change.trashed,
        "undoes": change.undoes,
        "is_undone": change.id in undone,
    }


def trashed_entry(file: TrashedFile) -> dict[str, Any]:
    """Return a frame in the trash."""
    frame = file.frame
    head = frame.sha256.hex()[:16]
    return {
        "path": frame.path,
        "game_id": str(frame.game_id),
        "login": frame.login,
        "number": frame.number,
        "picture": _picture(f"{_TRASH_PICTURES}/{file.change_id}", frame.game_id, frame.login, frame.number, head),
        "date": to_iso(frame.details.grabbed_at) or None,
        "reason": file.reason,
        "change_id": file.change_id,
    }


def _picture(place: str, game_id: int, login: str, number: int, head: str) -> str:
    return f"{place}/{game_id}/{login}/{number}" + (f"?v={head}" if head else "")


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def _epoch(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp()
