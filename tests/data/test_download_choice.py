"""data.download: which games and streamers a run collects, on the stand-in and a real PostgreSQL."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter

import pytest

from data.collection.grab_pool import StopEvent
from data.download import open_collector
from data.entities import Game
from data.errors import CategoryNotFound, SettingsError
from data.factories import make_exclusion
from data.storage import journal
from data.storage.journal import Change, FileMove
from data.storage.pseudonyms import Forgotten
from tests.data.conftest import CHANNELS, settings
from tests.standin import Standin

JUST_CHATTING = Game(509658, "Just Chatting")  # not a game: a download adds it only if it is asked for
CHANGE = "20261126-102014-000001"
BZFLAG, TORCS = Game(9000002, "BZFlag"), Game(9000015, "TORCS")


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return stdout and stderr of a download that must succeed."""
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_until_fills_the_games_that_are_asked_for(download, folder, catalog, tmp_path):
    """Two games by name and id, one no game and one removed, get 4 frames each, with details; then the run ends."""
    catalog.add_games([TORCS])
    folder.add_games([TORCS])
    shutil.rmtree(folder.root / str(TORCS.id))
    assert folder.removed_games()
    names = tmp_path / "games.txt"
    names.write_text("# what I play\njust chatting\n")
    begun = time.time()
    output = output_of(download("--game", "9000015", "--game", f"@{names}", "--until", "4"))
    assert "; 0 frames missing; " in output
    frames = folder.described(folder.frames())
    assert Counter(frame.game_id for frame in frames) == {JUST_CHATTING.id: 4, TORCS.id: 4}
    assert not folder.removed_games()
    assert {summary.game for summary in catalog.games()} == {JUST_CHATTING, TORCS}
    torcs = next(frame for frame in frames if frame.game_id == TORCS.id)
    assert begun - 60 < torcs.details.grabbed_at < time.time()
    assert (torcs.details.language, torcs.details.origin) == ("de", "https://www.twitch.tv/torcs_alpine_1")
    assert torcs.details.title
    assert torcs.details.viewers > 0
    assert torcs.sha256 == folder.sha256(torcs)


def test_excluded_removed_and_forgotten_are_left_out(download, folder, catalog, tmp_path, world):
    """A removed game, a game excluded by name, an excluded and a forgotten streamer: only the rest gives frames.

    The download first finishes a change that a killed command has begun.
    """
    (menu,) = folder.save(743, "ann", [b"menu"])
    move = FileMove(menu, menu.path, journal.trash_path(CHANGE, menu))
    journal.write(folder.files, Change(CHANGE, "menus", "", (move,)))
    catalog.add_games([TORCS])
    folder.add_games([TORCS])
    shutil.rmtree(folder.root / str(TORCS.id))
    Forgotten(folder.files).add("openarena_oa_dm1")
    logins = tmp_path / "logins.txt"
    logins.write_text("SuperTux_Crystal_Mine\n")
    with Standin(world.only([*CHANNELS, "minetest_carpathian"])) as running:
        choice = {"EXCLUDE_GAMES": "nothing of ours, BZflag", "EXCLUDE_STREAMERS": f"@{logins}"}
        output = output_of(download("--frames", "9", **running.environment, **choice))
    assert "EXCLUDE_GAMES: Twitch has no category 'nothing of ours': check its spelling" in output
    assert {frame.login for frame in folder.frames()} == {"minetest_carpathian"}
    assert (folder.root / move.target).is_file()
    assert TORCS.id in folder.removed_games()
    assert BZFLAG.id not in folder.game_names()


def test_unknown_game_is_an_error_before_the_first_frame(server, standin, folder, catalog):
    """The message says what to write instead; no game is added."""
    chosen = settings(**server, **standin.environment, DOWNLOAD_PATH=folder.root.parent)
    expected = r"^Twitch has no category 'Super Tux': did you mean 'SuperTux'"
    with pytest.raises(CategoryNotFound, match=expected):
        open_collector(chosen, folder, catalog, StopEvent(), ["BZFlag", "Super Tux"]).__enter__()
    assert not folder.game_names()


def test_excluded_streamer_that_is_no_login_names_the_setting(tmp_path):
    """A display name or an address would exclude nobody; letter case is no matter."""
    with pytest.raises(SettingsError, match=r"^EXCLUDE_STREAMERS: invalid login 'https://www\.twitch\.tv/n'; write"):
        make_exclusion(settings(EXCLUDE_STREAMERS="ninja, https://www.twitch.tv/n", DOWNLOAD_PATH=tmp_path))
    is_excluded = make_exclusion(settings(EXCLUDE_STREAMERS="Ninja", DOWNLOAD_PATH=tmp_path))
    assert is_excluded("ninja")
    assert not is_excluded("other")
