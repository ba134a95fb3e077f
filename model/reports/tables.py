"""Tables: what the commands print at their end, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data.text import plural, printable
from model.reports.rendering import percent

_MAX_GAMES = 15  # with the lines around it, what a terminal of 24 lines shows; metrics.json has all


def render_table(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as text in columns, the first one aligned left, and an empty line after them."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for index in range(len(rows[0])):
        table.add_column(justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))  # Text: brackets in a name are no markup
    # rich cuts cells at the console's width, which is 80 in a pipe; a wide console never cuts.
    console = Console(width=10_000, highlight=False, color_system=None)
    with console.capture() as text:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in text.get().splitlines())


def training_summary(metrics: dict[str, Any]) -> str:
    """Return how good the trained model is, in some lines. `metrics`: the content of metrics.json."""
    if "cross_validation" in metrics:
        by_frame, by_stream = metrics["cross_validation"].values()
        lines = [
            f"Cross-validation, {len(by_frame['folds'])} folds: "
            f"{by_frame['mean']:.1%} ± {by_frame['spread']:.1%} of frames, "
            f"{by_stream['mean']:.1%} ± {by_stream['spread']:.1%} of streams correct (held-out streamers)."
        ]
    else:
        # Epochs are numbered across all stages.
        losses, best, validation = metrics["history"]["val_loss"], metrics["best_epoch"], metrics["validation"]
        lines = [
            f"Validation: {metrics['accuracy_by_frame']:.1%} of {validation['frames']} frames, "
            f"{metrics['accuracy_by_stream']:.1%} of {validation['streams']} streams correct (held-out streamers).",
            f"Epoch {best} of {len(losses)} was best, validation loss {losses[best - 1]:.4f}.",
        ]
    lines.append(f"Expected calibration error {metrics['ece']:.1%} (temperature {metrics['temperature']:.2f}).")
    return "\n".join(lines)


def accuracy_rows(metrics: dict[str, Any]) -> list[list[str]]:
    """Return the table of the games' accuracies on validation frames, the worst first; of many games those only."""
    validated = [game for game in metrics["games"] if game["accuracy_by_frame"] is not None]
    validated.sort(key=lambda game: (game["accuracy_by_frame"], game["accuracy_by_stream"], game["name"]))
    rows = [["game", "frames right", "", "streams right"]]
    for game in validated[:_MAX_GAMES]:
        frames = game["validation"]["frames"]
        right = f"{round(game['accuracy_by_frame'] * frames)} of {frames}"
        fractions = percent(game["accuracy_by_frame"]), percent(game["accuracy_by_stream"])
        rows.append([printable(game["name"]), fractions[0], right, fractions[1]])
    if better := validated[_MAX_GAMES:]:
        least = percent(better[0]["accuracy_by_frame"])
        rows.append([plural(len(better), "better game"), f"{least} or more", "", ""])
    return rows
