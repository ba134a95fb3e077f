"""Findings of an invented check, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

from data.entities import Game, StoredFrame
from model.cleaning import findings
from model.cleaning.findings import CheckResult, FrameFinding, StreamFinding

CHESS, GO = Game(7, "Chess"), Game(8, "Go")
GAME_NAMES = {7: "Chess", 8: "Go"}


def stream(game: Game, login: str, frames: int, suspicion: float = 0.1, rather: Game | None = None) -> StreamFinding:
    """Return a finding of a stream, which is suspect from a suspicion of 0.5 on."""
    kind, reason = (findings.OTHER_GAME, "looks like another game") if rather else (findings.GAMEPLAY, "")
    return StreamFinding(game.id, login, frames, suspicion, kind, reason, rather, suspicion >= 0.5)


def frame(
    stored: StoredFrame,
    suspicion: float = 0.1,
    kind: str = findings.GAMEPLAY,
    reason: str = "",
    game: Game | None = None,
) -> FrameFinding:
    """Return a finding of a frame, which is suspect from a suspicion of 0.5 on."""
    return FrameFinding(stored, suspicion, kind, reason, game, suspicion >= 0.5)


def invented(frames: Sequence[StoredFrame]) -> CheckResult:
    """Return the findings on frames 1 to 4 of ann, ben and cat in game 7.

    ann plays Go; one frame of ben is a menu, and one of cat repeats one of ben.
    """
    ann, ben, cat = ([f for f in frames if f.login == login] for login in ("ann", "ben", "cat"))
    suspects = [frame(each, 0.9, findings.OTHER_GAME, "looks like another game", GO) for each in ann]
    suspects.append(frame(ben[1], 0.7, findings.MENU, "a menu"))
    suspects.append(frame(cat[2], 0.6, findings.DUPLICATE, "same picture as 7/ben-3.jpg"))
    rest = [frame(each) for each in (ben[0], *ben[2:], *cat[:2], *cat[3:])]
    streams = stream(CHESS, "ann", 4, 0.95, GO), stream(CHESS, "ben", 4, 0.2), stream(CHESS, "cat", 4)
    return CheckResult(streams, (*suspects, *rest))


def invented_frames() -> list[StoredFrame]:
    """Return frames 1 to 4 of ann, ben and cat in game 7, with hashes that no file has."""
    return [StoredFrame(7, login, n, bytes([n]) * 32) for login in ("ann", "ben", "cat") for n in range(1, 5)]
