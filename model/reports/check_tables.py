"""Tables of a check: what model.check prints, for people and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from data.entities import Game
from data.text import plural, printable
from model.cleaning.check_file import AS_STORED, LoginNames
from model.cleaning.effect import Effect
from model.cleaning.findings import CheckResult, FrameFinding, StreamFinding
from model.reports.rendering import percent

if TYPE_CHECKING:
    from data.storage.changes import Move
    from data.storage.journal import Change

_NUMBERS = {"frames", "suspicion", "to the trash"}
_TRUSTED = 0.8  # of the streams; 0.6 on games that are streamed, where half of the suspects were none
_UNCUT = 40  # columns of a cell that is not in the last column
MAX_ROWS = 15  # of each table; the page, --json and --csv have more


def suspect_streams(result: CheckResult) -> list[StreamFinding]:
    """Return the suspect streams, the most suspicious first."""
    return [stream for stream in result.streams if stream.suspect]


def suspect_frames(result: CheckResult) -> list[FrameFinding]:
    """Return the suspect frames of streams that are not suspect, the most suspicious first."""
    streams = {(stream.game_id, stream.login) for stream in suspect_streams(result)}
    return [each for each in result.frames if each.suspect and (each.frame.game_id, each.frame.login) not in streams]


def summary_line(result: CheckResult) -> str:
    """Return how much was checked and how much of that is suspect, in one line."""
    streams, frames = suspect_streams(result), suspect_frames(result)
    within = sum(stream.frames for stream in streams)
    return (
        f"Checked {plural(len(result.frames), 'frame')} of {plural(len(result.streams), 'stream')}. "
        f"Suspect: {plural(len(streams), 'stream')} with {plural(within, 'frame')}, "
        f"and {plural(len(frames), 'frame')} of other streams."
    )


def trust_lines(result: CheckResult) -> list[str]:
    """Return a warning if the features tell the games apart poorly, so that many suspects are none; else nothing."""
    if result.agreement is None or result.agreement >= _TRUSTED:
        return []
    return [
        f"Only {percent(result.agreement)} of the streams look like the other streams of their game: the features tell "
        "these games apart poorly, and many suspects show the right one. Look at the pictures before you move anything."
    ]


def stream_rows(result: CheckResult, game_names: Mapping[int, str]) -> list[list[str]]:
    """Return the table of the suspect streams, its header first; no rows without any."""
    rows = [
        [
            stream.login,
            _game(stream.game_id, game_names),
            f"{stream.frames:,}",
            percent(stream.suspicion),
            stream.kind,
            stream.suggested.name if stream.suggested else "",
            stream.reason,
        ]
        for stream in suspect_streams(result)
    ]
    return _with_header(["stream", "game", "frames", "suspicion", "shows", "rather", "reason"], rows)


def frame_rows(result: CheckResult, game_names: Mapping[int, str]) -> list[list[str]]:
    """Return the table of the suspect frames of other streams, its header first; no rows without any."""
    rows = [
        [
            finding.frame.path,
            _game(finding.frame.game_id, game_names),
            percent(finding.suspicion),
            finding.kind,
            finding.suggested.name if finding.suggested else "",
            finding.reason,
        ]
        for finding in suspect_frames(result)
    ]
    return _with_header(["frame", "game", "suspicion", "shows", "rather", "reason"], rows)


def _with_header(header: list[str], rows: list[list[str]]) -> list[list[str]]:
    more = len(rows) - MAX_ROWS
    last = [[f"and {more:,} more", *[""] * (len(header) - 1)]] if more > 0 else []
    return [header, *rows[:MAX_ROWS], *last] if rows else []


def _game(game_id: int, game_names: Mapping[int, str]) -> str:
    return game_names.get(game_id, f"game {game_id}")


def move_rows(moves: Sequence[Move], game_names: Mapping[int, str]) -> list[list[str]]:
    """Return the table of moves by stream, its header first; the streams with most moves come first."""
    streams: dict[tuple[int, str, int | None], list[Move]] = {}
    for move in moves:
        streams.setdefault((move.frame.game_id, move.frame.login, move.target), []).append(move)
    rows = [
        [
            login,
            _game(game_id, game_names),
            f"{len(own):,}",
            "trash" if target is None else _game(target, game_names),
            Counter(move.reason for move in own).most_common(1)[0][0],
        ]
        for (game_id, login, target), own in sorted(streams.items(), key=lambda item: -len(item[1]))
    ]
    return _with_header(["stream", "game", "frames", "to", "reason"], rows)


def change_rows(changes: Sequence[Change]) -> list[list[str]]:
    """Return the table of changes, its header first, the oldest first."""
    undone = {change.undoes for change in changes}
    rows = [["id", "frames", "to the trash", "state", "what"]]
    for change in changes:
        state = "undone" if change.id in undone else "done" if change.is_done else "unfinished"
        rows.append([change.id, f"{len(change.moves):,}", f"{change.trashed:,}", state, change.summary])
    return rows


def places(trashed: int, relabelled: int) -> str:
    """Return how many frames go to the trash and how many to another game, for people."""
    counts = (trashed, "to the trash"), (relabelled, "to another game")
    return " and ".join(f"{plural(count, 'frame')} {where}" for count, where in counts if count) or "no frame"


def effect_lines(effect: Effect) -> list[str]:
    """Return what cleaning does to the accuracy, in some lines for people."""
    who = f"{plural(effect.streamers, 'unsuspected streamer')} (duplicates aside)"
    head = f"Accuracy on {who}, held out from a linear classifier"
    points = f"{100 * effect.gain:+.1f} points (95 % interval {100 * effect.low:+.1f} to {100 * effect.high:+.1f})"
    verdict = (
        "Cleaning helps: the suspects harm the accuracy."
        if effect.low > 0
        else "Cleaning harms: keep the suspects, or look at each of them."
        if effect.high < 0
        else "No gain: the difference may be chance. Cleaning does not make this dataset train a better model."
    )
    return [
        f"{head}: {percent(effect.before)} of frames when it trains on all others, "
        f"{percent(effect.after)} when those are cleaned: {points}.",
        verdict,
    ]


def as_json(
    result: CheckResult, effect: Effect | None, path: str, game_names: Mapping[int, str], names: LoginNames = AS_STORED
) -> str:
    """Return the JSON object that `--help` describes: all streams, and the suspect frames. path: of the dataset."""
    # Scripts read these keys: add new ones, never rename or remove one.
    content = {
        "path": path,
        "stream_count": len(result.streams),
        "frame_count": len(result.frames),
        "suspect_streams": len(suspect_streams(result)),
        "suspect_frames": sum(finding.suspect for finding in result.frames),
        "agreement": result.agreement,
        "effect": asdict(effect) if effect else None,
        "streams": [_stream_values(stream, game_names, names) for stream in result.streams],
        "frames": [_frame_values(finding, game_names, names) for finding in result.frames if finding.suspect],
    }
    return json.dumps(content, indent=2)


def _stream_values(stream: StreamFinding, game_names: Mapping[int, str], names: LoginNames) -> dict[str, Any]:
    game = Game(stream.game_id, _game(stream.game_id, game_names))
    return {
        "game": asdict(game),
        "login": names.of(stream.login),
        "frames": stream.frames,
        **_common(stream, names),
    }


def _frame_values(finding: FrameFinding, game_names: Mapping[int, str], names: LoginNames) -> dict[str, Any]:
    frame = finding.frame
    game = Game(frame.game_id, _game(frame.game_id, game_names))
    return {"path": names.path(frame), "game": asdict(game), "login": names.of(frame.login), **_common(finding, names)}


def _common(finding: StreamFinding | FrameFinding, names: LoginNames) -> dict[str, Any]:
    return {
        "suspicion": round(finding.suspicion, 4),
        "kind": finding.kind,
        "reason": names.text(finding.reason),
        "suggested": asdict(finding.suggested) if finding.suggested else None,
        "suspect": finding.suspect,
    }


def render(rows: Sequence[Sequence[str]], width: int) -> str:
    """Return rows as text in columns; if they do not fit into `width` columns of a terminal, the last one is cut."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [[printable(cell) for cell in row] for row in rows]
    table = Table.grid(padding=(0, 2, 0, 0))
    for title, *cells in zip(*rows, strict=True):
        needed = max(map(cell_len, (title, *cells)))
        table.add_column(
            justify="right" if title in _NUMBERS else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=len(title) if title == rows[0][-1] else min(needed, _UNCUT),
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(width=width, highlight=False, color_system=None)
    with console.capture() as text:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in text.get().splitlines())
