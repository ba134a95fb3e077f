"""python -m docs.pictures: draw the README's pictures from what `make demo` left behind, and from the tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STREAMS = ("wesnoth_weldyn_channel", "hedgewars_nature", "supertux_frosted_fields", "stk_snowmountain")


def main(argv: list[str] | None = None) -> int:
    """Parse, draw, and say what was written; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.pictures", description=__doc__)
    parser.add_argument("--demo", type=Path, default=ROOT / "demo", help="folder that make demo left behind")
    parser.add_argument("--images", type=Path, default=ROOT / "images", help="folder of the pictures")
    args = parser.parse_args(argv)
    demo: Path = args.demo.resolve()
    if not (demo / "model" / "results" / "metrics.json").is_file():
        parser.error(f"{demo} holds no finished demo: make demo, or name another folder with --demo")
    args.images.mkdir(parents=True, exist_ok=True)
    draw(demo, args.images)
    for path in sorted(args.images.iterdir()):
        sys.stdout.write(f"{path}: {path.stat().st_size / 1000:.0f} kB\n")
    return 0


def draw(demo: Path, images: Path) -> None:
    """Draw every picture into the folder `images`."""
    from data.storage.database import metadata
    from data.storage.frame_folder import Folder
    from docs.changes import sheet
    from docs.figures import data_path, recognition
    from docs.schema import svg
    from docs.streams import recognised

    (images / "schema.svg").write_text(svg(metadata), encoding="utf-8")
    draw_curves(demo / "model" / "results" / "metrics.json", images / "model.png")
    streams = recognised(STREAMS, demo / "model")
    recognition(streams).save(images / "recognition.png")
    sheet(Folder(demo / "dataset" / "frames")).save(images / "augmentation.png")
    data_path(demo / "dataset" / "frames", streams[-1]).save(images / "data.png")


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draw the curves that model.create draws, of the training that `metrics` tells of."""
    from model.reports.training_report import curves

    figures = json.loads(metrics.read_text(encoding="utf-8"))
    figure = curves(figures["history"], figures["best_epoch"])
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.12)  # inches
    figure.savefig(picture, dpi=180)


if __name__ == "__main__":
    sys.exit(main())
