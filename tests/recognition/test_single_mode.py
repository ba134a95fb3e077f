"""Single mode, run as a command: several sources, JSON, early stopping, categories, images, exit codes and options."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import threading

import pytest
from arro3.io import read_parquet

from recognition.modes.single import DEFAULT_CERTAINTY, combine_exit_codes
from recognition.recognize import main
from tests.recognition.commands import BRIGHT, DARK, ROOT, command, environment, recognize, save_model
from tests.recognition.schema import valid
from tests.standin import Standin

DARK_LOGIN, BRIGHT_LOGIN = "dcss_minotaur_berserker", "etr_bumpy_ride"


@pytest.fixture(scope="module")
def twitch(world):
    """Run the stand-in with the channels of this module."""
    with Standin(world.only({DARK_LOGIN, BRIGHT_LOGIN, "already_over", "went_to_bed", "only_sponsors"})) as running:
        yield running
    assert not running.unknown


def credentials(twitch: Standin) -> dict[str, str]:
    """Return the settings that Helix needs."""
    return {name: value for name, value in twitch.environment.items() if name.startswith("CLIENT")}


def test_several_sources_when_one_fails_print_the_others(twitch, model_path):
    """Each line begins with its source; the failure is one line on stderr, and the other sources have verdicts."""
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
def test_exit_codes_when_combined_are_zero_common_or_one(codes, code):
    """The result is 0 if all codes are 0, the code that all failures share, otherwise 1."""
    assert combine_exit_codes(codes) == code


def test_json_when_sources_come_from_stdin_and_a_file_follows_the_schema(twitch, model_path, tmp_path):
    """`-` reads sources from stdin, --from from a file; each JSON line is valid, a failure included."""
    file = tmp_path / "channels.txt"
    file.write_text(f"{DARK_LOGIN} # the dark one\nwent_to_bed\n")
    words = ("-", "--from", str(file), "--json", "--frames", "2", "--top", "2")
    done = recognize(twitch, model_path, *words, stdin=f"{BRIGHT_LOGIN}\n")
    events = [valid(json.loads(line)) for line in done.stdout.splitlines()]
    assert [(event["source"], event["event"]) for event in events] == [
        *[(BRIGHT_LOGIN, "frame")] * 2,
        (BRIGHT_LOGIN, "verdict"),
        *[(DARK_LOGIN, "frame")] * 2,
        (DARK_LOGIN, "verdict"),
        ("went_to_bed", "failure"),
    ]
    verdict = events[2]
    assert (verdict["game"]["id"], verdict["frames"], verdict["category"]) == (BRIGHT.id, 2, None)
    assert [game["name"] for game in verdict["top"]] == [BRIGHT.name, DARK.name]
    assert (done.returncode, events[-1]["exit_code"], done.stderr) == (3, 3, "")


def test_json_line_when_printed_is_flushed(twitch, model_path):
    """A reader of the pipe receives the first source's lines while the command still waits for the next stream."""
    arguments = command(BRIGHT_LOGIN, "only_sponsors", "--json")
    env = environment(twitch, model_path, AD_WAIT_S="600", FRAMES_PER_STREAM="1")
    with subprocess.Popen(arguments, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        events = [json.loads(process.stdout.readline())["event"] for _ in range(2)]
        assert process.poll() is None
        process.terminate()
        assert process.wait(60) in (130, 143)  # the second one by force, under load
    assert events == ["frame", "verdict"]


def test_frames_option_when_frames_agree_stops_early(twitch, model_path):
    """--frames classifies fewer frames and prints their number; with --sure 1 it classifies all."""
    early = recognize(twitch, model_path, DARK_LOGIN, "--frames", "13").stdout.splitlines()
    count = len(early) - 1
    assert 2 <= count < 7
    assert early[-1] == f"{DARK.name} with a score of {count}.0 (certain after {count} frames)"
    whole = recognize(twitch, model_path, DARK_LOGIN, "--frames", "13", "--sure", "1").stdout.splitlines()
    assert whole[13:] == [f"{DARK.name} with a score of 13.0"]


def test_top_option_when_two_prints_the_second_game(twitch, model_path):
    """--top 2 appends the second game to frames as a percentage and to verdicts as a score."""
    done = recognize(twitch, model_path, DARK_LOGIN, "--top", "2", FRAMES_PER_STREAM="1")
    assert done.stdout.splitlines() == [
        f"Frame 1: {DARK.name} with a 100.00% confidence. Then {BRIGHT.name} 0.00%.",
        f"{DARK.name} with a score of 1.0, then {BRIGHT.name} with 0.0",
    ]


def test_category_is_printed_and_mismatch_marked(twitch, tmp_path):
    """--category appends the streamer's category; games match by id, even if their names differ."""
    renamed = save_model(tmp_path, (DARK, type(BRIGHT)(BRIGHT.id, "EXTREME TUX RACER")))
    done = recognize(twitch, renamed, BRIGHT_LOGIN, "--category", FRAMES_PER_STREAM="1", **credentials(twitch))
    assert done.stdout.splitlines()[-1] == f"EXTREME TUX RACER with a score of 1.0 (category: {BRIGHT.name})"
    swapped = save_model(tmp_path / "swapped", (BRIGHT, DARK))
    done = recognize(twitch, swapped, BRIGHT_LOGIN, "--category", FRAMES_PER_STREAM="1", **credentials(twitch))
    assert done.stdout.splitlines()[-1] == f"{DARK.name} with a score of 1.0 (category: {BRIGHT.name}, mismatch)"
    assert done.returncode == 0


def test_category_without_credentials_names_the_setting(twitch, model_path):
    """--category needs Helix: without credentials, the exit code is 2 and the message begins with the setting."""
    done = recognize(twitch, model_path, BRIGHT_LOGIN, "--category")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: CLIENT_ID is empty")


def test_min_confidence_when_not_reached_gives_unknown(twitch, tmp_path):
    """Frames and the verdict below --min-confidence are unknown; the exit code is 8."""
    undecided = save_model(tmp_path, (DARK, BRIGHT), slope=0.0)
    done = recognize(twitch, undecided, BRIGHT_LOGIN, "--min-confidence", "0.6", FRAMES_PER_STREAM="2")
    assert done.stdout.splitlines() == [
        f"Frame 1: Unknown (closest: {DARK.name} with a 50.00% confidence).",
        f"Frame 2: Unknown (closest: {DARK.name} with a 50.00% confidence).",
        f"Unknown with a score of 2.0 (closest: {DARK.name})",
    ]
    assert (done.returncode, done.stderr) == (8, "")


@pytest.mark.parametrize("option", ["--csv", "--parquet"])
def test_file_option_adds_a_file_and_changes_nothing_else(twitch, model_path, tmp_path, option):
    """Order, lines and exit code of a list are the same with and without the file, whose rows are in that order."""
    words = (BRIGHT_LOGIN, "already_over", DARK_LOGIN)
    plain = recognize(twitch, model_path, *words, FRAMES_PER_STREAM="1")
    file = tmp_path / "answers"
    done = recognize(twitch, model_path, *words, option, str(file), FRAMES_PER_STREAM="1")
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    if option == "--csv":
        rows = [row["source"] for row in csv.DictReader(file.read_text().splitlines())]
    else:
        rows = read_parquet(file).read_all().column("source").to_pylist()
    assert rows == [*words]


def test_csv_to_stdout_is_alone_there(twitch, model_path):
    """`--csv -` prints the table only; the failure is a line on stderr; the exit code stays."""
    done = recognize(twitch, model_path, BRIGHT_LOGIN, "already_over", "--csv", "-", FRAMES_PER_STREAM="1")
    rows = [*csv.DictReader(done.stdout.splitlines())]
    assert [(row["source"], row["game"], row["reason"]) for row in rows] == [
        (BRIGHT_LOGIN, BRIGHT.name, ""),
        ("already_over", "", "offline"),
    ]
    assert (done.returncode, done.stderr) == (3, "error: already_over is not live\n")


def test_parquet_to_stdout_is_alone_there(twitch, model_path, tmp_path):
    """`--parquet -` writes the file to stdout and nothing else."""
    env, file = environment(twitch, model_path, FRAMES_PER_STREAM="1"), tmp_path / "answers"
    with file.open("wb") as stdout:
        subprocess.run(command(BRIGHT_LOGIN, "--parquet", "-"), cwd=ROOT, env=env, stdout=stdout, check=True)
    assert read_parquet(file).read_all().column("game").to_pylist() == [BRIGHT.name]


def test_output_that_fails_costs_a_line_and_the_exit_code(twitch, model_path, tmp_path):
    """The reader of a named pipe leaves: one line says so, frames and verdicts are printed, the exit code is 1."""
    pipe, other = tmp_path / "pipe", tmp_path / "other.csv"
    os.mkfifo(pipe)

    def read_header() -> None:
        with pipe.open() as reader:
            reader.readline()

    thread = threading.Thread(target=read_header)
    thread.start()
    words = (BRIGHT_LOGIN, DARK_LOGIN, "--csv", str(pipe), "--parquet", str(other))
    done = recognize(twitch, model_path, *words, FRAMES_PER_STREAM="1")
    thread.join()
    assert len(done.stdout.splitlines()) == 4
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"error: --csv: cannot write {pipe}: ")
    assert read_parquet(other).read_all().num_rows == 2


