"""App: the operations of the API, the pages and the static files, behind the rules of security."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from dashboard.api import dataset, health, jobs, metrics, model, problems, recognitions, session, surveys, watch
from dashboard.pages import routes
from dashboard.security import policy
from dashboard.services import Services
from twitchcategory import __version__

API = "/api/v1"
_PARTS = (dataset, watch, surveys, jobs, model, recognitions, session, health)
_STATIC = Path(__file__).parent / "pages" / "static"
_DESCRIPTION = "Curate a dataset of stream frames, watch live streams, and ask what a stream shows."


def create_app(services: Services) -> FastAPI:
    """Return the app of these services, which the caller opens and closes."""
    # The pages of documentation that FastAPI offers load their scripts from elsewhere.
    app = FastAPI(
        title="TwitchCategory",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    for part in _PARTS:
        app.include_router(part.router, prefix=API, responses=problems.problems(422))
    app.include_router(metrics.router)
    app.include_router(routes.router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    problems.install(app)
    routes.install(app)
    metrics.install(app, services)
    policy.install(app, services.security)
    return app
