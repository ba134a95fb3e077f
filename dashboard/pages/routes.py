"""Pages: HTML without data, which the pages' scripts ask the API for; that of a model has what its files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

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


def _render(request: Request, services: Services, name: str, **values: Any) -> HTMLResponse:
    text = _TEMPLATES.get_template(f"{name}.html").render(
        pages=PAGES,
        page=name,
        csrf_token=services.security.csrf_token(request),
        signed_in=services.security.is_signed_in(request),
        **values,
    )
    return HTMLResponse(text)
