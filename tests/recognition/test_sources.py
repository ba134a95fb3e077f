"""recognition.sources: sources from arguments, a file and stdin."""

from __future__ import annotations

import io

import pytest

from data.errors import SettingsError
from recognition.sources import normalise, read_sources, twitch_login, unique


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


@pytest.mark.parametrize("content", [None, b"\xff\xfe", "a\n".encode("utf-16")], ids=["missing", "not UTF-8", "UTF-16"])
def test_unreadable_file_raises_settings_error(tmp_path, content):
    """The error names the option and the file, in words of ours."""
    file = tmp_path / "channels.txt"
    if content:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"--from: .*channels\.txt: (it is not UTF-8 text|\[Errno 2\])"):
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
        ("@Some_Login", "some_login"),
        ("https://m.twitch.tv/some_login/videos?sort=time", "some_login"),
        ("https://player.twitch.tv/?channel=some_login", "some_login"),
        ("https://www.twitch.tv/videos/123456789", ""),
        ("twitch.tv/directory", ""),
        ("https://example.com/some_login", ""),
        ("recording.mp4", ""),
    ],
)
def test_twitch_login_of_a_source(text, login):
    """A login and a channel's address give the login; recordings, other sites and files give none."""
    assert twitch_login(text) == login


def test_login_that_is_also_a_folder_gives_a_hint(tmp_path, monkeypatch, caplog):
    """A word is a login; the folder needs a slash."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shots").mkdir()
    assert read_sources(["shots", "./shots", "other"]) == ("shots", "./shots", "other")
    (message,) = caplog.messages
    assert "Write ./shots" in message


def test_sources_that_mean_the_same_are_one():
    """The first spelling stays, in order."""
    forms = [
        "twitch.tv/First",
        "second",
        "@FIRST",
        "first",
        "https://www.twitch.tv/videos/1",
        "twitch.tv/x/v/1",
        "Second",
    ]
    assert unique(forms) == ("twitch.tv/First", "second", "https://www.twitch.tv/videos/1")
    assert read_sources(["HTTPS://Example.com/a", "https://example.com/a"]) == ("HTTPS://Example.com/a",)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
def test_list_with_a_byte_order_mark_keeps_its_first_source(tmp_path, encoding):
    """In a file and on stdin, and where two such lists were joined."""
    file = tmp_path / "list.txt"
    file.write_bytes("first\r\n\ufeffsecond\n\ufeff# nobody\n".encode(encoding))
    assert read_sources([], str(file)) == ("first", "second")
    assert read_sources(["-"], "", io.TextIOWrapper(io.BytesIO(file.read_bytes()), encoding="utf-8")) == (
        "first",
        "second",
    )


def test_list_without_an_end_raises_settings_error():
    """A device is read up to a limit."""
    with pytest.raises(SettingsError, match="--from: /dev/zero has more than 10000000 characters"):
        read_sources([], "/dev/zero")


def test_closed_stdin_raises_settings_error():
    """As `--from - <&-` gives it."""
    closed = io.StringIO("a")
    closed.close()
    with pytest.raises(SettingsError, match="--from: cannot read -"):
        read_sources([], "-", closed)


def test_file_names_keep_what_only_some_consider_a_line_end(tmp_path):
    """A form feed or a line separator may be part of a name."""
    file = tmp_path / "list.txt"
    file.write_text("a\x0cb.mp4\nc\u2028d.mp4\n", encoding="utf-8")
    assert read_sources([], str(file)) == ("a\x0cb.mp4", "c\u2028d.mp4")


def test_normalise_keeps_paths_and_addresses():
    """Paths and addresses may be case-sensitive."""
    assert normalise("Some/Path.MP4") == "Some/Path.MP4"
