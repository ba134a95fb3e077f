"""Times of the dashboard's server on 100,000 frames, as a client on the same machine sees them, and its memory.

    python -m benchmarks.dashboard_100k [--frames N] [--folder DIR] [--kill]

A server process, one client with a connection that stays open, an embedded PostgreSQL. Pictures are read cold: the
client asks for each one once, and the kernel drops what it cached of the files before. Claims: a window anywhere within
150 ms at the 95th percentile, its pictures included; a filter within 300 ms; 1,000 frames moved within 1 s and undone
within 1 s; 200 MB of memory without a model and without likeness.

--kill: also kill the server with SIGKILL in the middle of moving 1,000 frames, ten times, and compare rows with files.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import psutil

from benchmarks._dashboard_dataset import make_dataset
from config import Settings
from data.factories import make_frame_store, open_catalog, open_changes
from data.storage.layout import CHANGES_FOLDER

_API = "/api/v1/dataset"
_JUMPS, _WINDOW, _VISIBLE = 100, 200, 60  # windows; frames in one; pictures on a screen
_REPEATS = 5
_MOVED = 1000
_KILLS = 10
_CLAIMS = {"jump_p95_ms": 150, "filter_max_ms": 300, "move_ms": 1000, "undo_ms": 1000, "memory_mb": 200}
_REPOSITORY = Path(__file__).parent.parent


def main(argv: list[str] | None = None) -> int:
    """Make the dataset, time the server, print the numbers; return 1 if a claim is not kept."""
    parser = argparse.ArgumentParser(description="Time the dashboard's server.")
    parser.add_argument("--frames", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, help="where to make and keep the dataset (default: a temporary folder)")
    parser.add_argument("--kill", action="store_true", help="also kill the server in the middle of changes")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="dashboard-") as scratch:
        settings = Settings(_env_file=None, download_path=args.folder or Path(scratch))
        make_dataset(settings, args.frames, features=True)
        numbers = _measure(settings)
        wrong = _kill(settings) if args.kill else 0
    print(json.dumps({"name": "dashboard_100k", "cores": os.cpu_count()} | numbers))
    return int(wrong or any(numbers[name] > limit for name, limit in _CLAIMS.items()))


@contextlib.contextmanager
def running_server(settings: Settings) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """Yield a client of a server process on this dataset, and the process; kill it at the end."""
    environment = {**os.environ, "DOWNLOAD_PATH": str(settings.download_path), "DB_HOST": ""}
    command = [sys.executable, "-m", "dashboard.serve", "--port", "0"]
    with subprocess.Popen(command, cwd=_REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        address = process.stdout.readline().split()[-1].rstrip("/")
        try:
            with httpx.Client(base_url=address, timeout=120) as client:
                yield client, psutil.Process(process.pid)
        finally:
            process.terminate()


def _measure(settings: Settings) -> dict[str, float]:
    started = time.perf_counter()
    with running_server(settings) as (client, process):
        listening = time.perf_counter() - started
        client.get(_API).raise_for_status()
        loaded = time.perf_counter() - started
        _wait_for_check(client)
        numbers = {"listening_s": listening, "loaded_s": loaded, "loaded_mb": process.memory_info().rss / 1e6}
        numbers |= _windows(client, settings)
        numbers |= _filters_and_orders(client)
        numbers |= _changes(client, settings)
        numbers["memory_mb"] = process.memory_info().rss / 1e6
        numbers |= _likeness(client)
        numbers["memory_with_likeness_mb"] = process.memory_info().rss / 1e6
    return {name: round(value, 3 if name.endswith("_s") else 1) for name, value in numbers.items()}


def _wait_for_check(client: httpx.Client) -> None:
    while not client.get(_API).json()["checked_at"]:
        time.sleep(0.1)
    time.sleep(1)


def _windows(client: httpx.Client, settings: Settings) -> dict[str, float]:
    """Time the first window and windows anywhere, with the pictures of a screen: never asked for, and again."""
    numbers = {"first_window_ms": _ms(lambda: _ok(client, "/frames", limit=_WINDOW, sort="time"))}
    total = client.get(_API).json()["frames"]
    rng = random.Random(0)
    offsets = [rng.randrange(total - _WINDOW) for _ in range(_JUMPS)]
    _drop_cached(settings)
    windows, whole, pictures = [], [], []
    for offset in offsets:
        start = time.perf_counter()
        frames = _ok(client, "/frames", limit=_WINDOW, offset=offset)["frames"]
        windows.append(1000 * (time.perf_counter() - start))
        for frame in frames[:_VISIBLE]:
            begin = time.perf_counter()
            client.get(frame["picture"]).raise_for_status()
            pictures.append(1000 * (time.perf_counter() - begin))
        whole.append(1000 * (time.perf_counter() - start))
    return numbers | {
        "window_p50_ms": statistics.median(windows),
        "window_p95_ms": _percentile_95(windows),
        "picture_p50_ms": statistics.median(pictures),
        "picture_p95_ms": _percentile_95(pictures),
        "jump_p50_ms": statistics.median(whole),
        "jump_p95_ms": _percentile_95(whole),
    }


def _filters_and_orders(client: httpx.Client) -> dict[str, float]:
    """Time each filter, each order and the groups; each query is new to the server."""
    state = client.get(_API).json()
    games = [game["id"] for game in state["games"]]
    day = state["first"][:10]
    filters: list[dict[str, Any]] = [
        *({"game": game} for game in games[:3]),
        *({"login": "s1_1"}, {"q": "s3"}, {"language": "en"}, {"kind": "menu"}, {"suggested": games[0]}),
        *({"suspect": True}, {"suspect": False}, {"min_suspicion": 0.5}, {"since": day}, {"until": day}),
        {"game": games[:10], "suspect": False, "q": "s1", "since": day},
    ]
    times = [_ms(lambda query=query: _ok(client, "/frames", limit=_WINDOW, **query)) for query in filters]  # type: ignore[misc]
    groups = [_ms(lambda query=query: _ok(client, "/groups", **query)) for query in ({}, filters[0])]  # type: ignore[misc]
    orders = {
        f"sort_{sort}_ms": _ms(lambda sort=sort: _ok(client, "/frames", limit=_WINDOW, sort=sort, descending=True))  # type: ignore[misc]
        for sort in ("stream", "time", "streamer", "suspicion")
    }
    return {"filter_p50_ms": statistics.median(times), "filter_max_ms": max(times), "groups_ms": groups[0]} | orders


def _changes(client: httpx.Client, settings: Settings) -> dict[str, float]:
    """Time moves of 1,000 frames of all games, of one game, and to the trash; and their undoing."""
    rng = random.Random(1)
    paths = _ok(client, "/paths", limit=20_000, sort="time")["paths"]
    moves, undoes, first_lists = [], [], []
    for number in range(_REPEATS):
        body = {"action": "move", "game_id": "1007"} if number % 2 else {"action": "delete"}
        chosen = rng.sample(paths, _MOVED)
        change: dict[str, Any] = {}
        moves.append(_ms(lambda: change.update(_post(client, "/changes", **body, frames=chosen))))  # noqa: B023
        first_lists.append(_ms(lambda: _ok(client, "/frames", limit=_WINDOW)))
        undoes.append(_ms(lambda: _post(client, f"/changes/{change['id']}/undo")))  # noqa: B023
    assert _is_in_step(settings)
    return {
        "move_ms": statistics.median(moves),
        "undo_ms": statistics.median(undoes),
        "list_after_change_ms": statistics.median(first_lists),
    }


def _likeness(client: httpx.Client) -> dict[str, float]:
    """Time the first order by likeness, which reads the features, and the next one."""
    paths = _ok(client, "/paths", limit=2)["paths"]
    first, second = (
        _ms(lambda path=path: _ok(client, "/frames", limit=_WINDOW, sort="likeness", like=path))  # type: ignore[misc]
        for path in paths
    )
    return {"likeness_first_ms": first, "likeness_ms": second}


def _kill(settings: Settings) -> int:
    """Kill the server in the middle of moving 1,000 frames, several times; return how often rows were not files."""
    rng, wrong = random.Random(2), 0
    for _ in range(_KILLS):
        with running_server(settings) as (client, process):
            paths = _ok(client, "/paths", limit=20_000, sort="time")["paths"]
            body = {"action": "move", "game_id": "1007", "frames": rng.sample(paths, _MOVED)}
            thread = threading.Thread(target=_post_quietly, args=(client, body))
            thread.start()
            journals = settings.download_path / "frames" / CHANGES_FOLDER
            while not any(journals.glob("*.pending")) and thread.is_alive():
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.4))
            process.kill()
            thread.join()
        with open_changes(settings) as changes:
            finished = changes.finish_pending()
            moved = len([path for path in body["frames"] if not (settings.download_path / "frames" / path).exists()])
            print(f"killed: {moved} moved, {finished} finished", flush=True)
            wrong += moved not in {0, sum(not path.startswith("1007/") for path in body["frames"])}
            if moved:
                changes.undo()
        wrong += not _is_in_step(settings)
    return wrong


def _is_in_step(settings: Settings) -> bool:
    """Return whether the rows are those of the files."""
    with open_catalog(settings, access="read") as catalog:
        return catalog.snapshot().paths == {frame.path for frame in make_frame_store(settings).frames()}


def _drop_cached(settings: Settings) -> None:
    """Ask the kernel to drop what it has cached of the pictures, so that they are read from the disk."""
    for frame in make_frame_store(settings).frames():
        descriptor = os.open(settings.download_path / "frames" / frame.path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _post_quietly(client: httpx.Client, body: dict[str, Any]) -> None:
    with contextlib.suppress(httpx.HTTPError):
        client.post(f"{_API}/changes", json=body)


def _ok(client: httpx.Client, path: str, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{_API}{path}", params=params).raise_for_status().json()
    return found


def _post(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.post(f"{_API}{path}", json=body).raise_for_status().json()
    return found


def _ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def _percentile_95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


if __name__ == "__main__":
    sys.exit(main())
