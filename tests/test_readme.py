"""The README is true: its settings are the settings, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from docs.settings import README, with_table

ROOT = README.parent
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md", *ROOT.glob("*/*/*.md")]
COMMANDS = sorted({line[2:] for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("$ ")})


def test_the_settings_table_is_that_of_config():
    """Every setting stands in the table with its type, default and meaning; python -m docs.settings writes it."""
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_one(command):
    """A make target exists; a module's parser accepts the arguments shown (--help after them: nothing runs)."""
    words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    if words[0] == "make":
        done = subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    else:
        assert words[:2] == ["python", "-m"]
        arguments = [sys.executable, *words[1:], "--help"]
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_to_a_file(page: Path):
    """Pictures and pages that a page points at are in the repository."""
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if not t.startswith("http") and not (page.parent / t).exists()]
    assert not missing


def test_the_printed_words_are_the_programs_own():
    """What the README shows of the recogniser is what the recogniser can print."""
    shown = README.read_text(encoding="utf-8")
    assert re.search(r"^Frame 1: .+ with a \d+\.\d\d% confidence\.$", shown, re.M)
    assert re.search(r"^.+ with a score of \d+\.\d$", shown, re.M)
