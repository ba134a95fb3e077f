"""recognition.recognize on video files with the faults of the field: the real command in its three modes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.recognition.commands import BRIGHT, DARK, recognize
from tests.sample_images import flat, segment, without_key_frames
from tests.sample_videos import lossy, recording, sound

GRAY = (30, 30, 30)


@pytest.fixture
def files(tmp_path) -> Path:
    """Return a folder of videos without a picture, and of one that is dark at first and bright at last."""
    videos = {
        "empty.mp4": b"",
        "text.mp4": b"no video\n" * 99,
        "sound.ts": sound("mpegts"),
        "no_key_frame.ts": without_key_frames(segment(*[flat(GRAY)] * 9)),
        "no_index.mp4": recording()[:3000],
        "good.mkv": recording("matroska", options={"live": "1"}),
    }
    for name, content in videos.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


BAD = ["empty.mp4", "text.mp4", "sound.ts", "no_key_frame.ts", "no_index.mp4"]


@pytest.mark.parametrize(
    ("mode", "exit_code"), [([], 6), (["--parallel", "2"], 0), (["--watch"], 6)], ids=["single", "survey", "watch"]
)
def test_file_without_a_picture_fails_alone_with_exit_6(standin, model_path, files, mode, exit_code):
    """Each has a line that names it, and the source after them all has its verdict; a survey counts failures."""
    done = recognize(standin, model_path, *mode, "--json", *BAD, "good.mkv", cwd=files)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    failures = {event["source"]: event for event in events if event["event"] == "failure"}
    assert sorted(failures) == sorted(BAD)
    assert {event["reason"] for event in failures.values()} == {"no picture"}
    assert all(source in event["message"] for source, event in failures.items())
    assert [event["source"] for event in events if event["event"] == "verdict"] == ["good.mkv"]
    assert "Traceback" not in done.stderr
    assert done.returncode == exit_code


def test_recording_without_a_length_is_not_judged_by_its_beginning(standin, model_path, tmp_path):
    """Of a Matroska that OBS could not finish, two fifths are dark, and the verdict is that of the rest."""
    times = [number / 10 for number in range(200)]
    (tmp_path / "dark_first.mkv").write_bytes(recording("matroska", times=times, options={"live": "1"}))
    done = recognize(standin, model_path, "dark_first.mkv", "--frames", "15", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith(BRIGHT.name)
    assert DARK.name in done.stdout


def test_watch_of_a_recording_with_packet_loss_runs_to_its_end(standin, model_path, tmp_path):
    """Twice a second, over frames without timestamps."""
    (tmp_path / "lossy.ts").write_bytes(lossy(recording("mpegts", size=(320, 240)), 0.01, 2))
    done = recognize(standin, model_path, "--watch", "--every", "0.5", "--json", "lossy.ts", cwd=tmp_path)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert 30 <= next(event["frames"] for event in events if event["event"] == "verdict") <= 42


def test_fifo_and_device_are_refused_at_once(standin, model_path, tmp_path):
    """Neither is waited for nor read. What is no channel, no file and no picture has the same exit code."""
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "empty").mkdir()
    for source in ("./fifo.mp4", "/dev/zero", "twitch.tv/directory", "no such.png", "empty/"):
        done = recognize(standin, model_path, source, cwd=tmp_path)
        assert done.returncode == 5
        assert done.stderr.count("\n") == 1
