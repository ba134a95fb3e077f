"""make demo: the main job, for real, against the Twitch on this machine.

Collect a dataset from the stand-in's channels, train on it, then recognise one channel of each game that
was kept out: while the dataset is collected, those channels do not exist.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.standin import CLIPS, Channel, Standin, World

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "model" / "weights" / "efficientnet_lite0_games.weights.h5"
_FRAMES_PER_CLIP = 14  # each loops after 15 segments, of which a few are broken or look alike
_PASS = 0.9  # share of kept-out channels that must be recognised


@dataclass(frozen=True)
class Result:
    """What the recogniser said of a kept-out channel."""

    login: str
    truth: str
    answer: str
    score: str

    @property
    def right(self) -> bool:
        return self.answer == self.truth


def main(argv: list[str] | None = None) -> int:
    """Run every step; 0 when enough of the kept-out channels were recognised."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--dir", type=Path, default=ROOT / "demo", help="folder of the outputs, emptied first")
    folder = Path(os.path.relpath(parser.parse_args(argv).dir, ROOT))  # the commands run in ROOT, and print it
    os.chdir(ROOT)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    start = time.monotonic()
    world = World.load(CLIPS)
    seen, kept_out = world.without(world.held_out), world.only(world.held_out)
    check_nothing_shared(seen, kept_out)
    environment = {
        **os.environ,
        "DOWNLOAD_PATH": str(folder / "dataset"),
        "MODEL_PATH": str(folder / "model"),
        "MIN_STREAMERS": "1",  # the stand-in has a few channels a game, Twitch hundreds
        "GAME_COOLDOWN_S": "5",  # a game has two streamers here: they are asked again before long
        "ARCHITECTURE": "efficientnet_lite0",
        "INITIAL_WEIGHTS": str(WEIGHTS),
        "FINE_TUNE": "none",  # the head alone trains in seconds
        "REFIT": "true",  # two streamers a game are too few to keep one for validation alone
    }
    with Standin(seen) as standin:
        clips = {channel.file for channel in seen.channels if channel.igdb_id and channel.has_frames}
        run(["data.download", "--frames", str(_FRAMES_PER_CLIP * len(clips))], environment | standin.environment)
        while alone(folder / "dataset" / "frames"):  # on a busy machine a stream may have failed every time
            run(["data.download", "--frames", "10", "--minutes", "1"], environment | standin.environment)
        run(["data.info"], environment | standin.environment)
    check_nothing_leaked(folder / "dataset" / "frames", kept_out)
    run(["model.create"], environment)
    with Standin(kept_out) as standin:
        results = [recognised(channel, environment | standin.environment) for channel in kept_out.channels]
    return report(results, time.monotonic() - start)


def run(words: list[str], environment: dict[str, str]) -> str:
    """Run one of the toolkit's commands as a user would, showing it and its output; ends the demo if it fails."""
    print(f"\n$ python -m {' '.join(words)}", flush=True)
    start = time.monotonic()
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout or []:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(f"python -m {words[0]} ended with exit code {process.returncode}")
    print(f"({time.monotonic() - start:.1f} s)", flush=True)
    return "".join(lines)


def recognised(channel: Channel, environment: dict[str, str]) -> Result:
    """Ask the recogniser about one channel, and read the verdict off its last line."""
    last = run(["recognition.recognize", channel.login], environment).splitlines()[-1]
    answer, _, score = last.partition(" with a score of ")
    return Result(channel.login, channel.game, answer, score.partition(" ")[0])  # Unknown names the closest after it


def alone(frames: Path) -> list[str]:
    """Games of one streamer: nobody would be left to validate with."""
    games = [game for game in frames.iterdir() if game.is_dir()]
    return [game.name for game in games if len({file.name.rpartition("-")[0] for file in game.glob("*.jpg")}) < 2]


def check_nothing_shared(seen: World, kept_out: World) -> None:
    """The two worlds have no channel and no recording in common."""
    for what in ("login", "file"):
        common = {getattr(c, what) for c in seen.channels} & {getattr(c, what) for c in kept_out.channels}
        if common:
            sys.exit(f"the demo would not be honest: {what} {sorted(common)} on both sides")


def check_nothing_leaked(frames: Path, kept_out: World) -> None:
    """No frame of a kept-out channel lies in the dataset."""
    leaked = [str(path) for c in kept_out.channels for path in frames.glob(f"*/{c.login}-*.jpg")]
    if leaked:
        sys.exit(f"the demo is not honest: {leaked}")


def report(results: list[Result], seconds: float) -> int:
    """Print the last table and the share that was right; the exit code."""
    print("\nChannels kept out of the dataset, and what the recogniser said:\n")
    row = "{:<28} {:<26} {:<26} {:>6}  {}".format
    print(row("channel", "shows", "recognised as", "score", ""))
    for result in results:
        print(row(result.login, result.truth, result.answer, result.score, "right" if result.right else "WRONG"))
    right = sum(result.right for result in results)
    print(f"\n{right} of {len(results)} channels right ({100 * right / len(results):.0f} %), in {seconds:.0f} s.")
    return 0 if right >= _PASS * len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
