"""What a node reports of itself at the start, and the folders of training processes on it; without a cluster."""

from __future__ import annotations

import fcntl
import os
import re
import sys
import tempfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from data.pool import checks
from data.pool.placement import make_folder

ROOT = Path(__file__).resolve().parents[2]


def test_node_faults_when_a_node_lacks_libraries_names_them_in_one_line(monkeypatch: pytest.MonkeyPatch):
    """A node that sees the folder of the command has the toolkit, but perhaps not what it needs."""
    assert checks.node_faults("10.0.0.2", checks.make_probe()()) == []
    for name in ("numpy", "av"):
        monkeypatch.setitem(sys.modules, name, None)
    (fault,) = checks.node_faults("10.0.0.2", checks.make_probe()())
    assert str(fault).startswith("10.0.0.2: av, numpy are not installed. Install on all nodes: pip install '")


def test_libraries_of_the_check_are_the_dependencies_of_the_package():
    """Each dependency of pyproject.toml has a module in the list, and nothing else is in it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("\ndependencies = [")[2].partition("]\n")[0]
    wanted = {_normal(name) for name in re.findall(r'"([\w-]+)>=', text)}
    known = packages_distributions()
    assert {_normal(name) for module in checks._LIBRARIES for name in known[module]} == wanted


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_folder_of_a_training_process_when_its_process_was_killed_is_removed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A folder stays while a process has its lock, and for an hour, in which its process may be about to lock it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, locked, young = (Path(tempfile.mkdtemp(prefix="twitchcategory-training-")) for _ in range(3))
    (killed / "unfinished").mkdir()
    for folder in (killed, locked):
        os.utime(folder, (0, 0))
    descriptor = os.open(locked, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    own = make_folder()
    os.utime(own, (0, 0))
    other = make_folder()
    os.close(descriptor)
    assert {*tmp_path.iterdir()} == {locked, young, own, other}
