"""recognition.recognize on pictures and on the forms of a channel's address: the real command in its three modes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.recognition.commands import BRIGHT, DARK, recognize


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder of two dark pictures, a bright one and a damaged one."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for name, grey in {"1.png": 10, "2.webp": 20, "10.jpg": 250}.items():
        cv2.imwrite(str(folder / name), np.full((90, 160, 3), grey, np.uint8))
    (folder / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def test_folder_of_pictures_is_one_source_with_one_verdict(standin, model_path, folder):
    """Each picture is a frame, in natural order; the damaged one is counted on stderr."""
    done = recognize(standin, model_path, str(folder))
    assert done.returncode == 0
    games = [line.partition(": ")[2].partition(" with")[0] for line in done.stdout.splitlines()[:3]]
    assert games == [DARK.name, DARK.name, BRIGHT.name]
    assert done.stdout.splitlines()[-1].startswith(f"{DARK.name} with a score of 2.0")
    assert "1 picture left out: 3.png" in done.stderr


@pytest.mark.parametrize("mode", [["--watch"], ["--parallel", "2"]])
def test_pictures_are_sources_of_the_other_modes(standin, model_path, folder, mode):
    """A folder and one of its pictures."""
    sources = [str(folder), str(folder / "10.jpg")]
    done = recognize(standin, model_path, *mode, "--json", *sources)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    verdicts = {event["source"]: event["frames"] for event in events if event["event"] == "verdict"}
    assert [verdicts[source] for source in sources] == [3, 1]


def test_forms_of_one_channel_are_one_source(standin, model_path):
    """The first spelling is the source's name; --category finds the channel."""
    forms = ["@Etr_Bumpy_Ride", "m.twitch.tv/etr_bumpy_ride/videos", "https://player.twitch.tv/?channel=etr_bumpy_ride"]
    done = recognize(standin, model_path, "--json", "--frames", "1", *forms)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["source"] for event in events if event["event"] == "verdict"] == ["etr_bumpy_ride"]
