"""Model card: model_card.md, what the model is, its data, metrics and limits, in Hugging Face's form.

https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.reports import rendering


def write(path: Path, metrics: dict[str, Any], files: Sequence[str]) -> None:
    """Write the card to `path`, beside the model's `files`. Raises OSError. `metrics`: the content of metrics.json."""
    hashes = [(name, sha256(path.parent / name)) for name in files]
    path.write_text(render(metrics, hashes), encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal. Raises OSError."""
    return hashlib.sha256(path.read_bytes()).hexdigest()  # a model fits into memory


def render(metrics: dict[str, Any], hashes: Sequence[tuple[str, str]]) -> str:
    """Return the card, Markdown. `hashes`: each file's name and SHA-256."""
    evaluated = metrics["validation"]
    rows = rendering.metric_rows(metrics, evaluated["frames"], evaluated["streams"])
    games = sorted(metrics["games"], key=lambda game: (game["accuracy_by_frame"] or 0.0, game["name"]))  # worst first
    return rendering.render("model_card.md", metrics=metrics, games=games, metric_rows=rows, hashes=hashes)
