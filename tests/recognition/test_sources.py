"""recognition.sources: which sources a command line, a file and stdin name."""

from __future__ import annotations

import io

import pytest

from data.errors import SettingsError
from recognition.sources import login_of, source, sources


def test_words_a_file_and_stdin(tmp_path):
    """All in their order, each once, logins in small letters; comments and empty lines are none."""
    file = tmp_path / "channels.txt"
    file.write_text("# who I watch\n\nThird\t# since May\n  second  \n#fourth\nhttps://example.com/a#part\n")
    stdin = io.StringIO("Second # again\nvideo.MP4\n\n")
    found = sources(["FIRST", "-"], str(file), stdin)
    assert found == ("first", "second", "video.MP4", "third", "https://example.com/a#part")


def test_the_file_may_be_stdin():
    """`--from -` is stdin as well."""
    assert sources(["a"], "-", io.StringIO("b\n")) == ("a", "b")


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "no text"])
def test_a_file_that_cannot_be_read(tmp_path, content):
    """The error names the option and the file."""
    file = tmp_path / "channels.txt"
    if content:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"--from: .*channels\.txt"):
        sources([], str(file))


def test_a_stdin_that_is_no_text():
    """Bytes that are no UTF-8 are an error of one line as well."""
    with pytest.raises(SettingsError, match="--from: - cannot be read"):
        sources(["-"], "", io.TextIOWrapper(io.BytesIO(b"ab\xff\n"), encoding="utf-8"))


def test_nothing_named():
    """A file without sources is an error, not an empty answer."""
    with pytest.raises(SettingsError, match="none"):
        sources(["-"], "", io.StringIO("# nobody\n"))


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
def test_logins_of_sources(text, login):
    """Whose channel a source is: its login, or the one in its address; none of a recording, a clip or a file."""
    assert login_of(text) == login


def test_a_source_that_is_no_login_stays_as_it_is():
    """Paths and addresses may depend on capital letters."""
    assert source("Some/Path.MP4") == "Some/Path.MP4"
