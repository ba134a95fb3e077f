"""Download on a Ray cluster into an S3 store: what dies meanwhile costs its grabs only. Linux, as root.

    python -m benchmarks.cluster_download [--frames 24] [--trial NAME]

Three nodes, network namespaces of benchmarks._netns with one core each, collect from the stand-in for Twitch until each
of four games has --frames frames. The store is moto's S3 server, the catalog a real PostgreSQL; nodes reach both, and
the stand-in, over their links only. Each trial begins with an empty dataset:

    undisturbed       a download
    kill_node         kill -9 of all processes of a node when a third of the frames are there
    kill_coordinator  kill -9 of the command, and the same command again
    cut_link          a node loses the network, and keeps running
    side_by_side      a second download, in threads of this machine, into the same dataset

    games             frames of the smallest and of the largest game
    no_row, no_file   files without a row, rows without a file: before data.dbSync, and after it
    broken, twice     files that are no complete JPEG, and frames that are there twice, byte for byte
    lost_s            from the disturbance until the command says that a worker is lost
    next_s            from the disturbance to the next frame
    end_s             from the disturbance to the end

Exit code 1: after dbSync a row or file is missing, one is broken or there twice, or games differ by more than 10 %
and the files of grabs that died, which had no row, two downloads side by side by more than their grabs in flight.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine, text

from benchmarks._grabbing import REPOSITORY
from benchmarks._logged import LoggedCommand, logged_command
from benchmarks._netns import NodeCluster
from benchmarks._relay import relay
from config import Settings
from data.errors import ToolkitError
from data.factories import connect_database, make_frame_store
from data.storage.catalog import Catalog
from data.storage.embedded_postgres import running_server
from data.video.images import decode_jpeg
from tests.s3_server import BUCKET, running_s3_server
from tests.standin import CLIPS, Standin, World

CHANNELS = [
    *("bzflag_ctf", "bzflag_tall_boxes", "bzflag_ricochet", "torcs_alpine_1", "torcs_forza", "torcs_street_1"),
    *("freedoom_e1m4", "freedoom_e2m3", "freedoom_map02", "openttd_arctic", "openttd_title_network", "openttd_tropic"),
]
GAMES = 4
_LOST = "a worker is lost"
_MAX_RUN_S = 120
_EVERY_S = 0.1  # between two looks at the catalog, which shares its cores with the stand-in
_NODES = 3
_GRAB = 6  # frames of a stream
# Most files that may have no row: what the workers that die have in flight, each one grab.
_MAX_NO_ROW = {"kill_node": _GRAB, "cut_link": _GRAB, "kill_coordinator": _NODES * _GRAB}


class Bench:
    """The downloads of one stand-in into one dataset."""

    def __init__(
        self, cluster: NodeCluster, engine: Engine, settings: Settings, variables: dict[str, str], frames: int
    ) -> None:
        self.cluster = cluster
        self._engine = engine
        self._catalog = Catalog(engine, settings.db_reconnect_s)
        self.settings = settings
        self.variables = variables
        self.frames = frames

    def download(self, *, on_cluster: bool = True) -> AbstractContextManager[LoggedCommand]:
        """Start a download; kill it at the end of the block if it still runs."""
        command = [sys.executable, "-m", "data.download", "--until", str(self.frames), "-v"]
        variables = self.variables | (self.cluster.environment if on_cluster else {"RAY_ADDRESS": ""})
        return logged_command(command, variables, cwd=REPOSITORY)

    def saved(self) -> int:
        """Return the number of frames that have a row."""
        return sum(self._catalog.game_frames().values())

    def wait_for_frames(self, count: int, run: LoggedCommand) -> None:
        """Wait until `count` frames have a row, or all."""
        count = min(count, GAMES * self.frames)
        run.wait_until(lambda: self.saved() >= count, _MAX_RUN_S, _EVERY_S)

    def wait_for_end(self, run: LoggedCommand, since: float, saved: int) -> dict[str, Any]:
        """Wait for the next frame after `saved`, then for the end; return the seconds of both since then."""
        self.wait_for_frames(saved + 1, run)
        next_s = round(time.monotonic() - since, 1)
        run.succeed(_MAX_RUN_S)
        return {"next_s": next_s, "end_s": round(run.ended - since, 1)}

    def clear(self) -> None:
        """Empty the dataset."""
        store = make_frame_store(self.settings)
        store.files.remove(list(store.files.walk("")))
        with self._engine.begin() as connection:
            connection.execute(text("TRUNCATE games, frames RESTART IDENTITY"))

    def faults(self) -> dict[str, Any]:
        """Return what is wrong with the dataset, before and after data.dbSync."""
        before = self._differences()
        command, environment = [sys.executable, "-m", "data.dbSync"], self.variables | {"RAY_ADDRESS": ""}
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)
        after = self._differences()
        store = make_frame_store(self.settings)
        frames = list(store.frames())
        contents = [store.read(frame) for frame in frames]
        counts = Counter(frame.game_id for frame in frames)
        return {
            "games": [min(counts.values()), max(counts.values())] if len(counts) == GAMES else [0, 1],
            "no_row": [before[0], after[0]],
            "no_file": [before[1], after[1]],
            "broken": sum(map(_is_broken, contents)),
            "twice": len(contents) - len(set(contents)),
        }

    def _differences(self) -> tuple[int, int]:
        files = {frame.path for frame in make_frame_store(self.settings).frames()}
        paths = self._catalog.snapshot().paths
        return len(files - paths), len(paths - files)


def main(argv: list[str] | None = None) -> int:
    """Run the trials, print a JSON object for each; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster_download", description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=24, help="of each game; its three channels have some 45")
    parser.add_argument("--trial", action="append", choices=TRIALS, help="only this one; repeat it for more")
    args = parser.parse_args(argv)
    failed = False
    with _bench(args.frames) as bench:
        for name in args.trial or TRIALS:
            bench.clear()
            result = {"trial": name, **TRIALS[name](bench), **bench.faults()}
            failed |= bool(_wrong(result))
            print(json.dumps(result | {"wrong": _wrong(result)}), flush=True)
    return int(failed)


