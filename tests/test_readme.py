"""The README is true: its settings are the settings, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from config import Settings
from data.errors import SettingsError, StreamError
from docs.settings import PAGE, with_table
from recognition.modes.single import EXIT_UNKNOWN
from tests.recognition.commands import BRIGHT, DARK, environment, save_model
from tests.standin import Standin

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/*/*.md"), *ROOT.glob("tests/*/*/*.md")]
NOT_SETTINGS = {"TF_CONFIG", "INTER_AREA"}  # of TensorFlow, of OpenCV
MODEL_FILES = {"model.onnx", "model.tflite"}  # they look like modules
SHELL = {".", "export", "rm"}  # commands of the shell in the tutorial
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
def test_each_command_is_one(command):
    """A make target exists; a module's parser accepts the arguments shown (--help after them: nothing runs)."""
    words = [word for word in shlex.split(command, comments=True) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    if words[0] == "make":
        done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    else:
        assert words[:2] == ["python", "-m"]
        arguments = [sys.executable, *words[1:], "--help"]
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
        name for name in names if re.fullmatch(r"(data|model|recognition|tests|benchmarks|docs)/[\w/]+\.\w+", name)
    }
    missing = [path for path in paths if not (ROOT / path).exists()]
    modules = {
        name for name in names if re.fullmatch(r"(data|model|recognition|benchmarks|docs|tests)(\.[a-zA-Z_]+)+", name)
    }
    missing += [name for name in modules - MODEL_FILES if not _module_exists(name)]
    words = {name.partition("=")[0] for name in names}
    settings = {word for word in words if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", word)} - NOT_SETTINGS
    missing += [name for name in settings if name.lower() not in Settings.model_fields]
    options = {word.split()[0] for name in names for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", name)}
    assert not missing + sorted(options - _options())


def _module_exists(name: str) -> bool:
    """Return whether `name` is a module or a package, such as data.info."""
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


@cache
def _options() -> set[str]:
    """Return the long options in the sources of all commands, the stand-in and the benchmarks."""
    sources = [*ROOT.glob("data/*.py"), *ROOT.glob("model/*.py"), *ROOT.glob("recognition/*.py")]
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
