"""python -m data.download, as a user runs it: against the stand-in, on a real PostgreSQL, killed and stopped."""

from __future__ import annotations

import os
import pty
import signal
import time
from collections import Counter

import pytest

from data.storage.frame_folder import Folder
from data.video.decoder import decode
from tests.data.conftest import CHANNELS, rows, wait_for_frames
from tests.standin import Standin, looks_like_ad

STILL = ["screen_of_night", "hanging_since_noon", "bars_and_tone"]  # black, frozen, a test card


@pytest.fixture
def poor_twitch(world):
    """A stand-in with one channel that moves, and three that do not."""
    with Standin(world.only([CHANNELS[0], *STILL])) as running:
        yield running
    assert not running.unknown


def test_a_download_of_every_behaviour(start, folder, catalog, twitch):
    """Frames of every channel that has any, no ad, no non-game; files and rows agree; failures are told by reason."""
    process = start("--frames", "90")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert "Downloaded 90 frames of 5 games" in stdout or "Downloaded 90 frames of 4 games" in stdout
    frames = set(folder.frames())
    assert len(frames) == 90
    assert rows(catalog) == frames
    assert {frame.login for frame in frames} == set(CHANNELS)
    images = [decode((folder.root / frame.path).read_bytes()) for frame in frames]
    assert {image.shape for image in images} == {(240, 240, 3)}
    assert not any(map(looks_like_ad, images))
    assert folder.names() == {s.game.id: s.game.name for s in catalog.games()}
    assert "Just Chatting" not in folder.names().values()


def test_what_does_not_move_is_left_out(start, folder, catalog, poor_twitch):
    """Black and a test card are left out and told by reason; of a frozen stream its first picture is kept."""
    process = start("--frames", "16", env={**poor_twitch.environment, "FILTER_FRAMES": "true"})
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    frames = set(folder.frames())
    assert Counter(frame.login for frame in frames) == {CHANNELS[0]: 15, "hanging_since_noon": 1}
    assert rows(catalog) == frames
    assert "4 streams tried, 2 failed (2 nothing to keep); 2 frames left out (1 black, 1 test card)." in stdout


def test_a_streamers_share_ends_what_he_gives(start, folder, catalog, poor_twitch):
    """Each of two streamers of two games gives 15 frames; then the run waits, and says whom it passes over."""
    no_others = {"NON_GAMES": "[9000005, 9000011]"}
    process = start(env={**poor_twitch.environment, "STREAMER_SHARE": "0.1", **no_others})
    assert "no game has live streams to take; waiting" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert set(Counter(frame.login for frame in folder.frames()).values()) == {15}
    assert rows(catalog) == set(folder.frames())
    assert "4 streams tried, 0 failed; 2 streamers passed over" in stdout or "2 streams tried, 0 failed; 2" in stdout


def test_the_frames_are_balanced_over_the_games(start, folder):
    """The game with the fewest frames comes next; while a slow turn is under way a quick game may get a second one."""
    process = start("--frames", "120")
    process.communicate(timeout=120)
    counts = Counter(frame.game_id for frame in folder.frames())
    assert len(counts) == 4
    assert max(counts.values()) - min(counts.values()) <= 30


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_in_order(start, folder, catalog, sent):
    """Ctrl-C and SIGTERM end the run with its totals and exit code 0; files and rows agree; nothing is half there."""
    process = start()
    wait_for_frames(folder, 10)
    process.send_signal(sent)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert stdout.startswith("Downloaded ")
    assert rows(catalog) == set(folder.frames())
    assert not folder.scan().leftovers


def test_enter_stops_it(start, folder):
    """On a terminal, Enter ends the run."""
    terminal, end = pty.openpty()
    process = start(stdin=end)
    wait_for_frames(folder, 1)
    os.write(terminal, b"\n")
    stdout, stderr = process.communicate(timeout=30)
    os.close(terminal)
    os.close(end)
    assert process.returncode == 0, stderr
    assert stdout.startswith("Downloaded ")


def test_minutes_end_it(start):
    """--minutes is a limit on time, here three seconds."""
    begun = time.monotonic()
    process = start("--minutes", "0.05")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert time.monotonic() - begun < 45


def test_killed_at_any_moment_dbsync_mends_it(start, run, folder, catalog):
    """Killed with -9 five times in the middle of saving: whole JPEGs only, and rows = files after data.dbSync."""
    for round_ in range(1, 6):
        process = start()
        wait_for_frames(folder, 12 * round_ + round_)
        process.kill()
        process.communicate()
    done = run("data.dbSync")
    assert done.returncode == 0, done.stderr
    frames = set(folder.frames())
    assert rows(catalog) == frames
    assert not catalog.rows().miscounted
    for frame in frames:
        assert decode((folder.root / frame.path).read_bytes()).shape == (240, 240, 3)


def test_two_downloads_side_by_side(start, folder, catalog):
    """Two runs share folder and catalogue: no file is overwritten, each row has its file."""
    first, second = start("--frames", "40"), start("--frames", "40")
    for process in (first, second):
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    assert len(set(folder.frames())) == 80
    assert rows(catalog) == set(folder.frames())


def test_wrong_credentials_end_it_with_what_to_fix(start):
    """Exit 1, one line that names the settings, no traceback."""
    process = start(env={"CLIENT_SECRET": "wrong"})
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "CLIENT_SECRET" in stderr
    assert len(stderr.splitlines()) == 1


def test_missing_credentials_are_a_setting(start):
    """Exit 2, naming CLIENT_ID."""
    process = start(env={"CLIENT_ID": ""})
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert stderr.startswith("error: CLIENT_ID")


def test_twitch_down_means_waiting(start, twitch, folder):
    """While Helix fails the run waits, asks a bounded number of times, and goes on when it is back."""
    twitch.fail("api.twitch.tv", 503, 4)
    process = start("--frames", "5", env={"HELIX_BUDGET_S": "1", "HELIX_PAUSE_S": "1"})
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 0, stderr
    assert "waiting 1 s" in stderr
    assert len(set(folder.frames())) == 5


def test_an_embedded_database_serves_it_too(start, twitch, tmp_path, home):
    """With DB_HOST empty everything works the same, and no server is left running."""
    process = start("--frames", "5", env={"DB_HOST": "", "DOWNLOAD_PATH": str(home / "own")})
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert len(list(Folder(home / "own" / "frames").frames())) == 5
    assert not (home / "own" / "postgres" / "data" / "postmaster.pid").exists()
