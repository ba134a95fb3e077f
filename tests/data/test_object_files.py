"""Files on an object store and on a disk: what StoreFiles promises, a real S3 server (moto's) that fails, leases."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.errors import FolderError
from data.storage import lease, plain_client, s3_client
from data.storage.folder_files import FolderFiles
from data.storage.object_address import normal_address
from data.storage.object_files import ObjectFiles
from tests.child_processes import start_child, wait_for
from tests.s3_server import S3Server, address, s3
from tests.scripted_server import Reply, ScriptedServer

__all__ = ["address", "s3"]  # fixtures
pytestmark = pytest.mark.xdist_group("s3")  # which import moto


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("kind", ["s3", "memory", "folder"])
def test_files_are_created_replaced_copied_and_removed(address: str, tmp_path: Path, kind: str):
    """What StoreFiles promises holds on S3, on a file system without conditional writes, and on a disk."""
    files = FolderFiles(tmp_path / "frames") if kind == "folder" else ObjectFiles(address.replace("s3", kind, 1))
    files.create("a/1", b"one")
    with pytest.raises(FileExistsError):
        files.create("a/1", b"two")
    for name in ("a/2", "missing"):
        with pytest.raises(FileNotFoundError):
            files.read(name, 10)
    with pytest.raises(FolderError, match="larger than 2 bytes"):
        files.read("a/1", 2)
    before = files.version("a/1")
    files.update("a/1", lambda content: content + b"+")
    assert (files.read("a/1", 10), files.version("a/1") != before) == (b"one+", True)
    assert files.version_with("a/1", hashlib.sha256(b"one+").digest()) == files.version("a/1")
    assert files.version_with("a/1", hashlib.sha256(b"one").digest()) is files.version("missing") is None
    files.update("none", lambda content: content)
    with pytest.raises(LookupError):
        files.update("none", lambda content: dict[bytes, bytes]()[content])
    files.link("a/1", "c/d/2")
    with pytest.raises(FileExistsError):
        files.link("a/1", "c/d/2")
    files.create("c/d/3", b"replaced")
    files.rename("c/d/2", "c/d/3")
    for move in (files.link, files.rename):
        with pytest.raises(FileNotFoundError):
            move("c/d/2", "c/d/4")
    assert (sorted(files.names("")), files.names("c"), files.names("e")) == (["a", "c"], ["d"], [])
    assert {path: files.read(path, 10) for path in files.walk("c")} == {"c/d/3": b"one+"}
    assert [files.exists(path) for path in ("a/1", "a/2", "c/d/3")] == [True, False, True]
    names = files.folder_version("c/d")
    files.create("c/d/5", b"")
    assert files.folder_version("c/d") not in (names, None)
    files.remove(["c/d/5"])
    files.make_folder("7")
    assert files.names("7") == ([] if kind == "folder" else ["manifest.jsonl"])  # or the game would not be there
    assert files.exists("7") == (kind == "folder")
    assert pickle.loads(pickle.dumps(files)).read("a/1", 10) == b"one+"
    removed = ["a/1", "gone", "c/d/3"]
    files.remove(removed)
    files.remove_empty_folders(removed)
    assert files.names("") == ["7"]


@pytest.mark.usefixtures("s3")
def test_updates_of_many_processes_are_all_there(address: str):
    """Compare and swap: no update replaces what it has not read."""
    files = ObjectFiles(address)

    def update() -> None:
        for _ in range(3):
            files.update("n", lambda content: content + b".")

    wait_for(*[start_child(update) for _ in range(2)])
    assert len(files.read("n", 100)) == 6


def test_requests_that_fail_are_repeated_and_lost_responses_recognised(
    s3: S3Server, address: str, monkeypatch: pytest.MonkeyPatch
):
    """A file that the first try has created is not taken for another process's; an update is made once."""
    # botocore waits for seconds.
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    files = ObjectFiles(address)
    files.create("first", b"")
    files.remove(["first"])
    s3.faults += [("PUT", "busy"), ("PUT", "lost"), ("GET", "busy")]
    files.create("a", b"1")
    assert files.read("a", 10) == b"1"
    s3.faults += [("PUT", "lost")]
    files.update("a", lambda content: content + b"2")
    assert files.read("a", 10) == b"12"
    s3.faults += [("PUT", "lost"), ("HEAD", "busy")]
    with pytest.raises(FileExistsError):
        files.create("a", b"12")
    s3.faults += [("DELETE", "lost")]
    files.remove(["a"])
    assert files.names("") == []
    s3.faults += [("PUT", "busy")] * 9
    with pytest.raises(FolderError, match=f"{address}/b: .*: check the address, the credentials"):
        files.create("b", b"")
    s3.faults.clear()


ENDLESS = (
    "<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken>"
)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(200, b"<html></html>"), "check STORE_URL, AWS_ENDPOINT_URL and the region"),
        (Reply(301, b"<Error><Code>PermanentRedirect</Code><Endpoint>x.y</Endpoint></Error>"), "check"),
        (Reply(200, f"{ENDLESS}</ListBucketResult>".encode()), "the server's list does not end"),
        (Reply(404, b""), "the bucket does not exist"),
        (Reply(403, b""), "check the address, the credentials"),
    ],
    ids=["html", "redirect", "endless", "missing", "forbidden"],
)
def test_answers_of_no_s3_server_are_errors_and_never_an_empty_store(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, reply: Reply, message: str
):
    """A page of a proxy, a redirection, a list without an end: one line; nothing counts as listed or written."""
    with ScriptedServer([reply] * 40) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        files = ObjectFiles("s3://bucket/x")
        with pytest.raises(FolderError, match=message):
            files.names("")
        with pytest.raises(FolderError, match=message):
            list(files.walk("7"))
        with pytest.raises(FolderError):
            files.create("a", b"")
    assert s3.variables


