"""S3 client: an `ObjectClient` on s3fs, with the conditional writes of S3.

PutObject with If-None-Match creates an object, with If-Match it replaces one version; S3, MinIO, R2 and moto have both,
and a server that ignores them is refused. A request that is repeated after a lost response fails the condition through
its own first try. So each conditional write has a random mark in the metadata of its object: an object with that mark
was written by this call.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from data.backoff import Backoff
from data.storage.layout import LOCKS_FOLDER
from data.storage.object_address import library_needed, open_file_system
from data.storage.object_client import ABSENT, ListedFile, TooLarge, VersionChanged
from data.storage.s3_session import make_session

_T = TypeVar("_T")
_TRIES = 3  # of a request that a server answers with 5xx, or not in time
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S = 4, 15
_CALL_TIMEOUT_S = 60.0
_MIN_BYTES_PER_S = 200_000  # of a large object
_CONFLICT_BUDGET_S = 10.0
_DELETED_AT_ONCE = 1000  # the limit of DeleteObjects
_CONNECTIONS = 32
_MARK, _TIME = "writer", "modified-at"  # names of metadata
_MISSING = ("NoSuchKey", "404", "NotFound")
_FAILED = ("PreconditionFailed", "412")
_CONFLICT = ("ConditionalRequestConflict", "409")
_NO_BUCKET = "the bucket does not exist"


class S3Client:
    """The objects below `s3://bucket/prefix`. For any number of threads; a forked process opens its own connections."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._pid = 0
        self._has_conditions = False
        self._open()

    def _open(self) -> Any:
        """Return the file system of this process."""
        if self._pid != os.getpid():
            retries = {"mode": "standard", "total_max_attempts": _TRIES}
            timeouts = {"connect_timeout": _CONNECT_TIMEOUT_S, "read_timeout": _READ_TIMEOUT_S}
            with library_needed(self._address):
                self._file_system, base = open_file_system(
                    self._address,
                    use_listings_cache=False,
                    skip_instance_cache=True,
                    session=make_session(),
                    config_kwargs={**timeouts, "retries": retries, "max_pool_connections": _CONNECTIONS},
                )
            self._file_system.retries = 1  # botocore repeats requests
            self._bucket, _, prefix = base.partition("/")
            self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
            self._pid = os.getpid()
        return self._file_system

    def get(self, key: str, max_bytes: int) -> tuple[bytes, ListedFile]:
        """Return an object's content and state. Raises FileNotFoundError, TooLarge."""
        end, tries = time.monotonic() + _READ_TIMEOUT_S, 0
        while True:
            try:
                return self._run(self._get(key, max_bytes), None)
            except (asyncio.TimeoutError, FileNotFoundError, PermissionError, TooLarge):
                raise
            except Exception as error:  # a connection that breaks in the body, which botocore does not repeat
                tries += 1
                if _code(error) or tries == _TRIES or time.monotonic() > end:
                    raise

    async def _get(self, key: str, max_bytes: int) -> tuple[bytes, ListedFile]:
        response = await asyncio.wait_for(self._call("get_object", Key=self._prefix + key), _CALL_TIMEOUT_S)
        async with response["Body"] as body:
            state = _state(key, response)
            if state.size_bytes > max_bytes:
                raise TooLarge(max_bytes)
            timeout_s = _CALL_TIMEOUT_S + state.size_bytes / _MIN_BYTES_PER_S
            return await asyncio.wait_for(body.read(), timeout_s), state

    def head(self, key: str) -> ListedFile | None:
        """Return an object's state; None without it."""
        response = self._head(key)
        return _state(key, response) if response else None

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            return dict(self._run(self._call("head_object", Key=self._prefix + key)))
        except FileNotFoundError:
            return None

    def put(self, key: str, content: bytes, expected: str | None = None, modified_at: float | None = None) -> None:
        """Write an object. Raises FileExistsError, VersionChanged."""
        if expected is not None and not self._has_conditions:
            self._check_conditions()
        self._put(key, content, expected, modified_at)

    def _check_conditions(self) -> None:
        """Raise OSError if the server carries out writes whose condition is false, as old servers do."""
        probe = f"{LOCKS_FOLDER}/probe-{secrets.token_hex(8)}"
        self._put(probe, b"", None)
        try:
            for expected in (ABSENT, '"00000000000000000000000000000000"'):
                with contextlib.suppress(FileExistsError, VersionChanged):
                    self._put(probe, b"", expected)
                    raise OSError(errno.ENOTSUP, "the server ignores If-None-Match or If-Match; use a newer one")
        finally:
            self.delete([probe])
        self._has_conditions = True

    def _put(self, key: str, content: bytes, expected: str | None, modified_at: float | None = None) -> None:
        mark = secrets.token_hex(8)
        metadata = {_MARK: mark} | ({_TIME: repr(modified_at)} if modified_at is not None else {})
        condition = {} if expected is None else {"IfMatch": expected} if expected else {"IfNoneMatch": "*"}
        timeout_s = _CALL_TIMEOUT_S + len(content) / _MIN_BYTES_PER_S
        values = {"Key": self._prefix + key, "Body": content, "Metadata": metadata, **condition}
        backoff = Backoff(_CONFLICT_BUDGET_S + len(content) / _MIN_BYTES_PER_S, first_s=0.05, jitter=1.0)
        while True:
            try:
                self._run(self._call("put_object", **values), timeout_s)["ETag"]  # a KeyError: this is no S3 server
                return
            except OSError as error:
                pause_s = backoff.next_pause_s() if _code(error) in _CONFLICT else None
                if pause_s is None:
                    self._check_written(key, expected, mark, error)
                    return
            time.sleep(pause_s)

    def _check_written(self, key: str, expected: str | None, mark: str, error: OSError) -> None:
        """Raise what the error of a write means, unless an earlier try of it wrote the object."""
        code = _code(error)
        is_condition_false = code in _FAILED or (bool(expected) and code in _MISSING)
        if expected is None or not is_condition_false:
            if isinstance(error, FileNotFoundError):
                raise OSError(errno.EIO, _NO_BUCKET) from error
            raise error
        written = self._head(key) or {}
        if (written.get("Metadata") or {}).get(_MARK) == mark:
            return
        if expected == ABSENT:
            raise FileExistsError(errno.EEXIST, "taken", key) from error
        raise VersionChanged(errno.EAGAIN, "changed by another process", key) from error

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects. Raises OSError for those that the server keeps."""
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            objects = [{"Key": self._prefix + key} for key in keys[start : start + _DELETED_AT_ONCE]]
            if len(objects) == 1:
                self._run(self._call("delete_object", **objects[0]))
                continue
            response = self._run(self._call("delete_objects", Delete={"Objects": objects, "Quiet": True}))
            if errors := response.get("Errors"):
                raise OSError(errno.EIO, f"{errors[0].get('Message') or errors[0].get('Code')}: {errors[0].get('Key')}")

    def listing(self, prefix: str) -> Iterator[ListedFile]:
        """Yield all objects whose keys begin so, a page of 1,000 at a time."""
        for page in self._pages(Prefix=self._prefix + prefix):
            for item in page.get("Contents", ()):
                key = item["Key"][len(self._prefix) :]
                yield ListedFile(key, item["Size"], item.get("ETag", ""), item["LastModified"].timestamp())

    def names(self, folder: str) -> list[str]:
        """Return the names directly below `folder`, "" or a text with `/` at its end."""
        start = len(self._prefix + folder)
        names: list[str] = []
        for page in self._pages(Prefix=self._prefix + folder, Delimiter="/"):
            names += [item["Prefix"][start:].rstrip("/") for item in page.get("CommonPrefixes", ())]
            names += [item["Key"][start:] for item in page.get("Contents", ())]
        return sorted(filter(None, names))

    def _pages(self, **values: str) -> Iterator[dict[str, Any]]:
        tokens: set[str] = set()
        while True:
            try:
                page = self._run(self._call("list_objects_v2", **values))
            except FileNotFoundError as error:
                raise OSError(errno.EIO, _NO_BUCKET) from error
            page["Name"]  # a KeyError: this is no list, and never an empty dataset
            yield page
            if not page.get("IsTruncated"):
                return
            token = page["NextContinuationToken"]
            if token in tokens:
                raise OSError(errno.EPROTO, "the server's list does not end")
            tokens.add(token)
            values["ContinuationToken"] = token

    async def _call(self, method: str, **values: Any) -> Any:
        return await self._open()._call_s3(method, Bucket=self._bucket, **values)

    def _run(self, work: Coroutine[Any, Any, _T], timeout_s: float | None = _CALL_TIMEOUT_S) -> _T:
        """Run `work` in the event loop of fsspec's thread. An interrupt cancels the request."""
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout_s), self._open().loop)
        try:
            return future.result()
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":  # never an empty dataset
                raise OSError(errno.EIO, _NO_BUCKET) from error
            raise
        except BaseException:
            future.cancel()
            raise


def _state(key: str, response: dict[str, Any]) -> ListedFile:
    try:
        modified_at = float((response.get("Metadata") or {}).get(_TIME, ""))
    except ValueError:
        modified_at = response["LastModified"].timestamp()
    return ListedFile(key, response["ContentLength"], response["ETag"], modified_at)


def _code(error: BaseException) -> str:
    """Return the code of a server's error; "" if the server did not answer."""
    response = getattr(error.__cause__, "response", None) or getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
