"""Health: whether the server, the database and the model work."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from twitchcategory import __version__

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """State of the server."""

    status: Literal["ok"] = "ok"
    version: str = __version__


@router.get("/health", summary="Whether the server works")
async def health() -> Health:
    """Return at once; the parts say in their own operations whether they work."""
    return Health()
