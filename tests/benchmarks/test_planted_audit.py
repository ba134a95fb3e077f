"""The planted channels of the audit benchmark, without clips."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks._planted_audit import CHANGED, MATCH, NOT_JUDGED, OTHER, SCREENS, UNKNOWN, Material, planted
from recognition.reports.outcomes import Outcome
from tests.standin import CLIPS, World

_WORLD = World.load(CLIPS)
_GAMES = [channel for channel in _WORLD.channels if channel.login in _WORLD.held_out]
_FOUND = Material(tuple(_GAMES[:10]), tuple(_GAMES[10:]), {kind: [Path(f"{kind}.mp4")] for kind in SCREENS})


def test_planted_channels_have_the_truth_of_what_they_declare_and_show():
    """Each kind shows and declares what its truth says; the same seed gives the same channels."""
    channels = planted(_FOUND, 200, seed=3, corrected_at=1000.0)
    assert channels == planted(_FOUND, 200, seed=3, corrected_at=1000.0) != planted(_FOUND, 200, seed=4)
    counts = Counter(one.shows for one in channels)
    assert set(counts) == {*SCREENS, OTHER, UNKNOWN, CHANGED, NOT_JUDGED, MATCH}
    known = {channel.game_id: channel.file for channel in _FOUND.known}
    shown = {file: game for game, file in known.items()}
    for one in channels:
        declared, game = one.channel.game_id, shown.get(one.channel.file)
        assert (declared in known) is (one.truth is not None)
        assert (one.truth is Outcome.MATCH) is (declared in known and game == declared)
        assert (one.truth in (Outcome.OTHER_GAME, Outcome.NOT_CONFIRMED)) is (
            declared in known and game not in (None, declared)
        )
        assert shown.get(one.channel.file_at(1000.0)) == declared or one.shows != CHANGED


def test_planted_share_of_mismatches_depends_on_the_seed():
    """Repeated runs meet different shares, from rare to frequent."""
    shares = [sum(one.shows == OTHER for one in planted(_FOUND, 200, seed)) / 200 for seed in range(30)]
    assert min(shares) < 0.07
    assert max(shares) > 0.17
