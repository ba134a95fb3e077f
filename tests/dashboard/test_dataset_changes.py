"""Changes of many frames: moves, the trash, undo, two visitors at once; folder, manifests, rows and lists agree."""

from __future__ import annotations

import threading
from typing import Any

from starlette.testclient import TestClient

from data.entities import FrameDetails, StoredFrame
from data.factories import open_catalog
from data.storage import manifest
from data.storage.changes import FrameChanges, Move
from tests.dashboard.datasets import CHESS, GO, HOSTILE, SmallDataset
from tests.dashboard.test_dataset import API


def _post(client: TestClient, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"{API}{path}", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def _listed(client: TestClient, **params: Any) -> list[str]:
    found: list[str] = client.get(f"{API}/paths", params=params).json()["paths"]
    return found


def _check(small: SmallDataset, client: TestClient) -> set[str]:
    """Check that lists, rows, files and manifests agree; return the paths."""
    paths = small.paths()
    assert paths == set(_listed(client))
    for game in {path.partition("/")[0] for path in paths}:
        described = manifest.read(small.folder.root / game)
        for path in (path for path in paths if path.startswith(f"{game}/")):
            frame = described[path.partition("/")[2]]
            assert small.folder.sha256(frame) == frame.sha256
            assert frame.details.title
    return paths


def test_moved_frames_are_in_the_other_game_at_once_and_come_back_by_undo(
    small_dataset: SmallDataset, client: TestClient
):
    """A move gives new numbers in the other game; what the check said of the old place comes back with it."""
    before = _check(small_dataset, client)
    chosen = [f"8/ben-{number}.jpg" for number in range(1, 6)]
    change = _post(client, "/changes", action="move", game_id="7", frames=[*chosen, "8/gone-1.jpg"])
    assert (change["moved"], change["trashed"], change["summary"]) == (5, 0, "moved: 5 frames of ben from Go to Chess")
    assert _check(small_dataset, client) == before - set(chosen) | {f"7/ben-{n}.jpg" for n in range(11, 16)}
    assert len(_listed(client, suspect=True, game="8")) == 5
    assert client.get(f"{API}/frames/7/ben/11").json()["suspicion"] is None
    undo = _post(client, "/changes/last/undo")
    assert (undo["moved"], undo["undoes"]) == (5, change["id"])
    assert _check(small_dataset, client) == before
    assert len(_listed(client, suspect=True, game="8")) == 10
    latest = client.get(f"{API}/changes").json()["changes"]
    assert [(each["id"], each["is_undone"]) for each in latest] == [(undo["id"], False), (change["id"], True)]
    for name in (change["id"], "last"):
        assert client.post(f"{API}/changes/{name}/undo").status_code == 409


def test_removed_frames_are_in_the_trash_with_their_reason(small_dataset: SmallDataset, client: TestClient):
    """The trash lists what both actions removed, newest first, with pictures, and is empty after two undoings."""
    before = _check(small_dataset, client)
    first = _post(client, "/changes", action="no_game", frames=["7/ann-2.jpg"])
    second = _post(client, "/changes", action="delete", filter={"login": ["cat"], "game": [str(HOSTILE.id)]})
    assert (first["trashed"], second["trashed"]) == (1, 10)
    assert len(_check(small_dataset, client)) == 109
    stray = small_dataset.folder.root / ".trash/7/ann-1.jpg"  # of a person's own; no change brings a file there
    stray.parent.mkdir()
    stray.touch()
    trash = client.get(f"{API}/trash", params={"limit": 11}).json()
    assert trash["total"] == client.get(API).json()["trash"] == 11
    assert [(frame["reason"], frame["change_id"]) for frame in trash["frames"][::10]] == [
        ("deleted", second["id"]),
        ("no game", first["id"]),
    ]
    assert trash["frames"][10]["path"] == "7/ann-2.jpg"
    picture = client.get(trash["frames"][10]["picture"])
    assert picture.content == (small_dataset.folder.root / ".trash" / first["id"] / "7/ann-2.jpg").read_bytes()
    for change in (first, second):
        _post(client, f"/changes/{change['id']}/undo")
    assert _check(small_dataset, client) == before
    assert client.get(f"{API}/trash").json() == {"total": 0, "offset": 0, "frames": []}


def test_all_that_match_with_exceptions_leaves_out_what_came_later(small_dataset: SmallDataset, client: TestClient):
    """Frames that were saved after the visitor looked are not touched, also under a path that was free again."""
    version = client.get(API).json()["version"]
    dataset = client.app.state.services.dataset  # type: ignore[attr-defined]
    _post(client, "/changes", action="delete", frames=["8/ann-10.jpg"])
    _save(small_dataset, StoredFrame(GO.id, "ann", 10))
    dataset.follow()
    kept = ["8/ann-1.jpg", "8/cat-1.jpg"]
    request = {"action": "move", "game_id": "7", "version": version}
    assert _post(client, "/changes", **request, frames=["8/ann-10.jpg"])["id"] == ""
    moved = _post(client, "/changes", **request, filter={"game": ["8"]}, **{"except": kept})
    assert moved["moved"] == 27
    assert set(_listed(client, game="8")) == {*kept, "8/ann-10.jpg"}


def test_a_round_that_sees_a_change_first_does_no_harm(small_dataset: SmallDataset, client: TestClient):
    """The rows of a change may be in the index before the change itself is applied to it."""
    before = _check(small_dataset, client)
    follower = client.app.state.services.dataset._follower  # type: ignore[attr-defined]
    changes = FrameChanges(small_dataset.folder, follower.catalog)
    for work in (
        lambda: changes.apply([Move(small_dataset.frames[0], None), Move(small_dataset.frames[1], 8)], "test"),
        changes.undo,
    ):
        change = work()
        follower.compare_next()
        follower.follow()
        follower.apply(change)
        assert _check(small_dataset, client)
    assert _check(small_dataset, client) == before


def _save(small: SmallDataset, frame: StoredFrame) -> None:
    """Save a frame and its row, as a download beside does."""
    details = [FrameDetails(1.7e9, title="later")]
    frames = small.folder.save(frame.game_id, frame.login, [frame.path.encode()], details, [frame.number])
    with open_catalog(small.settings) as catalog:
        catalog.add_frames(frames)


def test_two_visitors_who_change_the_same_frames_at_once_move_each_frame_once(
    small_dataset: SmallDataset, client: TestClient
):
    """One is first; the other one gets what is left. Both lists are true afterwards."""
    before = _check(small_dataset, client)
    chosen = [f"8/{login}-{number}.jpg" for login in ("ann", "ben") for number in range(1, 11)]
    requests = [
        {"action": "move", "game_id": "7", "frames": chosen},
        {"action": "no_game", "frames": chosen[5:]},
        {"action": "delete", "frames": chosen[::-1]},
    ]
    results: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda body=body: results.append(_post(client, "/changes", **body)))
        for body in requests
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each["moved"] + each["trashed"] for each in results) == 20
    assert len(_check(small_dataset, client)) == 120 - sum(each["trashed"] for each in results)
    for each in sorted(results, key=lambda each: str(each["id"]), reverse=True):
        if each["id"]:
            _post(client, f"/changes/{each['id']}/undo")
    assert _check(small_dataset, client) == before


