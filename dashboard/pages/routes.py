"""Pages: HTML without data, which the pages' scripts ask the API for."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboard.api.dependencies import ServicesDep

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
@router.get("/model")
@router.get("/jobs")
@router.get("/login")
async def page(request: Request, services: ServicesDep) -> HTMLResponse:
    """Return the page that the path names."""
    name = request.url.path.strip("/")
    text = _TEMPLATES.get_template(f"{name}.html").render(
        pages=PAGES,
        page=name,
        csrf_token=services.security.csrf_token(request),
        signed_in=services.security.is_signed_in(request),
    )
    return HTMLResponse(text)
