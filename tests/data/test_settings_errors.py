"""Invalid settings: each one is named, with its value and what it must be, in the toolkit's words."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import config
from config import Settings
from data import factories
from data.errors import SettingsError
from data.http.session import new_session
from tests.data.conftest import environment, settings
from tests.in_process import run_command
from tests.scripted_server import Reply, ScriptedServer

INVALID = ["inf", "nan", "-1e999", "9" * 400, "9" * 5000, "x" * 1_000_000, "[" * 100_000, "[1, {}]", "a,,é b", "a\0b"]
INVALID += ["~no_such_user/x", "http://[::1", "\n", "maybe"]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_invalid_value_is_reported_in_the_toolkits_words(name):
    """All settings and many values: one short line, which never quotes a secret or pydantic."""
    for value in INVALID:
        try:
            settings(**{name: value})
        except SettingsError as error:
            message = str(error)
            assert message.startswith(f"{name.upper()}: invalid value")
            assert ": must be " in message
            assert len(message) < 300
            assert message.isprintable()
            words = ("Input should", "valid string", "valid frozenset", "pydantic", "type=", "unable to", "https://")
            assert not [word for word in words if word in message]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"timeout_s": "inf"},
            "TIMEOUT_S: invalid value 'inf': must be a number of seconds above 0 and at most 1000000",
        ),
        ({"timeout_s": "1e300"}, "TIMEOUT_S: invalid value '1e300': must be a number of seconds above 0"),
        ({"frame_interval_s": "1e-9"}, "FRAME_INTERVAL_S: invalid value '1e-9': must be 0, or a number of seconds"),
        ({"img_size": "31"}, "IMG_SIZE: invalid value '31': must be a whole number from 32 to 1080"),
        ({"dropout": "nan"}, "DROPOUT: invalid value 'nan': must be a number of at least 0 and below 1"),
        ({"lr_schedule": "cos"}, "LR_SCHEDULE: invalid value 'cos': must be one of cosine, constant"),
        ({"int8": "perhaps"}, "INT8: invalid value 'perhaps': must be one of auto, true, false"),
        ({"augment": "perhaps"}, "AUGMENT: invalid value 'perhaps': must be true or false"),
        ({"non_games": "1,x"}, "NON_GAMES: invalid value 'x': must be whole numbers, separated by commas"),
        ({"seed": "-1"}, "SEED: invalid value '-1': must be a whole number of at least 0"),
        ({"frames_per_stream": "9" * 20}, "FRAMES_PER_STREAM: invalid value '9"),
        ({"metrics_host": "a b"}, "METRICS_HOST: invalid value 'a b': must be a host name or an IP address"),
        ({"metrics_host": "a" * 64}, "METRICS_HOST: invalid value 'aaa"),
        (
            {"db_host": "http://x"},
            "DB_HOST: invalid value 'http://x': must be a host name, an IP address or the folder",
        ),
        (
            {"twitch_standin": "http://[::1"},
            "TWITCH_STANDIN: invalid value 'http://[::1': must be http:// to a loopback",
        ),
        (
            {"twitch_standin": "http://127.0.0.1:x"},
            "TWITCH_STANDIN: invalid value 'http://127.0.0.1:x': must be http://",
        ),
        ({"tensorboard_path": "~nobody_here/x"}, "TENSORBOARD_PATH: invalid value '~nobody_here/x': must be a path"),
        ({"download_path": "x/" * 2500}, "DOWNLOAD_PATH: invalid value 'x/x"),
        ({"model_path": "/tmp/" + "é" * 128}, "MODEL_PATH: invalid value '/tmp/éé"),
        ({"access_token": "a\nb"}, "ACCESS_TOKEN: invalid value: must be at most 1000 visible ASCII characters"),
        ({"access_token": "é"}, "ACCESS_TOKEN: invalid value: must be"),
        ({"client_secret": "a b"}, "CLIENT_SECRET: invalid value: must be"),
        ({"client_id": "\x1b[1m"}, "CLIENT_ID: invalid value '\\x1b[1m': must be"),
        ({"db_port": "x", "seed": "y"}, "DB_PORT: invalid value 'x': must be a whole number from 1 to 65535; SEED: "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_message_says_what_the_value_must_be(values, message):
    """By type, limits and unit; all invalid settings in one line."""
    with pytest.raises(SettingsError) as raised:
        settings(**values)
    assert str(raised.value).startswith(message)


def test_secrets_never_appear_in_messages_or_tracebacks(tmp_path):
    """Not at -vv either, for a value that is refused."""
    (tmp_path / ".env").write_text("ACCESS_TOKEN='Bearer s3cret é'\nIMG_SIZE=1\nDB_PASSWORD=pa55\n", encoding="utf-8")
    done = run_command("data.info", "-vv", env=environment(), cwd=tmp_path)
    assert done.returncode == 2
    assert "ACCESS_TOKEN: invalid value: must be" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    assert "pa55" not in done.stdout + done.stderr


def test_variable_that_is_not_utf_8_raises_settings_error(monkeypatch, tmp_path):
    """As a folder's name in Latin-1 is; a database could not hold it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOWNLOAD_PATH", "\udce9")
    with pytest.raises(SettingsError, match="DOWNLOAD_PATH: invalid value: it is not UTF-8"):
        config.load()


