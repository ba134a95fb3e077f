"""check.csv: written and read back, with pseudonyms, and damaged."""

from __future__ import annotations

import csv
import io

import pytest

from data.errors import DatasetError
from model.cleaning.check_file import LoginNames, from_csv, to_csv
from tests.model.findings import GAME_NAMES, invented, invented_frames

RESULT = invented(invented_frames())


def test_to_csv_when_read_again_gives_the_findings():
    """Streams and frames come back in their order, with hashes and the suggested game."""
    found = from_csv(to_csv(RESULT).encode(), GAME_NAMES)
    assert found.frames == RESULT.frames
    assert [one.frame.sha256 for one in found.frames] == [one.frame.sha256 for one in RESULT.frames]
    assert [(s.login, s.frames, s.suspicion, s.suspect, s.suggested) for s in found.streams] == [
        (s.login, s.frames, s.suspicion, s.suspect, s.suggested) for s in RESULT.streams
    ]


def test_to_csv_has_a_line_for_each_frame_with_the_columns_that_others_read():
    """data.info, data.forget and dashboards read these columns by name."""
    rows = list(csv.DictReader(io.StringIO(to_csv(RESULT))))
    assert len(rows) == 12
    expected = {"path": "7/ann-1.jpg", "game_id": "7", "login": "ann", "suspicion": "0.9000", "kind": "other game"}
    expected |= {"reason": "looks like another game", "suggested_game_id": "8", "suspect": "yes"}
    assert expected.items() <= rows[0].items()
    assert rows[-1]["suspect"] == "no"


def test_to_csv_with_other_names_holds_no_login():
    """Names stand in the place of logins in all columns, also in the path within a reason."""
    text = to_csv(RESULT, LoginNames(lambda login: f"s_{login[0]}"))
    assert "same picture as 7/s_b-3.jpg" in text
    assert not [login for login in ("ann", "ben", "cat") if f",{login}," in text or f"/{login}-" in text]


GOOD = to_csv(RESULT).splitlines()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"path,login\n7/ann-1.jpg,ann\n",
        b"\xff\xfe\x00",
        "\n".join([*GOOD[:2], GOOD[2][:20]]).encode(),
        "\n".join([GOOD[0], GOOD[1].replace("7/ann-1.jpg", "../../etc/passwd")]).encode(),
        "\n".join([GOOD[0], GOOD[1].replace("0.9000", "nan")]).encode(),
        "\n".join([GOOD[0], GOOD[1].replace(",8,", ",-8,")]).encode(),
        "\n".join([GOOD[0], f'"{"x" * 200_000}"']).encode(),
    ],
    ids=["empty", "columns", "binary", "torn", "path", "nan", "game", "huge cell"],
)
def test_from_csv_when_damaged_raises_with_a_cure(content: bytes):
    """A file that was edited or cut off moves nothing."""
    with pytest.raises(DatasetError, match=r"damaged. Check the dataset again with python -m model\.check"):
        from_csv(content, GAME_NAMES)