def test_object_that_arrives_too_slowly_is_an_error(s3: S3Server, monkeypatch: pytest.MonkeyPatch):
    """The time for an object depends on its size, not on the largest one that the caller would take."""
    monkeypatch.setattr(s3_client, "_CALL_TIMEOUT_S", 0.5)
    headers = {"ETag": '"1"', "Last-Modified": "Thu, 26 Nov 2026 20:00:00 GMT"}
    with ScriptedServer([Reply(200, b"x" * 60, headers, byte_pause_s=0.1)]) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(FolderError, match="s3://bucket/a: "):
            ObjectFiles("s3://bucket").read("a", 4 << 30)
    assert s3.variables


def test_lock_of_a_plain_store_is_not_waited_for_without_end(address: str, monkeypatch: pytest.MonkeyPatch):
    """A server whose clock is ahead would never let a dead process's lock become old."""
    files = ObjectFiles(address)
    files.create("a", b"1")
    name = hashlib.sha256(b"a").hexdigest()[:32]
    files.create(f".locks/{name}", b"")
    monkeypatch.setattr(plain_client, "_STALE_AFTER_S", 0.05)
    monkeypatch.setattr(plain_client, "_seconds", lambda _: time.time() + 1000)
    with pytest.raises(FolderError, match="locked by another process"):
        files.update("a", lambda content: content + b"2")
    monkeypatch.undo()
    monkeypatch.setattr(plain_client, "_STALE_AFTER_S", 0.05)
    files.update("a", lambda content: content + b"2")
    assert files.read("a", 10) == b"12"


def test_file_that_has_grown_since_it_was_looked_at_is_not_read_in_full(address: str, monkeypatch: pytest.MonkeyPatch):
    """A plain file system says its size in one request, and sends its content in another one."""
    files = ObjectFiles(address)
    files.create("a", b"123")
    state = files.client.head("a")
    assert state
    monkeypatch.setattr(files.client, "head", lambda _: replace(state, size_bytes=1))
    with pytest.raises(FolderError, match="larger than 2 bytes"):
        files.read("a", 2)


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("protocol", ["s3", "memory"])
def test_errors_of_a_store_have_no_secrets(address: str, protocol: str, monkeypatch: pytest.MonkeyPatch):
    """What a library or a server says may hold the address that it was given."""
    files = ObjectFiles(address.replace("s3", protocol, 1))

    def fail(*_: object) -> None:
        raise OSError(5, "refused: https://user:hunter2@host/a?token=hunter2")

    for name in ("get", "head", "put", "delete", "listing", "names"):
        monkeypatch.setattr(files.client, name, fail)
    for call in (
        lambda: files.read("a", 1),
        lambda: files.exists("a"),
        lambda: files.create("a", b""),
        lambda: files.remove(["a"]),
        lambda: list(files.walk("")),
        lambda: files.names(""),
        lambda: files.locked("7").__enter__(),
    ):
        with pytest.raises(FolderError, match="refused: https://host/a") as caught:
            call()
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("s3://bucket/frames/", "s3://bucket/frames"),
        ("s3a://bucket/frames", "s3://bucket/frames"),
        ("s3://user:hunter2@bucket/frames//?token=hunter2", "s3://bucket/frames"),
        ("gs://bucket/a//b/", "gs://bucket/a//b"),
        ("memory://frames", "memory://frames"),
    ],
)
def test_address_has_one_spelling(address: str, normal: str):
    """Mirrors and claims are named after it: two spellings would give one store two of each."""
    assert normal_address(address) == normal_address(normal) == normal


def test_server_that_ignores_conditions_is_refused(s3: S3Server, address: str, monkeypatch: pytest.MonkeyPatch):
    """Old servers would let two processes write one file."""
    respond = S3Server.respond

    def ignore(self: S3Server, app: Any, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        names = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH")
        return respond(self, app, {k: v for k, v in environ.items() if k not in names}, start)

    monkeypatch.setattr(S3Server, "respond", ignore)
    removed = s3.requests["DELETE"]  # the server counts all requests of this process
    with pytest.raises(FolderError, match="ignores If-None-Match or If-Match"):
        ObjectFiles(address).create("a", b"")
    assert s3.requests["DELETE"] > removed
    assert ObjectFiles(address).names("") == []


@pytest.mark.usefixtures("s3")
def test_lease_of_a_dead_process_is_free_at_once_and_a_stopped_one_is_noticed(
    address: str, monkeypatch: pytest.MonkeyPatch
):
    """One process of this machine by its id; one of another machine because its lease is not renewed."""
    files = ObjectFiles(address)

    def hold() -> None:
        with files.locked(".changes"):
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(start_child(hold), 0)
    with files.locked(".changes", 5), files.locked("7", 5):
        with pytest.raises(TimeoutError), files.locked(".changes", 0.3):
            pass
        monkeypatch.setattr(lease, "_machine", lambda: ("another", "machine"))
        monkeypatch.setattr(lease, "_LEASE_S", 0.3)
        with ObjectFiles(address).locked(".changes", 5):
            monkeypatch.setattr(lease, "_TRUSTED_S", 0.0)
            for step in (files.remove, lambda paths: files.replace(paths[0], b"")):
                with pytest.raises(FolderError, match="repeat the command"):
                    step(["a"])
    assert files.names(".locks") == [".changes", "7"]
