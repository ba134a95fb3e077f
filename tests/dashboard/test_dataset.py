"""Lists of the dataset: numbers, filters, orders, windows, groups, one frame, pictures, hostile paths."""

from __future__ import annotations

import shutil
import time
from typing import Any

from sqlalchemy import text
from starlette.testclient import TestClient

from dashboard.dataset.service import DatasetService
from data.entities import StoredFrame
from data.factories import connect_database
from data.storage.layout import CHECK_FILE, FEATURES_FOLDER
from tests.dashboard.datasets import CHESS, GO, HOSTILE, LARGE, SmallDataset

API = "/api/v1/dataset"
FIRST, LAST = "2026-11-02T12:00:00.000Z", "2026-11-02T23:01:30.000Z"


def _get(client: TestClient, path: str, **params: Any) -> dict[str, Any]:
    response = client.get(f"{API}{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


def _paths(client: TestClient, **params: Any) -> list[str]:
    frames = _get(client, "/frames", **({"limit": 500} | params))["frames"]
    assert _get(client, "/paths", **params)["paths"] == [frame["path"] for frame in frames]
    return [frame["path"] for frame in frames]


def _expected(small: SmallDataset, *games: int, logins: tuple[str, ...] = ("ann", "ben", "cat")) -> set[str]:
    return {frame.path for frame in small.frames if frame.game_id in games and frame.login in logins}


ALL = CHESS.id, GO.id, LARGE.id, HOSTILE.id


def test_dataset_without_frames_is_empty(client: TestClient):
    """Without any frame, all lists are empty and nothing is wrong."""
    state = _get(client, "")
    assert (state["frames"], state["games"], state["database"], state["message"]) == (0, [], "ok", "")
    for path, key in (("/frames", "frames"), ("/groups", "groups"), ("/paths", "paths"), ("/changes", "changes")):
        assert _get(client, path)[key] == []
    assert _get(client, "/trash") == {"total": 0, "offset": 0, "frames": []}
    assert client.get(f"{API}/frames/7/ann/1").status_code == 404


def test_dataset_has_the_numbers_of_games_languages_and_the_check(small_dataset: SmallDataset, client: TestClient):
    """Games are sorted by name, ids are strings, unknown languages are not listed."""
    state = _get(client, "")
    games = {game["id"]: game for game in state["games"]}
    assert [game["name"] for game in state["games"]] == [HOSTILE.name, CHESS.name, GO.name, LARGE.name]
    assert games[str(GO.id)] == {
        "id": "8",
        "name": "Go",
        "frames": 30,
        "streamers": 3,
        "checked": 30,
        "suspects": 10,
    }
    assert games[str(LARGE.id)]["suspects"] == 0
    assert state["languages"] == {"en": 40, "de": 40}
    assert set(state["kinds"]) == {"gameplay", "menu", "duplicate", "other game"}
    assert (state["frames"], state["trash"], state["removed_games"]) == (120, 0, [])
    assert (state["first"], state["last"]) == (FIRST, LAST)
    assert state["checked_at"] is not None


FILTERS: list[tuple[dict[str, Any], tuple[int, ...], tuple[str, ...]]] = [
    ({}, ALL, ("ann", "ben", "cat")),
    ({"game": ["7", str(LARGE.id)]}, (CHESS.id, LARGE.id), ("ann", "ben", "cat")),
    ({"login": "ben"}, ALL, ("ben",)),
    ({"language": ["en", "xx"]}, ALL, ("ann",)),
    ({"language": ""}, ALL, ("cat",)),
    ({"q": "A"}, ALL, ("ann", "cat")),
    ({"kind": "other game"}, (GO.id,), ("ben",)),
    ({"suggested": "7"}, (GO.id,), ("ben",)),
    ({"suspect": "true", "game": "8"}, (GO.id,), ("ben",)),
    ({"min_suspicion": "0.75"}, (GO.id,), ("ben",)),
    ({"since": "2026-11-02", "until": "2026-11-02"}, ALL, ("ann", "ben", "cat")),
    ({"since": "2026-11-03"}, (), ()),
    ({"until": "2026-11-01"}, (), ()),
    ({"game": "99"}, (), ()),
    ({"login": "nobody"}, (), ()),
]


def test_frames_with_a_filter_are_those_that_match(small_dataset: SmallDataset, client: TestClient):
    """Each filter alone, and two together."""
    for params, games, logins in FILTERS:
        assert set(_paths(client, **params)) == _expected(small_dataset, *games, logins=logins), params


def test_frames_in_each_order(small_dataset: SmallDataset, client: TestClient):
    """Streams by the games' names; time, streamer and suspicion in both directions; likeness with the most alike."""
    by_stream = _paths(client)
    assert by_stream[:2] == [f"{HOSTILE.id}/ann-1.jpg", f"{HOSTILE.id}/ann-2.jpg"]
    assert by_stream[9] == f"{HOSTILE.id}/ann-10.jpg"
    assert _paths(client, descending=True) == by_stream[::-1]
    by_time = [frame.path for frame in sorted(small_dataset.frames, key=lambda frame: frame.details.grabbed_at or 0)]
    assert _paths(client, sort="time") == by_time
    assert _paths(client, sort="time", descending=True) == by_time[::-1]
    assert [path.split("/")[1][:3] for path in _paths(client, sort="streamer")] == [
        login for login in ("ann", "ben", "cat") for _ in range(40)
    ]
    suspicions = [frame["suspicion"] for frame in _get(client, "/frames", sort="suspicion", descending=True)["frames"]]
    assert suspicions == sorted(suspicions, reverse=True)
    alike = _paths(client, sort="likeness", like="8/cat-3.jpg")
    assert alike[0] == "8/cat-3.jpg"
    assert {path[:5] for path in alike[:10]} == {"8/cat"}


def test_unchecked_frames_are_last_by_suspicion(small_dataset: SmallDataset, client: TestClient):
    """A frame whose file is another one since the check has no finding, and is last in both directions."""
    changed = small_dataset.frames[0]
    path = small_dataset.folder.root / CHECK_FILE
    path.write_text(path.read_text().replace(changed.sha256.hex(), "0" * 64))
    client.app.state.services.dataset.follow()  # type: ignore[attr-defined]  # it may have read half of the file
    for descending in (False, True):
        assert _paths(client, sort="suspicion", descending=descending)[-1] == changed.path
    (frame,) = _get(client, "/frames", at=changed.path, limit=1)["frames"]
    assert (frame["suspicion"], frame["kind"], frame["suspect"]) == (None, None, False)


def test_dataset_without_features_or_with_a_damaged_check_says_what_to_do(
    small_dataset: SmallDataset, client: TestClient
):
    """Likeness is refused, a frame has no neighbours, and the lists go on without findings until the next check."""
    root = small_dataset.folder.root
    shutil.rmtree(root / FEATURES_FOLDER)
    check = (root / CHECK_FILE).read_bytes()
    (root / CHECK_FILE).write_bytes(check[:-30])
    client.app.state.services.dataset.follow()  # type: ignore[attr-defined]
    assert _get(client, "/frames/8/ben/4")["neighbours"] == []
    refused = client.get(f"{API}/frames", params={"sort": "likeness", "like": "8/ben-4.jpg"})
    assert (refused.status_code, "model.check" in refused.json()["detail"]) == (409, True)
    state = _get(client, "")
    assert (state["database"], state["frames"], state["kinds"]) == ("ok", 120, [])
    assert "check.csv is damaged" in state["message"]
    (root / CHECK_FILE).write_bytes(check)
    client.app.state.services.dataset.follow()  # type: ignore[attr-defined]
    assert (_get(client, "")["message"], len(_paths(client, suspect=True))) == ("", 12)


def test_windows_and_groups_follow_the_order(small_dataset: SmallDataset, client: TestClient):
    """Windows put together are the whole list; a window begins at a frame; groups are its streams."""
    whole = _paths(client, game="8")
    parts = [_get(client, "/frames", game="8", offset=start, limit=7) for start in range(0, 35, 7)]
    assert [frame["path"] for part in parts for frame in part["frames"]] == whole
    assert {(part["total"], part["version"]) for part in parts} == {(30, parts[0]["version"])}
    window = _get(client, "/frames", game="8", at=["7/ann-1.jpg", "8/ben-5.jpg"], limit=2)
    assert (window["offset"], window["frames"][0]["path"]) == (14, "8/ben-5.jpg")
    assert _get(client, "/frames", game="8", at="7/ann-1.jpg")["offset"] is None
    groups = _get(client, "/groups", game="8")
    assert groups["total"] == 30
    assert [(each["login"], each["start"], each["count"], each["suspicion"]) for each in groups["groups"]] == [
        ("ann", 0, 10, 0.1),
        ("ben", 10, 10, 0.95),
        ("cat", 20, 10, 0.1),
    ]


def test_frame_has_its_provenance_finding_and_neighbours(small_dataset: SmallDataset, client: TestClient):
    """What manifest and check say of it; the most similar frames are of its stream."""
    frame = _get(client, "/frames/8/ben/4")
    stored = next(frame for frame in small_dataset.frames if frame.path == "8/ben-4.jpg")
    assert (frame["sha256"], frame["title"], frame["viewers"]) == (stored.sha256.hex(), "ben plays", 100)
    assert (frame["origin"], frame["reason"]) == ("https://www.twitch.tv/ben", "looks like another game")
    assert (frame["suspicion"], frame["kind"], frame["suggested"]) == (0.9, "other game", "7")
    assert {near["path"][:5] for near in frame["neighbours"][:9]} == {"8/ben"}
    assert "8/ben-4.jpg" not in {near["path"] for near in frame["neighbours"]}
    assert frame["neighbours_pending"] is False


def test_picture_is_the_file_that_the_list_means(small_dataset: SmallDataset, client: TestClient):
    """A picture may be kept for ever; once the file is another one, its address is not found."""
    (frame,) = _get(client, "/frames", at="8/ben-4.jpg", limit=1)["frames"]
    response = client.get(frame["picture"])
    file = small_dataset.folder.root / "8/ben-4.jpg"
    assert (response.status_code, response.content) == (200, file.read_bytes())
    assert response.headers["content-type"] == "image/jpeg"
    assert "immutable" in response.headers["cache-control"]
    file.write_bytes(small_dataset.folder.read(small_dataset.frames[0]))
    assert client.get(frame["picture"]).status_code == 404
    assert client.get(frame["picture"].partition("?")[0]).headers["cache-control"] == "no-cache"
    file.write_text("not a picture: the file may be a link to any other one")
    assert client.get(frame["picture"].partition("?")[0]).status_code == 404
    file.unlink()
    assert client.get(frame["picture"].partition("?")[0]).status_code == 404


HOSTILE_ADDRESSES = (
    "/pictures/..%2f..%2f/ann/1",
    "/pictures/7/..%2fpasswd/1",
    "/pictures/7/ann/1%00",
    "/pictures/7/ann/1%0a",
    "/pictures/7/ann/01",
    "/pictures/7/ann/-1",
    "/pictures/7/ann/99999999999999999999",
    "/pictures/7/ann/1?v=..%2f",
    "/trash/pictures/..%2f..%2fetc/7/ann/1",
    "/trash/pictures/20260101-000000-000000/7/ANN/1",
    "/frames/7/ann/1%2e",
    "/frames?at=../../etc/passwd",
    "/frames?limit=501",
    "/frames?offset=-1",
    "/frames?unknown=1",
    "/frames?game=7%20or%201=1",
    "/frames?sort=likeness",
    "/paths?limit=20001",
    "/changes?limit=1000",
)


def test_hostile_addresses_are_refused(small_dataset: SmallDataset, client: TestClient):
    """No part of an address reaches the file system unless it can name a frame."""
    for path in HOSTILE_ADDRESSES:
        response = client.get(f"{API}{path}")
        assert response.status_code in {400, 404, 422}, path
        assert response.headers["content-type"] == "application/problem+json"


def test_rows_that_were_edited_into_invalid_paths_are_left_out(small_dataset: SmallDataset, client: TestClient):
    """They count as seen, so that the index is not read again in every round. Dates beyond the calendar are unknown."""
    dataset = client.app.state.services.dataset  # type: ignore[attr-defined]
    assert len(dataset.index) == 120
    _execute(small_dataset, "UPDATE frames SET date = '294276-01-01' WHERE path = '7/ann-2.jpg'")
    _execute(small_dataset, "UPDATE frames SET date = '4713-01-01 BC' WHERE path = '7/ann-3.jpg'")
    _execute(small_dataset, "UPDATE frames SET path = '../' || path WHERE path = '7/ann-1.jpg'")
    _wait_for(dataset, 119)
    version = dataset.index.version
    dataset._follower.compare_next()
    dataset.follow()
    assert dataset.index.version == version
    state = _get(client, "")
    assert (state["first"], state["last"]) == ("2026-11-02T12:00:30.000Z", LAST)


def test_frame_of_a_removed_row_is_not_found(small_dataset: SmallDataset, client: TestClient):
    """A frame that somebody deletes with its row is gone from the lists soon."""
    dataset = client.app.state.services.dataset  # type: ignore[attr-defined]
    assert len(dataset.index) == 120
    small_dataset.folder.delete([StoredFrame.parse("7/ann-1.jpg")])
    _execute(small_dataset, "DELETE FROM frames WHERE path = '7/ann-1.jpg'")
    _wait_for(dataset, 119)
    assert client.get(f"{API}/frames/7/ann/1").status_code == 404
    assert _get(client, "")["frames"] == 119


def _execute(small: SmallDataset, statement: str) -> None:
    with connect_database(small.settings) as engine, engine.begin() as connection:
        connection.execute(text(statement))


def _wait_for(dataset: DatasetService, frames: int) -> None:
    """Wait until the index has so many frames: PostgreSQL counts changes with a delay."""
    end = time.monotonic() + 20
    while len(dataset.index) != frames:
        assert time.monotonic() < end
        time.sleep(0.05)
        dataset.follow()