@pytest.mark.parametrize(
    "option",
    [
        *("--csv /dev/full", "--csv {}", "--parquet {}", "--save /dev/full"),
        *(f"{option} {'x' * 300}" for option in ("--csv", "--parquet", "--save")),
    ],
    ids=range(7),
)
def test_file_when_unwritable_is_one_line(twitch, model_path, tmp_path, option):
    """A full disk, or a folder in place of the file, is reported before anything is recognised."""
    done = recognize(twitch, model_path, BRIGHT_LOGIN, *option.format(tmp_path).split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"error: {option.split()[0]}: cannot write ")
    assert [*tmp_path.iterdir()] == []


def test_file_without_result_keeps_the_earlier_one(twitch, model_path, tmp_path):
    """A command that fails before its first result leaves the tables of an earlier run as they are."""
    files = tmp_path / "a.csv", tmp_path / "a.parquet"
    for file in files:
        file.write_text("earlier")
    done = recognize(twitch, tmp_path, BRIGHT_LOGIN, "--csv", str(files[0]), "--parquet", str(files[1]))
    assert "model" in done.stderr
    assert (done.returncode, [file.read_text() for file in files]) == (1, ["earlier"] * 2)


def test_name_that_is_not_utf8_is_written_with_a_replacement_character(twitch, model_path, tmp_path, world):
    """A file whose name is not UTF-8 is recognised; JSON, CSV, Parquet, images and messages are valid UTF-8."""
    name = os.fsdecode(bytes(tmp_path / "caf") + b"\xe9\x1b[31m.mp4")
    shutil.copy(world.channel(BRIGHT_LOGIN).file, name)
    files = tmp_path / "a.csv", tmp_path / "a.parquet"
    words = (name, f"{name}.missing", "--csv", str(files[0]), "--parquet", str(files[1]), "--save", str(tmp_path / "d"))
    done = recognize(twitch, model_path, *words, "--json", FRAMES_PER_STREAM="1")
    *_, verdict, failure = [valid(json.loads(line)) for line in done.stdout.splitlines()]
    shown = str(tmp_path / "caf\ufffd\x1b[31m.mp4")
    assert (verdict["source"], failure["source"]) == (shown, f"{shown}.missing")
    assert [row["source"] for row in csv.DictReader(files[0].open(newline=""))] == [shown, f"{shown}.missing"]
    assert read_parquet(files[1]).read_all().column("source").to_pylist() == [shown, f"{shown}.missing"]
    assert len([*(tmp_path / "d").rglob("sheet.jpg")]) == 1
    text = recognize(twitch, model_path, *words[:2], FRAMES_PER_STREAM="1")
    assert done.returncode == text.returncode == 5
    assert all(line.isprintable() for run in (done, text) for line in (run.stdout + run.stderr).splitlines())


