"""Findings of a check: frozen values for reports, dashboards and changes of the dataset. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from data.entities import Game, StoredFrame

# Kinds of screen. A frame with another game's label has the kind OTHER_GAME; DUPLICATE repeats an earlier frame.
GAMEPLAY, MENU, INTERMISSION, TALKING, DESKTOP = "gameplay", "menu", "intermission", "talking", "desktop"
OTHER_GAME, DUPLICATE = "other game", "duplicate"
KINDS = (GAMEPLAY, MENU, INTERMISSION, TALKING, DESKTOP, OTHER_GAME, DUPLICATE)


@dataclass(frozen=True, slots=True)
class FrameFinding:
    """What a check found about one frame."""

    frame: StoredFrame
    suspicion: float  # 0: shows its game, 1: does not
    kind: str  # one of KINDS
    reason: str  # for people, one line without names of foreign origin other than the suggested game's
    suggested: Game | None  # the game that it shows instead; None: unknown, or none
    suspect: bool  # whether to look at it


@dataclass(frozen=True, slots=True)
class StreamFinding:
    """What a check found about one stream: all frames of a login within a game."""

    game_id: int
    login: str
    frames: int
    suspicion: float  # 0: shows its game, 1: does not
    kind: str  # the most frequent kind of its frames
    reason: str
    suggested: Game | None
    suspect: bool


@dataclass(frozen=True, slots=True)
class CheckResult:
    """All streams and all frames, each ranked: the most suspicious first."""

    streams: tuple[StreamFinding, ...]
    frames: tuple[FrameFinding, ...]
    # Fraction of the streams that look like their own game, judged by other streamers' frames. Where it is small, the
    # features do not tell these games apart, and suspicions are weak. None: unknown.
    agreement: float | None = None
