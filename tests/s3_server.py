"""A real S3 server (moto's) on the loopback address, and the environment variables that lead to it.

moto takes any number of connections, but looks and writes in two steps: here each request has the store for itself, as
on S3. A body that a killed client cut off is refused, as S3 does. `faults` make it fail.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BUCKET = "bucket"


@dataclass
class S3Server:
    """A running server.

    Args:
        variables: environment variables of programs that use it.
        faults: the next requests with these methods fail: "busy" before they are carried out, "lost" after that.
        requests: number of requests by method.
    """

    variables: dict[str, str] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, app: Callable[..., Iterable[bytes]], environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Carry out one request."""
        method, length = environ["REQUEST_METHOD"], int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        self.requests[method] += 1
        fault = next((kind for name, kind in self.faults if name == method), "")
        if fault:
            self.faults.remove((method, fault))
        if len(body) < length or fault == "busy":
            start("503 Slow Down" if fault else "400 Bad Request", [("Content-Length", "0")])
            return []
        environ["wsgi.input"] = io.BytesIO(body)
        with self._lock:
            if fault == "lost":
                list(app(environ, lambda *_: None))
                start("500 Internal Server Error", [("Content-Length", "0")])
                return []
            return list(app(environ, start))


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """Yield an S3 server."""
    with running_s3_server() as server:
        yield server


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty store: on that server if the test asks for it, otherwise in memory."""
    if "s3" not in request.fixturenames:
        return f"memory:/{tmp_path}"
    request.getfixturevalue("s3").faults.clear()
    return f"s3://{BUCKET}/{request.node.name}"


@contextlib.contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Yield the environment variables of a running server, as `running_s3_server` does."""
    with running_s3_server() as server:
        yield server.variables


@contextlib.contextmanager
def running_s3_server() -> Iterator[S3Server]:
    """Yield this process's server with an empty bucket; this process has its variables meanwhile, too."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    server = _started()
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.reset()
    backend.create_bucket(BUCKET, "us-east-1")
    server.faults.clear()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.variables.items():
            patch.setenv(name, value)
        yield server


@functools.cache
def _started() -> S3Server:
    """Start the server, which ends with this process: moto needs half a second."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    app, running = create_backend_app("s3"), S3Server()
    server = make_server(
        "127.0.0.1",
        0,
        lambda environ, start: running.respond(app, environ, start),
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    running.variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return running
