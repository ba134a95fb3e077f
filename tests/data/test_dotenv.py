"""The file `.env` and misspelt names: what a user may have there, read by the real commands or by config.load."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import config
from data.errors import SettingsError
from data.settings import variables
from tests.data.conftest import environment
from tests.in_process import run_command

# Variables that other programs set, close to settings' names or not: desktop, CI, Kubernetes, Slurm, conda, CUDA.
OTHERS = """
PATH HOME DISPLAY SHELL USER LANG LANGUAGE LC_ALL TERM PWD EDITOR TZ TMPDIR XDG_SESSION_ID SSH_CLIENT CLIENT_IP SHLVL
PYTHONPATH PYTHONHASHSEED VIRTUAL_ENV CONDA_PREFIX CI GITHUB_TOKEN GITHUB_RUN_ID CI_JOB_ID JOB_NAME NODE_NAME POD_NAME
KUBERNETES_SERVICE_PORT DB_SERVICE_HOST DB_PORT_5432_TCP POSTGRES_USER PGHOST DATABASE_URL DB_PASS DB_DATABASE DB_URL
DB_USERNAME DB_TYPE MYSQL_HOST SLURM_JOB_ID SLURM_NTASKS MODULEPATH CUDA_VISIBLE_DEVICES XLA_FLAGS TF_CONFIG WORLD_SIZE
MASTER_PORT HTTPS_PROXY AZURE_CLIENT_ID ARM_CLIENT_SECRET GOOGLE_CLIENT_ID TWITCH_CLIENT_ID SECRET_KEY SEEDS RSEED SPEED
RANDOM_SEED SOURCE_DATE_EPOCH EPOCHSECONDS EPOCHS_X DEBUG PORT HOST TIMEOUT MODEL_NAME METRICS_PORT SCHEDULER INT
""".split()  # noqa: SIM905 - shorter than a list
SLIPS = {
    "IMG_SZE": "IMG_SIZE",
    "EPOCH": "EPOCHS",
    "FRAME_PER_STREAM": "FRAMES_PER_STREAM",
    "img_siez": "IMG_SIZE",
    "DOWNLOADPATH": "DOWNLOAD_PATH",
    "ACESS_TOKEN": "ACCESS_TOKEN",
    "CLIENT_SECRETS": "CLIENT_SECRET",
    "TIMEOUT_5": "TIMEOUT_S",
}


@pytest.fixture
def empty(monkeypatch, tmp_path) -> Iterator[Path]:
    """Yield an empty folder as working directory, in which every warning is new."""
    monkeypatch.chdir(tmp_path)
    variables.warn_once.cache_clear()
    yield tmp_path
    variables.warn_once.cache_clear()


@pytest.mark.parametrize("in_dotenv", [True, False])
def test_misspelt_names_give_one_warning_with_the_nearest_setting(empty, monkeypatch, caplog, in_dotenv):
    """In .env and in the environment, in any case, and once for each name however often the settings are read."""
    (empty / ".env").write_text("".join(f"{name}=1\n" for name in SLIPS) if in_dotenv else "")
    for name in () if in_dotenv else SLIPS:
        monkeypatch.setenv(name, "1")
    config.load()
    config.load()
    expected = {f"{name.upper()} is not a setting. Did you mean {nearest}?" for name, nearest in SLIPS.items()}
    assert set(caplog.messages) == expected
    assert len(caplog.messages) == len(SLIPS)


@pytest.mark.parametrize("line", ["SEDE=1", "LANGUAGE=en", "FRAME_PER_STREAMS=3", "TIMEOUT=3"])
def test_more_distant_names_give_a_warning_in_dotenv(empty, caplog, line):
    """The file is the toolkit's own, so two slips and short names count there."""
    (empty / ".env").write_text(line)
    config.load()
    assert "Did you mean" in caplog.text


def test_variables_of_other_programs_give_no_warning(empty, monkeypatch, caplog):
    """Not one of the usual ones, though some are two slips or a prefix away from a setting."""
    for name in OTHERS:
        monkeypatch.setenv(name, os.environ.get(name, "x"))
    config.load()
    assert not caplog.messages


@pytest.mark.parametrize(
    "content",
    ["IMG_SIZE=64\n".encode("utf-16"), "IMG_SIZE=64\n".encode("utf-16-le"), b"DOWNLOAD_PATH=\xe9\n", b"IMG_SIZE=\0\n"],
    ids=["UTF-16", "UTF-16 without a mark", "Latin-1", "NUL"],
)
def test_dotenv_that_is_not_text_is_one_line_and_exit_2(empty, content):
    """The line names the file and the cure."""
    (empty / ".env").write_bytes(content)
    done = run_command("data.info", env=environment(), cwd=empty)
    assert done.returncode == 2
    assert done.stderr.startswith("error: .env: ")
    assert "save it as UTF-8" in done.stderr
    assert done.stderr.count("\n") == 1


def test_dotenv_with_a_byte_order_mark_is_read(empty):
    """Also its first setting."""
    (empty / ".env").write_bytes(b"\xef\xbb\xbfIMG_SIZE=64\r\nSEED=5\r\n")
    assert (config.load().img_size, config.load().seed) == (64, 5)


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)],
    ids=["FIFO", "device", "loop"],
)
def test_dotenv_that_is_no_regular_file_raises_settings_error(empty, make):
    """A FIFO, an endless device, a link to itself: nothing waits, nothing is read without end."""
    make(empty / ".env")
    with pytest.raises(SettingsError, match=r"\.env: it cannot be read"):
        config.load()


def test_huge_dotenv_raises_settings_error(empty):
    """100 kB is the limit."""
    (empty / ".env").write_text("A=" + "x" * 100_000)
    with pytest.raises(SettingsError, match="larger than"):
        config.load()


def test_folder_named_dotenv_gives_a_warning(empty, caplog):
    """Virtual environments have that name, too."""
    (empty / ".env").mkdir()
    config.load()
    assert ".env is a folder" in caplog.text


def test_lines_without_a_value_are_named_and_the_others_read(empty, caplog):
    """No line of python-dotenv's own."""
    (empty / ".env").write_text("# mine\nIMG_SIZE=64\nCLIENT_ID abc\nSEED\nQUALITY=\"best\nDB_NAME='a b' # c\n")
    caplog.set_level(logging.WARNING)
    found = config.load()
    assert (found.img_size, found.client_id, found.db_name) == (64, "", "a b")
    assert [message.split(":")[0] for message in caplog.messages] == [".env, line 3", ".env, line 4", ".env, line 5"]
    (empty / ".env").write_text("some text\n" * 9999)
    config.load()
    assert len(caplog.messages) <= 13


def test_environment_takes_precedence_over_dotenv_under_a_former_name_too(empty, monkeypatch):
    """The place counts, not the name."""
    (empty / ".env").write_text("GAME_COOLDOWN_S=6\n")
    monkeypatch.setenv("REST_S", "5")
    assert config.load().game_cooldown_s == 5
