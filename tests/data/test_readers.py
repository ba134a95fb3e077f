"""Opening of files that a user names: regular ones only, and no more of them than wanted."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from data.readers import open_regular_file, read_regular_file


def test_regular_file_and_a_link_to_it_are_read(tmp_path):
    """As much as the limit allows, which an empty file never exceeds."""
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "empty").touch()
    assert [read_regular_file(tmp_path / name, 5) for name in ("file", "link")] == [b"12345"] * 2
    assert read_regular_file(str(tmp_path / "empty"), 0) == b""
    with pytest.raises(OSError, match=r"larger than 4 bytes.*file"):
        read_regular_file(tmp_path / "file", 4)


@pytest.mark.parametrize("kind", ["FIFO", "endless device", "link to a device", "folder", "socket"])
def test_other_kinds_of_files_are_refused_at_once(kind, tmp_path, monkeypatch):
    """A FIFO without a writer would block for ever; /dev/zero never ends."""
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    path = Path("x.jpg")
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path = Path("/dev/zero")
    with pytest.raises(OSError, match="not a regular file"):
        read_regular_file(path, 1000)
    with pytest.raises(OSError, match="not a regular file"):
        open_regular_file(path)


def test_missing_file_raises_file_not_found(tmp_path):
    """Also one whose link leads nowhere, or whose name is too long."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("missing", "link"):
        with pytest.raises(FileNotFoundError):
            open_regular_file(tmp_path / name)
    with pytest.raises(OSError, match="too long"):
        open_regular_file(tmp_path / ("x" * 5000))
