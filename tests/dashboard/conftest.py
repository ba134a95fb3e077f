"""Fixtures of the dashboard's tests: a small dataset, a client of the API, a real server, and pages in Chromium."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from config import Settings
from dashboard.app import create_app
from dashboard.security.policy import Security
from dashboard.server import make_server
from dashboard.services import Services, open_services
from data.factories import connect_database
from data.storage.catalog import Catalog
from tests.dashboard import datasets
from tests.dashboard.browser import BROWSERS, SWITCHES, find_browser
from tests.dashboard.datasets import SmallDataset

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

_START_S = 20


def make_settings(tmp_path: Path, **values: Any) -> Settings:
    """Return settings with DOWNLOAD_PATH and MODEL_PATH below `tmp_path`; ignore `.env` and the environment."""
    paths = {"download_path": tmp_path / "dataset", "model_path": tmp_path / "model"}
    return Settings(_env_file=None, **(paths | {name.lower(): value for name, value in values.items()}))


@pytest.fixture
def settings(tmp_path: Path, postgres: dict[str, str]) -> Settings:
    """Return settings of a dataset whose database is empty."""
    made = make_settings(tmp_path, **postgres)
    with connect_database(made) as engine, engine.begin() as connection:
        connection.execute(text("TRUNCATE games, frames RESTART IDENTITY"))
    return made


@pytest.fixture(scope="session")
def dataset_files(make_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """Return a folder with the small dataset's files, written once in a run."""
    return make_once("small_dataset", datasets.write_files)


@pytest.fixture
def small_dataset(settings: Settings, dataset_files: Path) -> SmallDataset:
    """Return 120 frames of 4 games, of tests.dashboard.datasets, with rows, check.csv and features."""
    datasets.copy_files(dataset_files, settings.download_path)
    with connect_database(settings) as engine:
        return datasets.fill_catalog(settings, Catalog(engine))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Yield a socket on a free loopback port, where the server listens and which the client names."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        yield listening


@pytest.fixture
def services(request: pytest.FixtureRequest, settings: Settings, listener: socket.socket) -> Iterator[Services]:
    """Yield the services on `settings`; they find the small dataset if the test asks for it."""
    if "small_dataset" in request.fixturenames:
        request.getfixturevalue("small_dataset")
    security = Security.create(settings, "127.0.0.1", listener.getsockname()[1])
    with open_services(settings, security) as opened:
        yield opened


@pytest.fixture
def client(services: Services, listener: socket.socket) -> Iterator[TestClient]:
    """Yield a client of the app without a server; errors in an operation are raised in the test."""
    with TestClient(create_app(services), base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
        yield client


@dataclass(frozen=True)
class RunningServer:
    """A server that listens: its address without a final slash, and its services."""

    url: str
    services: Services


@contextlib.contextmanager
def running_server(services: Services, listener: socket.socket) -> Iterator[RunningServer]:
    """Run uvicorn with the dashboard's app in a thread."""
    server = make_server(services)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="dashboard")
    thread.start()
    try:
        end = time.monotonic() + _START_S
        while not server.started:
            assert thread.is_alive(), "the server ended at its start"
            assert time.monotonic() < end, f"the server did not start in {_START_S} s"
            time.sleep(0.01)
        yield RunningServer(f"http://127.0.0.1:{listener.getsockname()[1]}", services)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def server(services: Services, listener: socket.socket) -> Iterator[RunningServer]:
    """Yield a server on loopback, with the services of this test."""
    with running_server(services, listener) as running:
        yield running


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Yield the system's Chromium, headless, one for all tests; skip the test where there is none.

    Meanwhile this thread has a running event loop, which would break tests of other packages.
    """
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    if not (executable := find_browser()):
        pytest.skip(f"no browser: install one of {', '.join(BROWSERS)} (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(SWITCHES))
        yield browser
        browser.close()


@dataclass
class BrowserErrors:
    """What pages reported: uncaught exceptions, console errors and violations of the CSP. Each one fails the test.

    allowed: regular expressions; a test adds one for an error that it provokes, such as r"status of 409".
    """

    found: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Collect the errors of all pages of a context."""
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.found.append(f"uncaught: {error.error}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error" or "Content Security Policy" in message.text:
            self.found.append(f"{message.text} ({message.location.get('url', '')})")

    def unexpected(self) -> list[str]:
        """Return the errors that no expression allows."""
        return [error for error in self.found if not any(re.search(pattern, error) for pattern in self.allowed)]


@pytest.fixture
def browser_errors() -> Iterator[BrowserErrors]:
    """Yield what the test's pages report; after the test, fail for what it does not allow."""
    errors = BrowserErrors()
    yield errors
    assert not errors.unexpected(), "\n".join(errors.unexpected())


@pytest.fixture
def new_page(browser: Browser, server: RunningServer, browser_errors: BrowserErrors) -> Iterator[Callable[..., Page]]:
    """Yield a function that opens a page of the server in a context of its own, as another user has.

    Keyword arguments are those of Playwright's Browser.new_context, such as viewport and color_scheme.
    """
    contexts: list[BrowserContext] = []

    def new_page(path: str = "", **options: Any) -> Page:
        defaults = {"base_url": server.url, "viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}
        contexts.append(browser.new_context(**(defaults | options)))
        contexts[-1].set_default_timeout(15_000)
        browser_errors.watch(contexts[-1])
        page = contexts[-1].new_page()
        if path:
            page.goto(path)
        return page

    yield new_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """Return an empty page of 1440 × 900 pixels; page.goto("/dataset") opens a page of the server."""
    return new_page()


def axe(page: Page) -> list[str]:
    """Return the violations of accessibility that axe-core finds: rule, impact and the elements."""
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    violations = Axe().run(page).response["violations"]
    return [
        f"{found['id']} ({found['impact']}): {', '.join(str(node['target'][0]) for node in found['nodes'])}"
        for found in violations
    ]
