"""The download's settings as a user writes them: into the environment, into config.py, or wrong."""

from __future__ import annotations

import pytest

from tests.data.conftest import Run, settings


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", ()),
        ("en", ("en",)),
        ("EN, de ,other", ("en", "de", "other")),
        ('["en", "PT"]', ("en", "pt")),
        (["fr"], ("fr",)),
        (("ja", "ko"), ("ja", "ko")),
    ],
)
def test_languages(written, expected):
    """Codes with commas, a JSON list, or a list or tuple in config.py; capitals do not matter."""
    assert settings(LANGUAGES=written).languages == expected


@pytest.mark.parametrize(
    "written", ["english", "en;de", "en,,de", ",", "e", "[en", '["en", 3]', '{"en": 1}', "en," * 101]
)
def test_languages_of_another_form_are_refused(written: str, run: Run):
    """Exit code 2, and one line that names the setting."""
    done = run("data.info", LANGUAGES=written)
    assert done.returncode == 2
    assert done.stderr.startswith("error: LANGUAGES")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("written", ["0", "-0.1", "1.01", "a tenth"])
def test_a_share_is_more_than_nothing_and_no_more_than_all(written: str, run: Run):
    """Exit code 2, naming STREAMER_SHARE."""
    done = run("data.info", STREAMER_SHARE=written)
    assert done.returncode == 2
    assert "STREAMER_SHARE" in done.stderr
