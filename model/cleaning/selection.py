"""Selection: which findings of a check become moves, to the trash or to the suggested game."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from data.entities import StoredFrame
from data.errors import DatasetError, FolderError
from data.storage.changes import Move
from data.storage.frame_store import FrameStore
from data.storage.layout import CHECK_FILE
from model.cleaning.check_file import from_csv
from model.cleaning.findings import CheckResult, FrameFinding


@dataclass(frozen=True, slots=True)
class SuspectFilter:
    """Chooses suspects. The default chooses all of them.

    Args:
        streams: whether to choose the frames of suspect streams.
        frames: whether to choose suspect frames of other streams.
        kinds: only frames of these kinds; empty: of any.
        min_suspicion: only frames that are at least so suspicious, or whose stream is; 0 to 1.
        only: only these, each a login, its pseudonym, or the path of a frame with either; empty: any.
        excluded: none of these, as `only`.
        pseudonym: returns that of a login.
    """

    streams: bool = True
    frames: bool = True
    kinds: Collection[str] = ()
    min_suspicion: float = 0.0
    only: Collection[str] = ()
    excluded: Collection[str] = ()
    pseudonym: Callable[[str], str] = str

    def choose(self, result: CheckResult) -> list[FrameFinding]:
        """Return the chosen findings of the check, in order of rank."""
        streams = {(stream.game_id, stream.login): stream for stream in result.streams if stream.suspect}
        chosen = []
        for finding in result.frames:
            stream = streams.get((finding.frame.game_id, finding.frame.login))
            suspicion = max(finding.suspicion, stream.suspicion if stream else 0.0)
            if (
                finding.suspect
                and (self.streams if stream else self.frames)
                and suspicion >= self.min_suspicion
                and (not self.kinds or finding.kind in self.kinds)
                and (not self.only or self._is_named(finding.frame, self.only))
                and not self._is_named(finding.frame, self.excluded)
            ):
                chosen.append(finding)
        return chosen

    def _is_named(self, frame: StoredFrame, names: Collection[str]) -> bool:
        if not names or frame.login in names or frame.path in names:
            return bool(names)
        hidden = replace(frame, login=self.pseudonym(frame.login))
        return hidden.login in names or hidden.path in names


def last_check(store: FrameStore) -> CheckResult:
    """Return the findings of the dataset's last check. Raises DatasetError: there is none, or its file is damaged."""
    content = store.read_report(CHECK_FILE)
    if content is None:
        raise DatasetError("There is no check of this dataset yet. Make one: python -m model.check")
    return from_csv(content, store.game_names())


def unchanged(store: FrameStore, findings: Iterable[FrameFinding]) -> list[FrameFinding]:
    """Return the findings whose files are still those that were checked."""

    def is_same(frame: StoredFrame) -> bool:
        try:
            return store.sha256(frame) == frame.sha256
        except FolderError:
            return False

    return [finding for finding in findings if is_same(finding.frame)]


def to_moves(findings: Iterable[FrameFinding], *, relabel: bool) -> list[Move]:
    """Return a move for each finding: with `relabel` to the suggested game, if there is one, otherwise to the trash."""

    def target(finding: FrameFinding) -> int | None:
        return finding.suggested.id if relabel and finding.suggested else None

    return [Move(finding.frame, target(finding), f"{finding.kind}: {finding.reason}") for finding in findings]


def emptied_games(moves: Iterable[Move], store: FrameStore) -> list[str]:
    """Return the names of the games that lose all of their frames. Raises FolderError."""
    left = Counter(frame.game_id for frame in store.frames())
    lost = Counter(move.frame.game_id for move in moves)
    names = store.game_names()
    return [names.get(game_id, f"game {game_id}") for game_id in sorted(lost) if lost[game_id] >= left[game_id]]
