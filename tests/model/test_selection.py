"""Selection: which suspects are chosen, and where they move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data.entities import Game, StoredFrame
from data.storage.changes import Move
from data.storage.frame_folder import FrameFolder
from model.cleaning.selection import SuspectFilter, emptied_games, to_moves
from tests.model.findings import invented, invented_frames

RESULT = invented(invented_frames())
ANN = ["7/ann-1.jpg", "7/ann-2.jpg", "7/ann-3.jpg", "7/ann-4.jpg"]
MENU, DUPLICATE = "7/ben-2.jpg", "7/cat-3.jpg"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, [*ANN, MENU, DUPLICATE]),
        ({"frames": False}, ANN),
        ({"streams": False}, [MENU, DUPLICATE]),
        ({"kinds": ["menu", "duplicate"]}, [MENU, DUPLICATE]),
        ({"min_suspicion": 0.65}, [*ANN, MENU]),
        ({"min_suspicion": 0.94}, ANN),  # that of the stream
        ({"only": ["ben", "7/ann-2.jpg"]}, ["7/ann-2.jpg", MENU]),
        ({"only": ["BEN", "7/BEN-2.jpg"], "pseudonym": str.upper}, [MENU]),
        ({"only": ["7/ANN-2.jpg"], "pseudonym": str.upper}, ["7/ann-2.jpg"]),
        ({"excluded": ["ann"]}, [MENU, DUPLICATE]),
        ({"excluded": ["7/ann-1.jpg", "CAT"], "pseudonym": str.upper}, [*ANN[1:], MENU]),
        ({"only": ["nobody"]}, []),
    ],
    ids=str,
)
def test_choose_takes_the_suspects_that_fit(choice: dict[str, Any], expected: list[str]):
    """Every option narrows the choice; frames without suspicion are never chosen."""
    assert [finding.frame.path for finding in SuspectFilter(**choice).choose(RESULT)] == expected


@pytest.mark.parametrize(("relabel", "targets"), [(False, {None}), (True, {8, None})])
def test_to_moves_goes_to_the_suggested_game_only_on_request(relabel: bool, targets: set[int | None]):
    """Without a suggestion, and by default, a suspect goes to the trash; the move says why."""
    moves = to_moves(SuspectFilter().choose(RESULT), relabel=relabel)
    assert {move.target for move in moves} == targets
    reasons = {move.frame: move.reason for move in moves}
    assert reasons[StoredFrame(7, "ben", 2)] == "menu: a menu"


def test_emptied_games_are_those_that_lose_all_frames(tmp_path: Path):
    """A game that keeps one frame is none of them."""
    store = FrameFolder(tmp_path)
    store.add_games([Game(7, "Chess"), Game(8, "Go")])
    frames = [*store.save(7, "ann", [b"1", b"2"]), *store.save(8, "ann", [b"3", b"4"])]
    assert emptied_games([Move(frame, None) for frame in frames[:3]], store) == ["Chess"]
