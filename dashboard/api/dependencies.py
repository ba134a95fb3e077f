"""Dependencies: how an operation gets the services."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from dashboard.services import Services


async def get_services(connection: HTTPConnection) -> Services:  # a plain function would take a thread
    """Return the services of the app that handles this request or WebSocket."""
    services = connection.app.state.services
    assert isinstance(services, Services)
    return services


ServicesDep = Annotated[Services, Depends(get_services)]