def test_save_option_writes_frames_and_contact_sheet(twitch, model_path, tmp_path):
    """--save writes an image of each frame and the contact sheet."""
    done = recognize(twitch, model_path, DARK_LOGIN, "--save", str(tmp_path / "album"), FRAMES_PER_STREAM="2")
    assert done.returncode == 0
    assert {path.name for path in (tmp_path / "album" / DARK_LOGIN).iterdir()} == {
        *("frame-001.jpg", "frame-002.jpg", "sheet.jpg")
    }


_NO_TIMES = ("nan", "inf", "-1", "1e300", "1e-300", "")
_CONFLICTS = [
    (["x", "--top", "0"], "--top: invalid value '0': must be a whole number, at least 1"),
    (["x", "--min-confidence", "90"], "--min-confidence: invalid value '90': must be a number from 0 to 1"),
    (["x", "--min-confidence", "nan"], "--min-confidence: invalid value 'nan': must be a number"),
    (["x", "--frames", "many"], "--frames: invalid value 'many': must be a whole number"),
    (["x", "--watch", "--every", "0"], "--every: invalid value '0': must be a number above 0"),
    *((["x", "--watch", "--every", n], f"--every: invalid value '{n}'") for n in _NO_TIMES),
    *((["x", "--watch", "--minutes", n], f"--minutes: invalid value '{n}'") for n in _NO_TIMES),
    *(
        (["x", option, n], f"{option}: invalid value '{n}': must be a whole number")
        for option in ("--top", "--frames", "--top-streams", "--parallel")
        for n in ("0", "-1", "nan", "inf", "1e3", "1.5", "", "9" * 30, "9" * 5000)
    ),
    *((["x", "--frames", "3", "--sure", n], f"--sure: invalid value '{n}'") for n in ("nan", "inf", "-0.1", "1.1", "")),
    *((["x", "--metrics", n], f"--metrics: invalid value '{n}'") for n in ("-1", "nan", "1e3", "")),
    *(
        (["x", option, ""], f"{option}: invalid value ''")
        for option in ("--csv", "--parquet", "--save", "--from", "--game")
    ),
    (["x", "--watch", "--webhook", ""], "--webhook: invalid value ''"),
    (["x", "--json", "--csv", "-"], "--json cannot be used with --csv -"),
    (["x", "--csv", "-", "--parquet", "-"], "--parquet - would overwrite"),
    (["x", "--csv", "a", "--parquet", "./a"], "--parquet ./a would overwrite another file"),
    ([__file__, "--csv", __file__], "would overwrite another file of this command"),
    (["--from", __file__, "--parquet", __file__], "would overwrite another file of this command"),
    (["x", "--metrics", "70000"], "--metrics: invalid value '70000': must be a port"),
    (["x", "--webhook", "http://a"], "--webhook needs --watch"),
    (["x", "--watch", "--preview"], "--preview cannot be used with --watch"),
    (["x", "--watch", "--frames", "3"], "--frames cannot be used with --watch"),
    (["--game", "x", "--save", "d"], "--save cannot be used with --game"),
    (["x", "y", "--save", "d", "--ray", "local"], "--save cannot be used with --ray"),
    (["x", "--ray", "local"], "--ray needs --watch or more than one source"),
    (["x", "--ray", "local", "--chapters"], "--ray cannot be used with --chapters"),
    (["x", "--watch", "--window", "1h"], "--window cannot be used with --watch"),
    (["x", "--sure", "0.5"], "--sure needs --frames"),
    ([], "required: source"),
]


@pytest.mark.parametrize(("arguments", "message"), _CONFLICTS, ids=range(len(_CONFLICTS)))
def test_conflicting_options_are_rejected(arguments, message, capsys):
    """The usage and a line that names the option are printed to stderr; the exit code is 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_help_states_the_default_certainty_and_the_scale_of_scores(capsys):
    """--help cannot import the mode, which is slow: the default in its text is a copy of the mode's constant."""
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert f"(default: {DEFAULT_CERTAINTY})" in text
    assert "13.9 is out of N" in text
