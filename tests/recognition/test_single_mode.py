"""recognition.recognize with its options, as a user starts it: many sources, JSON, categories, pictures, exit codes."""

from __future__ import annotations

import json
import subprocess

import pytest

from recognition.modes.single import combine_exit_codes
from recognition.recognize import main
from tests.recognition.commands import BRIGHT, DARK, ROOT, command, environment, recognize, save_model
from tests.recognition.schema import valid
from tests.standin import Standin

DARK_LOGIN, BRIGHT_LOGIN = "dcss_minotaur_berserker", "etr_bumpy_ride"


@pytest.fixture(scope="module")
def twitch(world):
    """The stand-in, with the channels that are recognised here."""
    with Standin(world.only({DARK_LOGIN, BRIGHT_LOGIN, "already_over", "went_to_bed", "only_sponsors"})) as running:
        yield running
    assert not running.unknown


def credentials(twitch: Standin) -> dict[str, str]:
    """The settings that Helix needs."""
    return {name: value for name, value in twitch.environment.items() if name.startswith("CLIENT")}


def test_many_sources(twitch, model_path):
    """Each line begins with its source; one that fails has a line on stderr, and the others their answers."""
    done = recognize(twitch, model_path, BRIGHT_LOGIN, "already_over", DARK_LOGIN, FRAMES_PER_STREAM="1")
    assert done.stdout.splitlines() == [
        f"{BRIGHT_LOGIN}: Frame 1: {BRIGHT.name} with a 100.00% confidence.",
        f"{BRIGHT_LOGIN}: {BRIGHT.name} with a score of 1.0",
        f"{DARK_LOGIN}: Frame 1: {DARK.name} with a 100.00% confidence.",
        f"{DARK_LOGIN}: {DARK.name} with a score of 1.0",
    ]
    assert (done.returncode, done.stderr) == (3, "error: already_over is not live\n")


@pytest.mark.parametrize(
    ("codes", "code"), [([0, 0], 0), ([0, 3], 3), ([3, 3], 3), ([3, 7], 1), ([8], 8), ([8, 0, 8], 8), ([0, 8, 3], 1)]
)
def test_the_exit_code_of_many(codes, code):
    """0 when all were answered, the failures' own where they agree, otherwise 1."""
    assert combine_exit_codes(codes) == code


