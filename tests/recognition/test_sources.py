"""recognition.sources: sources from arguments, a file and stdin."""

from __future__ import annotations

import io

import pytest

from data.errors import SettingsError
from recognition.sources import normalise, read_sources, twitch_login


def test_arguments_file_and_stdin_are_joined_in_order(tmp_path):
    """Duplicates are dropped, logins become lower case, comments and empty lines are skipped."""
    file = tmp_path / "channels.txt"
    file.write_text("# who I watch\n\nThird\t# since May\n  second  \n#fourth\nhttps://example.com/a#part\n")
    stdin = io.StringIO("Second # again\nvideo.MP4\n\n")
    found = read_sources(["FIRST", "-"], str(file), stdin)
    assert found == ("first", "second", "video.MP4", "third", "https://example.com/a#part")


def test_from_dash_reads_stdin():
    """`--from -` reads the list from stdin."""
    assert read_sources(["a"], "-", io.StringIO("b\n")) == ("a", "b")


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not UTF-8"])
def test_unreadable_file_raises_settings_error(tmp_path, content):
    """The error names the option and the file."""
    file = tmp_path / "channels.txt"
    if content:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"--from: .*channels\.txt"):
        read_sources([], str(file))


def test_stdin_that_is_not_utf_8_raises_settings_error():
    """Invalid bytes on stdin give the same error as in a file."""
    with pytest.raises(SettingsError, match="--from: cannot read -:"):
        read_sources(["-"], "", io.TextIOWrapper(io.BytesIO(b"ab\xff\n"), encoding="utf-8"))


def test_empty_list_raises_settings_error():
    """A file without sources is an error, not an empty result."""
    with pytest.raises(SettingsError, match="the list is empty"):
        read_sources(["-"], "", io.StringIO("# nobody\n"))


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("some_login", "some_login"),
        ("https://www.twitch.tv/Some_Login", "some_login"),
        ("twitch.tv/some_login/", "some_login"),
        ("https://www.twitch.tv/videos/123456789", ""),
        ("https://example.com/some_login", ""),
        ("recording.mp4", ""),
    ],
)
def test_twitch_login_of_a_source(text, login):
    """A login and a channel's address give the login; recordings, other sites and files give none."""
    assert twitch_login(text) == login


def test_normalise_keeps_paths_and_addresses():
    """Paths and addresses may be case-sensitive."""
    assert normalise("Some/Path.MP4") == "Some/Path.MP4"