REFUSED: list[tuple[dict[str, Any], int]] = [
    ({"action": "move", "frames": ["8/ann-1.jpg"]}, 422),
    ({"action": "delete", "game_id": "7", "frames": ["8/ann-1.jpg"]}, 422),
    ({"action": "delete"}, 422),
    ({"action": "delete", "frames": ["8/ann-1.jpg"], "filter": {}}, 422),
    ({"action": "delete", "frames": ["../../etc/passwd"]}, 422),
    ({"action": "delete", "frames": ["8/ann-1.jpg\n"]}, 422),
    ({"action": "delete", "frames": ["8/ann-1.jpg"], "except": ["/"]}, 422),
    ({"action": "delete", "filter": {"game": [8]}}, 422),
    ({"action": "delete", "filter": {"path": "x"}}, 422),
    ({"action": "burn", "frames": ["8/ann-1.jpg"]}, 422),
    ({"action": "move", "game_id": "99", "frames": ["8/ann-1.jpg"]}, 409),
    ({"action": "move", "game_id": "9" * 19, "frames": ["8/ann-1.jpg"]}, 422),
]


def test_invalid_changes_are_refused_and_change_nothing(small_dataset: SmallDataset, client: TestClient):
    """An unknown game, a path that names no frame, too much or too little."""
    for body, status in REFUSED:
        assert client.post(f"{API}/changes", json=body).status_code == status, body
    assert client.post(f"{API}/changes/20260101-000000-000000/undo").status_code == 409
    assert client.post(f"{API}/changes/..%2f..%2fx/undo").status_code in {404, 422}
    assert client.post(f"{API}/games", json={"name": " \n"}).status_code == 422
    assert len(_check(small_dataset, client)) == 120
    assert client.get(f"{API}/changes").json()["changes"] == []


def test_added_game_takes_frames_and_a_removed_one_comes_back(small_dataset: SmallDataset, client: TestClient):
    """A new game has an id of its own; the name of a removed one, in any letter case, adds that one again."""
    new = _post(client, "/games", name="  My <b>game</b>\n")
    assert new["name"] == "My <b>game</b>"
    assert _post(client, "/games", name="my <B>Game</b>") == new
    assert _post(client, "/changes", action="move", game_id=new["id"], frames=["7/ann-1.jpg"])["moved"] == 1
    assert _listed(client, game=new["id"]) == [f"{new['id']}/ann-1.jpg"]
    _post(client, "/changes", action="delete", filter={"game": [str(CHESS.id)]})
    (small_dataset.folder.root / str(CHESS.id) / "manifest.jsonl").unlink()
    (small_dataset.folder.root / str(CHESS.id)).rmdir()
    assert client.get(API).json()["removed_games"] == [{"id": "7", "name": "Chess"}]
    assert _post(client, "/games", name="chess") == {"id": "7", "name": "Chess"}
    assert client.get(API).json()["removed_games"] == []