def test_sources_from_stdin_and_a_file(twitch, model_path, tmp_path):
    """`-` reads stdin, --from a file; as JSON, each line as described, a failure among them."""
    file = tmp_path / "channels.txt"
    file.write_text(f"{DARK_LOGIN} # the dark one\nwent_to_bed\n")
    done = subprocess.run(
        command("-", "--from", str(file), "--json", "--frames", "2", "--top", "2"),
        cwd=ROOT,
        env=environment(twitch, model_path),
        input=f"{BRIGHT_LOGIN}\n",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = [valid(json.loads(line)) for line in done.stdout.splitlines()]
    assert [(event["source"], event["event"]) for event in said] == [
        *[(BRIGHT_LOGIN, "frame")] * 2,
        (BRIGHT_LOGIN, "verdict"),
        *[(DARK_LOGIN, "frame")] * 2,
        (DARK_LOGIN, "verdict"),
        ("went_to_bed", "failure"),
    ]
    assert (said[2]["game"]["id"], said[2]["frames"], said[2]["category"]) == (BRIGHT.id, 2, None)
    assert [one["name"] for one in said[2]["top"]] == [BRIGHT.name, DARK.name]
    assert (done.returncode, said[-1]["exit_code"], done.stderr) == (3, 3, "")


def test_each_json_line_is_flushed(twitch, model_path):
    """A reader of the pipe has the first frame while the command still waits for the next stream."""
    words = command(BRIGHT_LOGIN, "only_sponsors", "--json")
    env = environment(twitch, model_path, AD_WAIT_S="600", FRAMES_PER_STREAM="1")
    with subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        said = [json.loads(process.stdout.readline())["event"] for _ in range(2)]
        assert process.poll() is None
        process.terminate()
        assert process.wait(30) == 130
    assert said == ["frame", "verdict"]


def test_it_stops_when_the_answer_is_certain(twitch, model_path):
    """--frames looks at fewer where they agree, and says at how many; with --sure 1 at all."""
    early = recognize(twitch, model_path, DARK_LOGIN, "--frames", "13").stdout.splitlines()
    count = len(early) - 1
    assert 2 <= count < 7
    assert early[-1] == f"{DARK.name} with a score of {count}.0 (certain after {count} frames)"
    whole = recognize(twitch, model_path, DARK_LOGIN, "--frames", "13", "--sure", "1").stdout.splitlines()
    assert whole[13:] == [f"{DARK.name} with a score of 13.0"]


def test_alternatives(twitch, model_path):
    """--top says what else it might be."""
    done = recognize(twitch, model_path, DARK_LOGIN, "--top", "2", FRAMES_PER_STREAM="1")
    assert done.stdout.splitlines() == [
        f"Frame 1: {DARK.name} with a 100.00% confidence. Then {BRIGHT.name} 0.00%.",
        f"{DARK.name} with a score of 1.0, then {BRIGHT.name} with 0.0",
    ]


def test_twitch_s_own_word(twitch, tmp_path):
    """With credentials the category stands beside the answer, and a mismatch is marked: by ids, whatever the names."""
    renamed = save_model(tmp_path, (DARK, type(BRIGHT)(BRIGHT.id, "EXTREME TUX RACER")))
    done = recognize(twitch, renamed, BRIGHT_LOGIN, "--category", FRAMES_PER_STREAM="1", **credentials(twitch))
    assert done.stdout.splitlines()[-1] == f"EXTREME TUX RACER with a score of 1.0 (category: {BRIGHT.name})"
    swapped = save_model(tmp_path / "swapped", (BRIGHT, DARK))
    done = recognize(twitch, swapped, BRIGHT_LOGIN, "--category", FRAMES_PER_STREAM="1", **credentials(twitch))
    assert done.stdout.splitlines()[-1] == f"{DARK.name} with a score of 1.0 (category: {BRIGHT.name}, mismatch)"
    assert done.returncode == 0


def test_categories_without_credentials(twitch, model_path):
    """--category asks Helix, which needs them: exit code 2, and the line names the setting."""
    done = recognize(twitch, model_path, BRIGHT_LOGIN, "--category")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: CLIENT_ID: ")


def test_an_answer_that_is_not_confident_enough(twitch, tmp_path):
    """Where no game reaches --min-confidence the answer is unknown, and so is the exit code."""
    unsure = save_model(tmp_path, (DARK, BRIGHT), sure=0.0)
    done = recognize(twitch, unsure, BRIGHT_LOGIN, "--min-confidence", "0.6", FRAMES_PER_STREAM="2")
    assert done.stdout.splitlines() == [
        f"Frame 1: Unknown (closest: {DARK.name} with a 50.00% confidence).",
        f"Frame 2: Unknown (closest: {DARK.name} with a 50.00% confidence).",
        f"Unknown with a score of 2.0 (closest: {DARK.name})",
    ]
    assert (done.returncode, done.stderr) == (8, "")


def test_frames_are_saved(twitch, model_path, tmp_path):
    """--save leaves a picture of each frame, and the sheet."""
    done = recognize(twitch, model_path, DARK_LOGIN, "--save", str(tmp_path / "album"), FRAMES_PER_STREAM="2")
    assert done.returncode == 0
    assert {path.name for path in (tmp_path / "album" / DARK_LOGIN).iterdir()} == {
        *("frame-001.jpg", "frame-002.jpg", "sheet.jpg")
    }


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["x", "--top", "0"], "--top: '0' is not a whole number from 1 on"),
        (["x", "--min-confidence", "90"], "--min-confidence: '90' is not a number from 0 to 1"),
        (["x", "--min-confidence", "nan"], "--min-confidence: 'nan' is not a number"),
        (["x", "--frames", "many"], "--frames: 'many' is not a whole number"),
        (["x", "--watch", "--every", "0"], "--every: '0' is not a number above 0"),
        (["x", "--metrics", "70000"], "--metrics: '70000' is not a port"),
        (["x", "--webhook", "http://a"], "--webhook goes with --watch"),
        (["x", "--watch", "--preview"], "--preview does not go with --watch"),
        (["x", "--watch", "--frames", "3"], "--frames does not go with --watch"),
        (["--game", "x", "--save", "d"], "--save does not go with --game"),
        (["x", "--sure", "0.5"], "--sure goes with --frames"),
        ([], "required: source"),
    ],
)
def test_what_does_not_go_together(words, fault, capsys):
    """The usage, and a line that says what is wrong; exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert fault in capsys.readouterr().err
