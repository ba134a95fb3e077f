"""Pages: HTML without data, which the pages' scripts ask the API for; that of a model has what its files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.types import Receive, Scope, Send

from dashboard.api.dependencies import ServicesDep
from dashboard.pages import model_view
from dashboard.services import Services

# By path: the title in the navigation.
PAGES = {"dataset": "Dataset", "live": "Live", "surveys": "Surveys", "model": "Model", "jobs": "Jobs"}
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)

router = APIRouter()


@router.get("/")
async def index() -> RedirectResponse:
    """Lead to the first page."""
    return RedirectResponse("/dataset")


@router.get("/dataset")
@router.get("/live")
@router.get("/surveys")
@router.get("/jobs")
@router.get("/login")
async def page(request: Request, services: ServicesDep) -> HTMLResponse:
    """Return the page that the path names."""
    return _render(request, services, request.url.path.strip("/"))


@router.get("/model")
def model(request: Request, services: ServicesDep, folder: str = "", report: str = "") -> HTMLResponse:
    """Return the page of the model, or of the one in a folder beside it."""
    return _render(request, services, "model", **model_view.values(services.models, folder, report))


def install(app: FastAPI) -> None:
    """Answer a browser that opens an unknown path with a page; everything else gets the problem that it got before."""
    default = app.router.default

    async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_opened(request := Request(scope)):
            await default(scope, receive, send)
            return
        response = _render(request, app.state.services, "not_found")
        response.status_code = 404
        await response(scope, receive, send)

    app.router.default = not_found


def _is_opened(request: Request) -> bool:
    """Return whether a visitor opens this path as a page."""
    is_page = request.url.path.split("/")[1] not in ("api", "static", "metrics")
    return request.method in ("GET", "HEAD") and is_page and "text/html" in request.headers.get("accept", "")


def _render(request: Request, services: Services, name: str, **values: Any) -> HTMLResponse:
    text = _TEMPLATES.get_template(f"{name}.html").render(
        pages=PAGES,
        page=name,
        csrf_token=services.security.csrf_token(request),
        signed_in=services.security.is_signed_in(request),
        **values,
    )
    return HTMLResponse(text)