@pytest.mark.parametrize(
    "written",
    [
        " abc\t",
        "oauth:abc",
        "OAuth:abc",
        "Bearer abc",
        "bearer  abc\n",
        '"abc"',
        "'Bearer oauth:abc'",
        "\ufeffabc\xa0",
        "Authorization: Bearer abc",
        " ' abc ' ",
    ],
)
def test_tokens_and_ids_lose_what_was_copied_with_them(written):
    """White space, quotes, and the name of the kind of token."""
    found = settings(access_token=written, client_id=written, client_secret=written)
    assert (found.access_token.get_secret_value(), found.client_id, found.client_secret.get_secret_value()) == (
        "abc",
    ) * 3


def test_copied_token_reaches_twitch_as_its_header_wants_it():
    """Each request has the bare token after one Bearer."""
    page = Reply(body={"data": [], "pagination": {}})
    own = settings(client_id='"myid"', access_token="  oauth:abc\n")
    with ScriptedServer([page]) as server, new_session(5, server.url, deadline_s=5) as session:
        assert list(factories.make_helix(own, session).top_games(frozenset())) == []
        headers = server.requests[0][3]
    assert (headers["Authorization"], headers["Client-Id"]) == ("Bearer abc", "myid")


def test_passwords_are_kept_as_they_are():
    """Their spaces, quotes and letters may be meant."""
    found = settings(db_password=' "é" ', webhook_secret=" Bearer x ")
    assert (found.db_password.get_secret_value(), found.webhook_secret.get_secret_value()) == (' "é" ', " Bearer x ")


@pytest.mark.parametrize(
    "written", ["1, 2,3", "3,2,1,", " 1,,2 ,3,3", "[1, 2, 3]", '["1", 2, 3]', [1, 2, 3], {1, 2, 3}]
)
def test_non_games_are_read_from_text_json_or_collection(written):
    """Duplicates, spaces and empty items change nothing."""
    assert settings(non_games=written).non_games == {1, 2, 3}


def test_streamers_are_read_from_text_or_json():
    """In lower case, without the comma at the end."""
    assert settings(validation_streamers="Ann, bob,").validation_streamers == ("ann", "bob")
    assert settings(validation_streamers='["Ann", "bob"]').validation_streamers == ("ann", "bob")


@pytest.mark.parametrize("name", ["a,b", "line\nend", "ü 1", "a b"])
def test_odd_paths_are_kept_and_a_home_folder_is_expanded(name):
    """A comma, a line end, a space and other letters are allowed in a path."""
    found = settings(download_path=f"~/{name}", model_path=name, tensorboard_path=f"~/{name}")
    assert (found.download_path, found.model_path) == (Path.home() / name, Path(name))
    assert found.tensorboard_path == str(Path.home() / name)


def test_hosts_are_accepted_as_users_write_them():
    """Brackets of an IPv6 address are dropped; PostgreSQL takes several hosts, or the folder of a socket."""
    assert settings(metrics_host=" [::1] ").metrics_host == "::1"
    assert settings(db_host="db1, db2").db_host == "db1,db2"
    assert settings(db_host="/var/run/postgresql").db_host == "/var/run/postgresql"


def test_valid_settings_give_no_warning(monkeypatch, tmp_path, caplog):
    """An empty folder and an environment without any setting."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.WARNING)
    config.load()
    assert not caplog.messages
