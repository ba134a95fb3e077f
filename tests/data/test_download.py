"""data.download as a user runs it: against the stand-in, on a real PostgreSQL, stopped and killed."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from data.video.images import decode_jpeg
from tests.data.conftest import CHANNELS, rows, wait_for_frames
from tests.standin import Standin, looks_like_ad
from tests.standin.media import TRANSCODES

STILL_CHANNELS = ["screen_of_night", "hanging_since_noon", "bars_and_tone"]  # black, frozen, a test card


@pytest.fixture
def still_twitch(world):
    """A stand-in with one channel whose picture moves, and three whose picture does not."""
    with Standin(world.only([CHANNELS[0], *STILL_CHANNELS])) as running:
        yield running
    assert not running.unknown


def test_download_with_a_channel_of_each_behaviour(start, folder, catalog, twitch):
    """Every channel with frames gives some; no frame shows an ad or a non-game; files and rows agree; games are equal.

    Each game gets one round: the run is faster than the streams, whose next rounds would bring the same frames again.
    """
    for channel in twitch.world.only(CHANNELS).channels:  # a game would be slow while its clip is transcoded
        twitch.transcoder.prepare(channel.file, TRANSCODES[0], fmp4=channel.behaviour == "fmp4")
    process = start("--frames", "60")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert stdout.startswith("Downloaded 60 frames of ")
    frames = set(folder.frames())
    counts = Counter(frame.game_id for frame in frames)
    assert (len(counts), counts.total()) == (4, 60)
    assert max(counts.values()) - min(counts.values()) <= 7  # half a round
    assert rows(catalog) == frames
    assert {frame.login for frame in frames} == set(CHANNELS)
    images = [decode_jpeg(folder.read(frame)) for frame in frames]
    assert {image.shape for image in images} == {(240, 240, 3)}
    assert not any(map(looks_like_ad, images))
    assert folder.game_names() == {s.game.id: s.game.name for s in catalog.games()}
    assert "Just Chatting" not in folder.game_names().values()


def test_still_pictures_are_rejected(download, folder, catalog, still_twitch):
    """Black frames and test cards are rejected by reason; of a frozen stream only the first frame is saved."""
    done = download("--frames", "16", **still_twitch.environment | {"FILTER_FRAMES": "true"})
    assert done.returncode == 0, done.stderr
    frames = set(folder.frames())
    assert Counter(frame.login for frame in frames) == {CHANNELS[0]: 15, "hanging_since_noon": 1}
    assert rows(catalog) == frames
    assert "4 streams tried, 2 failed (2 nothing to keep); 2 frames rejected (1 black, 1 test card)." in done.stdout


def test_streamers_over_quota_are_skipped(start, folder, catalog, world):
    """Each of two streamers of two games gives 15 frames; then the run waits, until SIGTERM, and counts them."""
    with Standin(world.only(CHANNELS[:2])) as running:
        process = start(env={**running.environment, "MAX_STREAMER_FRACTION": "0.1"})
        assert "to grab, but those of streamers over MAX_STREAMER_FRACTION; waiting" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert set(Counter(frame.login for frame in folder.frames()).values()) == {15}
    assert rows(catalog) == set(folder.frames())
    assert "4 streams tried, 0 failed; 2 streamers over quota" in stdout or "2 streams tried, 0 failed; 2" in stdout


def test_ctrl_c_ends_the_run_with_its_totals(start, folder, catalog):
    """SIGINT: totals on stdout, exit code 0, files and rows agree, no temporary file is left."""
    process = start()
    wait_for_frames(folder, 10)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert stdout.startswith("Downloaded ")
    assert rows(catalog) == set(folder.frames())
    assert not folder.scan().stale_files


def test_minutes_limits_the_time(download):
    """--minutes 0.02 ends the run after a second."""
    begun = time.monotonic()
    assert download("--minutes", "0.02").returncode == 0
    assert time.monotonic() - begun < 45


def test_two_concurrent_downloads_share_a_dataset(start, download, folder, catalog):
    """Two runs share folder and catalog: no file is overwritten, and each row has its file."""
    first = start("--frames", "40", env={"HELIX_RETRY_INTERVAL_S": "1"})
    wait_for_frames(folder, 1)
    second = download("--frames", "40", HELIX_RETRY_INTERVAL_S="1")
    assert second.returncode == 0, second.stderr
    _, stderr = first.communicate(timeout=120)
    assert first.returncode == 0, stderr
    assert len(set(folder.frames())) == 80
    assert rows(catalog) == set(folder.frames())


def test_wrong_credentials_name_the_setting(download):
    """Exit code 1, one line that names the setting, no traceback."""
    done = download(CLIENT_SECRET="wrong")
    assert done.returncode == 1
    assert "CLIENT_SECRET" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_missing_credentials_name_the_setting(download):
    """Exit code 2, and the line starts with CLIENT_ID."""
    done = download(CLIENT_ID="")
    assert done.returncode == 2
    assert done.stderr.startswith("error: CLIENT_ID")


def test_helix_outage_waits_then_continues(download, twitch, folder):
    """While Helix fails the run waits, and it continues when Helix is back."""
    twitch.fail("api.twitch.tv", 503, 4)
    done = download("--frames", "5", HELIX_RETRY_BUDGET_S="1", HELIX_RETRY_INTERVAL_S="1")
    assert done.returncode == 0, done.stderr
    assert "waiting 1 s" in done.stderr
    assert len(set(folder.frames())) == 5
