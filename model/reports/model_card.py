"""model_card.md: what a model is, what it was made of, how good it is and what it cannot do, as Hugging Face has it.

https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FILE = "model_card.md"
_CHUNK = 1 << 20


def write(folder: Path, figures: dict[str, Any], files: Sequence[str]) -> None:
    """Write the card of the model whose `files` lie in `folder`. `figures`: what metrics.json holds. Raises OSError."""
    hashes = [(name, sha256(folder / name)) for name in files]
    (folder / FILE).write_text(text(figures, hashes), encoding="utf-8")


def sha256(path: Path) -> str:
    """Of a file, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def text(figures: dict[str, Any], hashes: Sequence[tuple[str, str]]) -> str:
    """The card, Markdown. `hashes`: each file's name and sha256."""
    settings = figures["settings"]
    head = ["---", "library_name: keras", "pipeline_tag: image-classification", "tags: [twitch, games]", "---", "", ""]
    parts = [
        f"# {settings['architecture']}, {len(figures['games'])} games",
        f"Says which game a frame of a live stream shows. Trained by `python -m model.create`, {figures['date']}.",
        "## Use",
        f"`model.onnx`: input `image`, float32 (n, {settings['img_size']}, {settings['img_size']}, 3), RGB, 0 to 255; "
        "outputs `logits` (n, classes) and `features`. Line *i* of `classes.txt` names output *i*. `model.h5` is the "
        f"same for Keras. Divide logits by the temperature, {figures['temperature']:.4f}, before the softmax.",
        "## Data",
        f"Training: {_side(figures['training'])}. Validation: {_side(figures['validation'])}.",
        _table(("game", "id", "training frames", "streamers", "validation frames", "streamers"), _data(figures)),
        "## Split",
        _split(figures),
        "## Numbers",
        _table(("on the validation side", ""), _numbers(figures)),
        _table(("game", "frames right", "streams right"), _accuracies(figures)),
        "## Limits",
        _limits(figures),
        "## Made with",
        _table(("", "version"), figures["versions"].items()),
        _table(("setting", "value"), ((f"`{name.upper()}`", value) for name, value in settings.items())),
        "## Files",
        _table(("file", "sha256"), ((f"`{name}`", f"`{digest}`") for name, digest in hashes)),
    ]
    return "\n".join(head) + "\n\n".join(parts) + "\n"


def _side(side: dict[str, Any]) -> str:
    return f"{side['frames']} frames of {side['streamers']} streamers"


def _split(figures: dict[str, Any]) -> str:
    words = f"By streamer, seed {figures['seed']}: frames of one streamer are never on both sides."
    if figures["settings"]["refit"]:
        words += " The saved model was trained anew on all frames afterwards; the numbers are of the one before."
    return words


def _data(figures: dict[str, Any]) -> Iterable[Sequence[Any]]:
    for game in figures["games"]:
        sides = (game["training"], game["validation"])
        yield [_cell(game["name"]), game["id"], *(side[key] for side in sides for key in ("frames", "streamers"))]


def _numbers(figures: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("frames right", f"{figures['accuracy_by_frame']:.1%}"),
        ("frames whose game is among the first three", f"{figures['top3_by_frame']:.1%}"),
        ("streams right", f"{figures['accuracy_by_stream']:.1%} of {figures['validation']['streams']}"),
        ("expected calibration error, 15 bins", f"{figures['ece']:.1%}"),
        ("negative log-likelihood", f"{figures['nll']:.3f}"),
    ]


def _accuracies(figures: dict[str, Any]) -> Iterable[Sequence[str]]:
    for game in figures["games"]:
        shares = (game["accuracy_by_frame"], game["accuracy_by_stream"])
        yield [_cell(game["name"]), *("—" if share is None else f"{share:.1%}" for share in shares)]


def _limits(figures: dict[str, Any]) -> str:
    unknown = figures["unknown"]
    fewest = min(figures["games"], key=lambda game: game["validation"]["streamers"])
    threshold = (
        f"Frames whose {unknown['score'].replace('_', ' ')} is below {unknown['threshold']:.4g} are called unknown, "
        f"which takes {unknown['share']:.0%} of the validation frames; games much like a known one still pass for it."
        if unknown["threshold"] is not None
        else "It was made to call nothing unknown: shown anything else, it names one of its games."
    )
    return "\n".join([
        f"- It knows these {len(figures['games'])} games and no other. {threshold}",
        f"- Fewest streamers judged it in {_cell(fewest['name'])}: {fewest['validation']['streamers']}. The fewer, the "
        "more its numbers depend on the split.",
        "- Temperature and threshold were fitted on the frames that the numbers are of.",
        "- It judges frames as the toolkit grabs them, scaled to a square. Games change with updates, and streams with "
        "fashions: numbers are of the day that the frames were collected.",
    ])  # fmt: skip


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _cell(name: str) -> str:
    """A name as it may stand in a table, where a bar would end the cell, and markup would be one."""
    return "".join(f"\\{character}" if character in "\\|*_`<>[]$#" else character for character in name)
