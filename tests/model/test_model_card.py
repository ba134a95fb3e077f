"""The model card."""

from __future__ import annotations

from typing import Any

import pytest

from model.reports import model_card

SIDE = {"frames": 30, "streamers": 2}


def figures(**changes: Any) -> dict[str, Any]:
    """As metrics.json has them."""
    games = [
        {"id": 1, "name": name, "training": SIDE, "validation": SIDE}
        | {"accuracy_by_frame": 0.5, "accuracy_by_stream": share}
        for name, share in (("A|B*", None), ("$C", 1.0))
    ]  # fmt: skip
    return {
        "date": "2026-01-02", "temperature": 0.5, "seed": 3, "ece": 0.01, "nll": 0.2, "versions": {"keras": "3"},
        "settings": {"architecture": "cnn", "img_size": 240, "refit": True}, "training": SIDE,
        "validation": SIDE | {"streams": 4}, "accuracy_by_frame": 0.5, "accuracy_by_stream": 0.75,
        "top3_by_frame": 1.0, "unknown": {"score": "max_logit", "threshold": 1.25, "share": 0.05}, "games": games,
    } | changes  # fmt: skip


def test_names_cannot_break_a_table():
    """Every row has as many cells as its head, whatever a game is called; an accuracy that is none is a dash."""
    written = model_card.text(figures(), [("model.h5", "ab" * 32)])
    assert r"| A\|B\* | 50.0% | — |" in written
    assert r"| \$C | 50.0% | 100.0% |" in written


def test_it_says_what_it_does_not_know():
    """The threshold, or that there is none; and that the saved model is another than the one judged."""
    assert "Frames whose max logit is below 1.25 are called unknown" in model_card.text(figures(), [])
    assert "trained anew on all frames" in model_card.text(figures(), [])
    silent = figures(unknown={"score": "energy", "threshold": None, "share": 0.0})
    assert "made to call nothing unknown" in model_card.text(silent, [])


def test_it_begins_as_hugging_face_reads_it():
    """Metadata between two lines of dashes, then the title."""
    lines = model_card.text(figures(), []).splitlines()
    assert lines[0] == lines[lines.index("---", 1)] == "---"
    assert "pipeline_tag: image-classification" in lines
    assert lines[lines.index("---", 1) + 2] == "# cnn, 2 games"


def test_a_file_that_is_gone(tmp_path):
    """No card without the files that it speaks of."""
    with pytest.raises(OSError, match=r"model\.h5"):
        model_card.write(tmp_path, figures(), ["model.h5"])