@contextmanager
def _bench(frames: int) -> Iterator[Bench]:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="download-")))
        stack.enter_context(running_s3_server())
        port = urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
        cluster = NodeCluster(_NODES)
        s3_port = stack.enter_context(relay(cluster.loopback, ("127.0.0.1", port or 0)))
        os.environ["AWS_ENDPOINT_URL"] = f"http://{cluster.loopback}:{s3_port}"
        cluster.variables.update({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
        stack.enter_context(cluster)
        world = World.load(CLIPS).only(CHANNELS)
        standin = stack.enter_context(Standin(world, host=cluster.loopback))
        socket = stack.enter_context(running_server(home / "postgres"))
        db_port = stack.enter_context(relay(cluster.loopback, f"{socket}/.s.PGSQL.5432"))
        database = {"DB_HOST": cluster.loopback, "DB_PORT": str(db_port), "DB_NAME": "postgres", "DB_USER": "postgres"}
        own = {"STORE_URL": f"s3://{BUCKET}/frames", "DOWNLOAD_PATH": str(home / "dataset"), "MIN_STREAMERS": "1"}
        # The stand-in's clips loop: the frames that the dataset has already are dropped by their hash.
        own |= {"FILTER_FRAMES": "false", "MAX_STREAMER_FRACTION": "1", "FRAMES_PER_STREAM": str(_GRAB)}
        own |= {"PARALLEL_STREAMS": "1", "GAME_COOLDOWN_S": "1", "HELIX_RETRY_INTERVAL_S": "1"}
        variables = {**standin.environment, **database, **own}
        settings = Settings(_env_file=None, **{name.lower(): value for name, value in variables.items()})
        engine = stack.enter_context(connect_database(settings))
        bench = Bench(cluster, engine, settings, {**os.environ, **variables}, frames)
        with bench.download(on_cluster=False) as run:  # transcodes the channels' segments
            run.succeed(_MAX_RUN_S)
        yield bench


def _undisturbed(bench: Bench) -> dict[str, Any]:
    began = time.monotonic()
    with bench.download() as run:
        return bench.wait_for_end(run, began, 0)


def _disturbed(bench: Bench, disturb: Callable[[], object]) -> dict[str, Any]:
    """Disturb a download when a third of its frames are there; wait for its end."""
    with bench.download() as run:
        bench.wait_for_frames(GAMES * bench.frames // 3, run)
        disturb()
        at = time.monotonic()
        times = bench.wait_for_end(run, at, bench.saved())
        return {"lost_s": run.seconds_until(_LOST, at), **times}


def _kill_node(bench: Bench) -> dict[str, Any]:
    result = _disturbed(bench, lambda: bench.cluster.kill_node(0))
    bench.cluster.start_node(0)
    return result


def _cut_link(bench: Bench) -> dict[str, Any]:
    result = _disturbed(bench, lambda: bench.cluster.cut_link(1))
    bench.cluster.restore_link(1)
    bench.cluster.start_node(1)
    return result


def _kill_coordinator(bench: Bench) -> dict[str, Any]:
    with bench.download() as killed:
        bench.wait_for_frames(GAMES * bench.frames // 3, killed)
    at, saved = time.monotonic(), bench.saved()  # the end of the block has killed it
    with bench.download() as run:
        return bench.wait_for_end(run, at, saved)


def _side_by_side(bench: Bench) -> dict[str, Any]:
    began = time.monotonic()
    with bench.download() as run, bench.download(on_cluster=False) as other:
        run.succeed(_MAX_RUN_S)
        other.succeed(_MAX_RUN_S)
    return {"end_s": round(max(run.ended, other.ended) - began, 1)}


TRIALS: dict[str, Callable[[Bench], dict[str, Any]]] = {
    "undisturbed": _undisturbed,
    "kill_node": _kill_node,
    "kill_coordinator": _kill_coordinator,
    "cut_link": _cut_link,
    "side_by_side": _side_by_side,
}


def _wrong(result: dict[str, Any]) -> list[str]:
    """Return the names of the values that are wrong."""
    least, most = result["games"]
    other = _GRAB * GAMES if result["trial"] == "side_by_side" else 0  # what the other download has in flight
    without_row = min(result["no_row"][0], _MAX_NO_ROW.get(result["trial"], 0))
    wrong = ["games"] if most - least > max(0.1 * most, other) + without_row else []
    wrong += [name for name in ("no_row", "no_file") if result[name][1]]
    return wrong + [name for name in ("broken", "twice") if result[name]]


def _is_broken(content: bytes) -> bool:
    try:
        return decode_jpeg(content).shape != (240, 240, 3)
    except ToolkitError:
        return True


if __name__ == "__main__":
    sys.exit(main())
