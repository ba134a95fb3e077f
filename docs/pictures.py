"""COMMAND: draw the README's images from the results of `make demo` and from the database tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STREAMS = ("wesnoth_weldyn_channel", "hedgewars_nature", "supertux_frosted_fields", "stk_snowmountain")


def main(argv: list[str] | None = None) -> int:
    """Run the command, print the files that it wrote and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.pictures", description=__doc__)
    parser.add_argument("--demo", type=Path, default=ROOT / "demo", help="folder that make demo created")
    parser.add_argument("--images", type=Path, default=ROOT / "images", help="folder of the images")
    args = parser.parse_args(argv)
    demo: Path = args.demo.resolve()
    if not (demo / "model" / "results" / "metrics.json").is_file():
        parser.error(f"{demo} holds no finished demo. Run make demo, or choose another folder with --demo.")
    args.images.mkdir(parents=True, exist_ok=True)
    draw(demo, args.images)
    for path in sorted(args.images.iterdir()):
        sys.stdout.write(f"{path}: {path.stat().st_size / 1000:.0f} kB\n")
    return 0


def draw(demo: Path, images: Path) -> None:
    """Draw all images into the folder `images`."""
    from data.storage.database import metadata
    from data.storage.frame_folder import FrameFolder
    from docs.augmentations import contact_sheet
    from docs.figures import data_path, recognition
    from docs.schema import svg
    from docs.streams import recognise

    (images / "schema.svg").write_text(svg(metadata), encoding="utf-8")
    draw_curves(demo / "model" / "results" / "metrics.json", images / "model.png")
    streams = recognise(STREAMS, demo / "model")
    recognition(streams).save(images / "recognition.png")
    contact_sheet(FrameFolder(demo / "dataset" / "frames")).save(images / "augmentation.png")
    data_path(demo / "dataset" / "frames", streams[-1]).save(images / "data.png")


def draw_curves(metrics_file: Path, image: Path) -> None:
    """Draw the learning curves of the training whose metrics.json is `metrics_file`, as model.create does."""
    from model.reports.plots import learning_curves

    metrics = json.loads(metrics_file.read_text(encoding="utf-8"))
    figure = learning_curves(metrics["history"], metrics["best_epoch"])
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.12)  # inches
    figure.savefig(image, dpi=180)


if __name__ == "__main__":
    sys.exit(main())
