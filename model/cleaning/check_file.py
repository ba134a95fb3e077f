"""Check file: the findings of a check as CSV, one line a frame in order of rank.

`check.csv` in the dataset's folder is the last check: data.info counts its suspects and `model.check --apply` moves
them. Other files of this form have pseudonyms in the place of logins.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import IO

from data.entities import Game, StoredFrame, is_game_id
from data.errors import DatasetError
from data.storage.layout import CHECK_FILE
from data.text import printable_line
from model.cleaning.findings import CheckResult, FrameFinding, StreamFinding

_COLUMNS = (
    "path",
    "game_id",
    "login",
    "suspicion",  # 0 to 1
    "kind",
    "reason",
    "suggested_game_id",  # empty: none
    "suspect",  # yes or no
    "sha256",  # hexadecimal; empty: unknown
    "stream_suspicion",  # 0 to 1
    "stream_suspect",  # yes or no
)
_PATH = re.compile(r"\b[1-9][0-9]*/[a-z0-9_]{1,25}-[1-9][0-9]*\.jpg")
_DAMAGED = f"{CHECK_FILE} is damaged. Check the dataset again with python -m model.check."


@dataclass(frozen=True, slots=True)
class LoginNames:
    """How a report names streamers: by what `of` returns for a login."""

    of: Callable[[str], str] = str

    def path(self, frame: StoredFrame) -> str:
        """Return the path of the frame, with the streamer's name in it."""
        return StoredFrame(frame.game_id, self.of(frame.login), frame.number).path

    def text(self, text: str) -> str:
        """Return the text with the names of the streamers in its paths."""
        return _PATH.sub(lambda found: self.path(StoredFrame.parse(found[0])), text)


AS_STORED = LoginNames()


def to_csv(result: CheckResult, names: LoginNames = AS_STORED) -> str:
    """Return the file's content."""
    streams = {(stream.game_id, stream.login): stream for stream in result.streams}
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_COLUMNS)
    for finding in result.frames:
        frame, stream = finding.frame, streams[finding.frame.game_id, finding.frame.login]
        table.writerow(
            (
                names.path(frame),
                frame.game_id,
                names.of(frame.login),
                f"{finding.suspicion:.4f}",
                finding.kind,
                names.text(finding.reason),
                finding.suggested.id if finding.suggested else "",
                _yes(finding.suspect),
                frame.sha256.hex(),
                f"{stream.suspicion:.4f}",
                _yes(stream.suspect),
            )
        )
    return file.getvalue()


def from_csv(content: bytes, game_names: Mapping[int, str]) -> CheckResult:
    """Return the findings of a file that `to_csv` wrote. Raises DatasetError for a damaged file.

    game_names: by id, for the suggested games.
    """
    found = list(read_findings(io.BytesIO(content), game_names))
    frames = tuple(finding for finding, _, _ in found)
    about = {(finding.frame.game_id, finding.frame.login): (suspicion, flag) for finding, suspicion, flag in found}
    streams = (_stream(own, *about[key]) for key, own in _by_stream(frames))
    return CheckResult(tuple(sorted(streams, key=lambda stream: -stream.suspicion)), frames)


def read_findings(file: IO[bytes], game_names: Mapping[int, str]) -> Iterator[tuple[FrameFinding, float, bool]]:
    """Yield each frame's finding with its stream's suspicion, 0 to 1, and whether that stream is a suspect.

    Raises DatasetError for a damaged file.
    """
    try:
        with io.TextIOWrapper(file, "utf-8", newline="") as text:
            table = csv.DictReader(text, strict=True)
            if "path" not in (table.fieldnames or ()):
                raise ValueError("no header")
            for row in table:
                yield _parse(row, game_names), _fraction(row["stream_suspicion"]), row["stream_suspect"] == "yes"
    except (ValueError, KeyError, TypeError, csv.Error) as error:  # TypeError: a short line has None for a value
        raise DatasetError(_DAMAGED) from error


def _parse(row: Mapping[str, str], game_names: Mapping[int, str]) -> FrameFinding:
    """Return the finding of a line. Raises ValueError, KeyError, TypeError."""
    frame = replace(StoredFrame.parse(row["path"]), sha256=bytes.fromhex(row["sha256"]))
    suggested = int(row["suggested_game_id"] or 0)
    if suggested and not is_game_id(suggested):
        raise ValueError(f"invalid game id {suggested}")
    return FrameFinding(
        frame,
        _fraction(row["suspicion"]),
        printable_line(row["kind"]),
        printable_line(row["reason"]),
        Game(suggested, game_names.get(suggested, f"game {suggested}")) if suggested else None,
        row["suspect"] == "yes",
    )


def _fraction(text: str) -> float:
    if not 0 <= (number := float(text)) <= 1:
        raise ValueError(f"{number} is not between 0 and 1")
    return number


def _by_stream(frames: tuple[FrameFinding, ...]) -> Iterator[tuple[tuple[int, str], list[FrameFinding]]]:
    def key(finding: FrameFinding) -> tuple[int, str]:
        return finding.frame.game_id, finding.frame.login

    # The sort is stable, so that the frames of a stream stay in order of rank.
    return ((each, list(own)) for each, own in groupby(sorted(frames, key=key), key))


def _stream(frames: list[FrameFinding], suspicion: float, suspect: bool) -> StreamFinding:
    """Return the finding of the stream with these frames: what most of its frames say."""
    first = frames[0].frame
    (kind, reason, suggested), _count = Counter((f.kind, f.reason, f.suggested) for f in frames).most_common(1)[0]
    return StreamFinding(first.game_id, first.login, len(frames), suspicion, kind, reason, suggested, suspect)


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
