"""Settings as a user writes them: in the environment, in .env, in config.py, under former names, or invalid."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

import config
from config import CHANGES_MODEL, KEEPS_MODEL, Settings
from data.settings import variables
from model.networks.backbones import ARCHITECTURES
from tests.data.conftest import Run, settings

ROOT = Path(__file__).resolve().parents[2]
FORMER = sorted(config._FORMER_NAMES.items())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", ()),
        ("en", ("en",)),
        ("EN, de ,other", ("en", "de", "other")),
        ("en, de ,en,", ("en", "de")),
        ('["en", "PT"]', ("en", "pt")),
        (["fr"], ("fr",)),
        (("ja", "ko"), ("ja", "ko")),
    ],
)
def test_languages_are_read_from_text_json_or_list(written, expected):
    """Codes with commas, a JSON list, or a list or tuple in config.py; capitals do not matter."""
    assert settings(LANGUAGES=written).languages == expected


@pytest.mark.parametrize(
    "written", ["english", "en;de", "en,,de", ",", "e", "[en", '["en", 3]', '{"en": 1}', "en," * 101]
)
def test_invalid_languages_are_rejected(written: str, run: Run):
    """Exit code 2, and one line that names the setting."""
    done = run("data.info", LANGUAGES=written)
    assert done.returncode == 2
    assert done.stderr.startswith("error: LANGUAGES")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("written", ["0", "-0.1", "1.01", "a tenth"])
def test_invalid_fraction_is_rejected(written: str, run: Run):
    """Exit code 2, naming MAX_STREAMER_FRACTION."""
    done = run("data.info", MAX_STREAMER_FRACTION=written)
    assert done.returncode == 2
    assert "MAX_STREAMER_FRACTION" in done.stderr


@pytest.fixture
def loaded(monkeypatch, tmp_path, caplog):
    """Return a function that loads settings from variables and a .env file, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for names in FORMER:
        for name in names:
            monkeypatch.delenv(name.upper(), raising=False)
    variables.warn_once.cache_clear()
    caplog.set_level(logging.WARNING)

    def load(dotenv: str = "", **variables: str) -> Settings:
        (tmp_path / ".env").write_text(dotenv)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return config.load()

    yield load
    variables.warn_once.cache_clear()


def written_value(name: str) -> tuple[str, object]:
    """Return a valid value of a setting that is not its default, as text and as the setting has it."""
    default = Settings.model_fields[name].default
    return ("none", "none") if default == "streamers" else ("constant",) * 2 if default == "cosine" else ("0.25", 0.25)


@pytest.mark.parametrize(("name", "former"), FORMER)
@pytest.mark.parametrize("in_dotenv", [True, False])
def test_former_name_works_with_one_warning(loaded, caplog, name, former, in_dotenv):
    """In the environment and in .env alike, and in a constructor by the new name."""
    text, value = written_value(name)
    for _ in range(2):
        found = loaded(f"{former.upper()}={text}\n") if in_dotenv else loaded(**{former.upper(): text})
        assert getattr(found, name) == value
    (message,) = caplog.messages
    assert former.upper() in message
    assert name.upper() in message
    assert getattr(Settings(_env_file=None, **{name: value}), name) == value


def test_new_name_takes_precedence_over_the_former_one(loaded):
    """Both are set, as after a half-finished rename."""
    assert loaded(GAME_COOLDOWN_S="6", REST_S="5").game_cooldown_s == 6


def test_former_score_name_works_with_one_warning(loaded, caplog):
    """UNKNOWN_SCORE=likeness is feature_similarity."""
    assert loaded(UNKNOWN_SCORE="likeness").unknown_score == "feature_similarity"
    assert len(caplog.messages) == 1


def test_new_names_give_no_warning(loaded, caplog):
    """The defaults neither."""
    loaded("LR_SCHEDULE=constant\n", GAME_COOLDOWN_S="6")
    assert not caplog.messages


def test_every_model_setting_says_whether_the_model_depends_on_it():
    """So that --resume and metrics.json cannot forget a new setting: ChangesModel or KeepsModel, one of them."""
    names = list(Settings.model_fields)
    for name in names[names.index("model_path") :]:
        metadata = Settings.model_fields[name].metadata
        assert (CHANGES_MODEL in metadata) != (KEEPS_MODEL in metadata), name
    assert {"img_size", "architecture", "seed"} <= config.model_settings()
    assert not {"model_path", "client_secret", "cache_disk_gb"} & config.model_settings()


def test_documented_architectures_are_those_of_the_registry():
    """The description of ARCHITECTURE and the list in the documentation name each architecture and no other."""
    described = re.findall(r"[a-z]+(?:_\w+)+|\bcnn\b", Settings.model_fields["architecture"].description or "")
    assert described == list(ARCHITECTURES)
    page = (ROOT / "docs" / "train.md").read_text(encoding="utf-8")
    section = page.partition("## Architectures\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^- `(\w+)`", section, re.M)) == set(ARCHITECTURES)


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("True", "true"), ("on", "true"), ("0", "false")])
def test_int8_takes_the_words_of_other_switches(text, value):
    """It has a third value, but yes and no are written as elsewhere."""
    assert Settings(_env_file=None, int8=text).int8 == value
