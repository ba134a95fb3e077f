"""Model card: Markdown that names cannot break, and that states the model's limits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from model.reports import model_card

SIDE = {"frames": 30, "streamers": 2}


def metrics(**changes: Any) -> dict[str, Any]:
    """Return the content of a metrics.json, with some keys changed."""
    games = [
        {"id": 1, "name": name, "training": SIDE, "validation": SIDE}
        | {"accuracy_by_frame": 0.5, "accuracy_by_stream": stream_accuracy}
        | {"precision_by_stream": stream_accuracy, "called_streams": 7 if stream_accuracy else 0}
        for name, stream_accuracy in (("A|B*", None), ("$C", 1.0))
    ]  # fmt: skip
    return {
        "date": "2026-01-02", "temperature": 0.5, "seed": 3, "ece": 0.01, "nll": 0.2, "versions": {"keras": "3"},
        "settings": {"architecture": "cnn", "img_size": 240, "refit": True}, "training": SIDE,
        "validation": SIDE | {"streams": 4}, "accuracy_by_frame": 0.5, "accuracy_by_stream": 0.75,
        "top3_by_frame": 1.0, "games": games,
        "unknown": {"score": "max_logit", "threshold": 1.25, "share": 0.05, "by_stream": None}, "screens": None,
    } | changes  # fmt: skip


def test_table_cells_with_markup_in_names_are_escaped():
    """A bar in a game's name does not end the cell; a missing accuracy is a dash."""
    card = model_card.render(metrics(), [("model.h5", "ab" * 32)])
    assert r"| A\|B\* | 50.0% | — | 2 | 0 | — | no |" in card
    assert r"| \$C | 50.0% | 100.0% | 2 | 7 | 100.0% | no |" in card


def test_limits_with_and_without_threshold():
    """The card states the threshold or its absence, and that the saved model is not the evaluated one."""
    card = model_card.render(metrics(), [])
    assert "Frames whose max logit is below 1.25 are called unknown: at least 5% of the validation frames" in card
    assert "trained again on all frames" in card
    assert "trained again" not in model_card.render(metrics(settings={**metrics()["settings"], "refit": False}), [])
    no_threshold = metrics(unknown={"score": "energy", "threshold": None, "share": 0.0, "by_stream": None})
    assert "It calls nothing unknown" in model_card.render(no_threshold, [])


def test_both_errors_by_stream_are_stated():
    """The card says how many streams of known games are called unknown, and how many of unknown games are not."""
    streams = {"streams": 40, "false_unknown": 0.05, "unknown_streams": 0, "missed_unknown": None, "auroc": None}
    unknown = metrics()["unknown"] | {"stream_threshold": 0.625, "by_stream": streams}
    card = model_card.render(metrics(unknown=unknown), [])
    assert "is below 0.62: 5.0% of 40 validation streams of known games are (false unknowns)." in card
    assert "missed" not in card
    streams |= {"unknown_streams": 8, "missed_unknown": 0.125, "auroc": 0.9}
    card = model_card.render(metrics(unknown=unknown), [])
    assert "Of 8 streams of games that a head had not seen, 12.5% are taken for a known game" in card


def test_precision_and_screens_are_stated():
    """Precision stands beside the streams that it is of, and the errors of the screen head below the limits."""
    screens = {"false_no_game": 0.0227, "detected": {"menu": 0.9, "talking": 1.0}}
    card = model_card.render(metrics(screens=screens), [])
    assert r"| \$C | 50.0% | 100.0% | 2 | 7 | 100.0% |" in card
    assert r"| A\|B\* | 50.0% | — | 2 | 0 | — |" in card
    assert "2.3% of the validation streams are" in card
    assert "it finds 90.0% (menu), 100.0% (talking);" in card
    assert "called no game" not in model_card.render(metrics(), [])


def test_head_is_hugging_face_metadata():
    """The card begins with metadata between two lines of dashes, then a blank line and the title."""
    lines = model_card.render(metrics(), []).splitlines()
    assert lines[0] == lines[lines.index("---", 1)] == "---"
    assert "pipeline_tag: image-classification" in lines
    assert lines[lines.index("---", 1) + 2] == "# cnn, 2 games"


def test_sections_and_tables_are_separated_by_blank_lines():
    """Markdown needs a blank line before a heading, a table and a list, whatever the template's conditions do."""
    lines = model_card.render(metrics(), [("model.h5", "ab" * 32)]).splitlines()
    assert sum(line.startswith("## ") for line in lines) == 7
    for before, line in pairwise(lines):
        if line.startswith(("## ", "| ", "- ")):
            assert before == "" or before[:2] == line[:2]
        assert before or line


def test_write_with_a_missing_model_file_raises(tmp_path):
    """There is no card without the files whose hashes it holds."""
    with pytest.raises(OSError, match=r"model\.h5"):
        model_card.write(tmp_path / "model_card.md", metrics(), ["model.h5"])
