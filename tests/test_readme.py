"""The README is true: its settings are the settings, its commands exist, its links lead somewhere."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest

import twitchcategory
from config import Settings
from data.commands import COMMANDS as SUB_COMMANDS
from data.entities import Game
from data.errors import SettingsError, StreamError
from docs.settings import PAGE, with_table
from recognition.decision.verdict import Prediction, Verdict
from recognition.events import GameChanged, VerdictReached
from recognition.modes.single import EXIT_UNKNOWN
from recognition.outputs.console import ChangeLines
from tests.in_process import run_command
from tests.recognition.commands import BRIGHT, DARK, environment, save_model
from tests.standin import Standin

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/*/*.md"), *ROOT.glob("tests/*/*/*.md")]
NOT_SETTINGS = {"TF_CONFIG", "INTER_AREA", "PIPX_HOME", "IMG_SZE", "CLIENT_IP", "HTTPS_PROXY"}  # of others, and slips
MODEL_FILES = {"model.onnx", "model.tflite", "data.py"}  # they look like modules
SHELL = {".", "export", "mv", "rm", "pip", "pipx", "uv"}  # commands of the shell and of installers
COMMANDS = sorted(
    {
        line[2:]
        for page in PAGES
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("$ ") and line.split()[1] not in SHELL
    }
)


def test_the_settings_table_is_that_of_config():
    """Every setting stands in the table with its type, default and meaning; python -m docs.settings writes it."""
    text = PAGE.read_text(encoding="utf-8")
    assert with_table(text) == text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_one(command, monkeypatch):
    """A make target exists; a command's own parser accepts exactly the words shown, and nothing runs."""
    words = [word for word in shlex.split(command, comments=True) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    if words[0] == "make":
        done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return
    if words[0] == "twitchcategory":
        if words[1] not in SUB_COMMANDS:
            with pytest.raises(SystemExit, match=r"^0$"):
                twitchcategory.main(words[1:])
            return
        words = ["python", "-m", SUB_COMMANDS[words[1]][0], *words[2:]]
    assert words[:2] == ["python", "-m"]
    module = importlib.import_module(words[2])
    # The others have no run_command that could be replaced.
    if not words[2].startswith(("data.", "model.", "recognition.", "dashboard.")):
        done = subprocess.run([sys.executable, *words[1:], "--help"], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return
    parsed = []
    monkeypatch.setattr("data.cli.run_command", lambda arguments, *_, **__: parsed.append(arguments) or 0)
    assert module.main(words[3:]) == 0
    assert len(parsed) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_to_a_file_and_to_a_heading(page: Path):
    """Pictures and pages that a page points at are in the repository; the part behind # is a heading of that page."""
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    missing = []
    for target in targets:
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            missing.append(target)
    assert not missing


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_module_setting_and_option_that_a_page_names_exists(page: Path):
    """Paths and modules are in the repository; names in capitals are settings; options belong to a command."""
    if page.name in ("CHANGELOG.md", "model_card.md"):  # they name what was removed, and versions of others
        return
    quoted = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S))
    names = set(quoted)
    paths = {
        name
        for name in names
        if re.fullmatch(r"(data|model|recognition|dashboard|tests|benchmarks|docs)/[\w/]+\.\w+", name)
    }
    missing = [path for path in paths if not (ROOT / path).exists()]
    modules = {
        name
        for name in names
        if re.fullmatch(r"(data|model|recognition|dashboard|benchmarks|docs|tests)(\.[a-zA-Z_]+)+", name)
    }
    missing += [name for name in modules - MODEL_FILES if not _module_exists(name)]
    words = {name.partition("=")[0] for name in names}
    settings = {word for word in words if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", word)} - NOT_SETTINGS
    missing += [name for name in settings if name.lower() not in Settings.model_fields]
    options = {word.split()[0] for name in names for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", name)}
    assert not missing + sorted(options - _options())


def _module_exists(name: str) -> bool:
    """Return whether `name` is a module, a package, or a function or class of a module, such as data.info.report."""
    path = ROOT.joinpath(*name.split("."))
    module = path.parent.with_suffix(".py")
    defined = module.exists() and re.search(rf"^(def|class) {path.name}\b", module.read_text(encoding="utf-8"), re.M)
    return path.is_dir() or path.with_suffix(".py").exists() or bool(defined)


@cache
def _options() -> set[str]:
    """Return the long options in the sources of all commands, the stand-in and the benchmarks."""
    sources = [*ROOT.glob("data/*.py"), *ROOT.glob("model/*.py"), *ROOT.glob("recognition/*.py")]
    sources += ROOT.glob("dashboard/*.py")
    sources.append(ROOT / "twitchcategory.py")
    sources += [*ROOT.glob("tests/standin/*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/*.py")]
    found = {option for path in sources for option in re.findall(r'"(--[a-z-]+)"', path.read_text(encoding="utf-8"))}
    return found | {"--help"}


def test_each_benchmark_of_the_page_exists():
    """docs/benchmarks.md names every benchmark that `make bench` runs."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    names = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    assert not names - set(re.findall(r"`(\w+)`", text))


def test_exit_codes_of_the_page_are_those_of_the_errors():
    """docs/recognise.md lists each exit code of a StreamError once, and the one of an unknown game."""
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "recognise.md").read_text(encoding="utf-8"), re.M)
    codes = {error.exit_code for error in (*StreamError.__subclasses__(), SettingsError)} | {0, EXIT_UNKNOWN, 130}
    assert sorted(map(int, rows)) == sorted(codes)


def test_readme_is_read_in_five_minutes():
    """The README has at most 250 lines; details are in docs/."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 250


def test_the_library_does_what_its_example_says(world, tmp_path):
    """The README's Python runs as it stands, against the stand-in: an answer, frames, a survey and a change."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S))
    logins = {"stk_snowmountain", "stk_hacienda", "torcs_forza", "already_over"}
    model = save_model(tmp_path, (DARK, BRIGHT))
    with Standin(world.only(logins)) as standin:
        env = environment(standin, model)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    game = f"({re.escape(DARK.name)}|{re.escape(BRIGHT.name)})"
    assert re.match(game, said[0])
    assert [line for number, line in enumerate(said[1:4], 1) if re.fullmatch(f"{number} {game}", line)] == said[1:4]
    assert {line.partition(" ")[0] for line in said[4:7]} == logins - {"stk_snowmountain"}
    assert "already_over already_over is not live" in said[4:7]
    assert re.fullmatch(f"(stk_hacienda|torcs_forza) {game}", said[7])
    assert len(said) == 8


def test_the_printed_words_are_the_programs_own():
    """What the README shows of the recogniser is what the recogniser can print."""
    shown = README.read_text(encoding="utf-8")
    assert re.search(r"^Frame 1: .+ with a \d+\.\d\d% confidence\.$", shown, re.M)
    assert re.search(r"^.+ with a score of \d+\.\d$", shown, re.M)


SHOWN = [
    line
    for page in (README, ROOT / "docs" / "recognise.md")
    for block in re.findall(r"^```(?:console)?\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    for line in block.splitlines()
]
CLOSEST = r"Unknown \(closest: (?P<game>.+) with a (?P<confidence>[\d.]+)% confidence\)"


@pytest.mark.parametrize("line", [line for line in SHOWN if line.startswith("Frame ")])
def test_frame_line_of_a_page_is_printed_by_the_program(line):
    """With the number, game and confidence shown, the program prints the line shown."""
    match = re.match(rf"Frame (?P<number>\d+): {CLOSEST}", line)
    known = not match
    match = match or re.match(r"Frame (?P<number>\d+): (?P<game>.+?) with a (?P<confidence>[\d.]+)% confidence", line)
    assert match
    prediction = Prediction(Game(1, match["game"]), float(match["confidence"]) / 100, known=known)
    assert prediction.to_line(int(match["number"])) == line


@pytest.mark.parametrize("line", [line for line in SHOWN if re.search(r"^[^:]+ with a score of ", line)])
def test_verdict_line_of_a_page_is_printed_by_the_program(line):
    """With the game and score shown, the program prints the line shown."""
    match = re.fullmatch(r"(.+) with a score of ([\d.]+)(?: \(closest: (.+)\))?", line)
    assert match
    game, score, unknown = Game(1, match[3] or match[1]), float(match[2]), match[3] is not None
    frames = tuple(Prediction(game, 0.5, known=not unknown) for _ in range(int(score))) if unknown else ()
    verdict = Verdict(game, score, 0.9, frames or (Prediction(game, 0.9),))
    assert verdict.to_line() == line


@pytest.mark.parametrize("line", [line for line in SHOWN if re.match(r"\d{4}-\d\d-\d\d ", line)])
def test_watch_line_of_a_page_is_printed_by_the_program(line, capsys):
    """With the time, source, game and numbers shown, the program prints the line shown."""
    at, source, text = re.fullmatch(r"(\S+ \S+) (\S+): (.+)", line).groups()
    change = re.fullmatch(r"Now (.+) \(([\d.]+)%, frame (\d+)\)", text)
    verdict = re.fullmatch(r"(.+) with a score of ([\d.]+)", text)
    moment = datetime.fromisoformat(at).astimezone()
    event: GameChanged | VerdictReached
    if change:
        event = GameChanged(source, moment, None, Game(1, change[1]), True, int(change[3]), float(change[2]) / 100)
    else:
        game = Game(1, verdict[1])
        event = VerdictReached(source, moment, Verdict(game, float(verdict[2]), 0.9, (Prediction(game, 0.9),)))
    ChangeLines().emit(event)
    assert capsys.readouterr().out == line + "\n"


def test_tutorial_of_the_readme_prints_the_lines_shown(world, tmp_path):
    """download, info, a deletion and dbSync print the README's lines, apart from numbers, games and reasons."""
    game_id, login = "9000012", "pingus_halloween1"
    with Standin(world.only({login, "bzflag_ctf"})) as standin:
        settings = {"MIN_STREAMERS": "1", "MAX_STREAMER_FRACTION": "1", "GAME_COOLDOWN_S": "0", "DB_HOST": ""}
        settings |= {"FRAMES_PER_STREAM": "8", "FILTER_FRAMES": "false"}  # two channels, which loop, have to suffice
        env = environment(standin, tmp_path, **standin.environment, **settings, DOWNLOAD_PATH=str(tmp_path / "dataset"))
        done = [run_command("data.download", "--frames", "20", env=env), run_command("data.info", env=env)]
        frames = list((tmp_path / "dataset" / "frames" / game_id).glob(f"{login}-*.jpg"))
        for frame in frames:
            frame.unlink()
        done.append(run_command("data.dbSync", env=env))
    assert frames
    assert [each.returncode for each in done] == [0, 0, 0], done
    printed = {_shape(line) for each in done for line in each.stdout.splitlines()}
    starts = r"Downloaded|Size on disk|Games:|Frames:|Game  |\d+ rows without|The catalog holds"
    shown = {_shape(line) for line in SHOWN if re.match(starts, line)}
    assert len(shown) == 4
    assert sorted(shown - printed) == []


def _shape(line: str) -> str:
    """Return a printed line without what differs from run to run: numbers, reasons, paths, names of games."""
    text = re.sub(r" in \S*dataset/frames| \([^)]*\)|; \d+ (frames?|streamers?) (rejected|over quota)[^;.]*", "", line)
    text = re.sub(r"((?:Smallest|Largest) game:).*|(Game) .*", r"\1\2", text)
    text = re.sub(r"\d[\d.,]*\b( (bytes|[kMG]B))?", "N", text)
    return re.sub(r"\b(rows|games|frames|streams|streamers)\b", lambda word: word[0].rstrip("s"), text)
