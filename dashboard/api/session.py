"""Session: sign in with the token, and out again."""

from __future__ import annotations

from datetime import datetime, timezone

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from dashboard.api.dependencies import ServicesDep
from dashboard.api.problems import Problem, problems
from dashboard.security.policy import cookie_names
from dashboard.security.requests import Refusal
from dashboard.security.sessions import LIFETIME_S, Session

router = APIRouter(prefix="/session", tags=["session"])


class Token(BaseModel):
    """What a visitor signs in with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"token": "q4o5Gd0m4a8JxY2mZQm0Vb1eJrYc7mF0d3Rr1Tn6"}]})

    token: str = Field(min_length=1, max_length=1000, description="The token of --new-token.")


_STATE: JsonDict = {
    "token_required": True,
    "signed_in": True,
    "expires": "2026-12-03T13:29:00Z",
    "csrf_token": "5a0c…",
}


class SessionState(BaseModel):
    """Who asks."""

    model_config = ConfigDict(json_schema_extra={"examples": [_STATE]})

    token_required: bool = Field(description="Whether visitors must sign in.")
    signed_in: bool = Field(description="Whether this request has a session's cookie.")
    expires: datetime | None = Field(description="When the session ends.")
    csrf_token: str = Field(description="Header X-CSRF-Token of this session's requests that change something.")


@router.get("", summary="Whether the visitor is signed in")
async def get_session(request: Request, services: ServicesDep) -> SessionState:
    """Return the state of the session that the cookie names. It needs no token."""
    return _state(services, services.security.session(request))


@router.post("", summary="Sign in", responses=problems(401, 403, 409, 413, 415, 422, 429))
async def sign_in(body: Token, request: Request, response: Response, services: ServicesDep) -> SessionState:
    """Set the session's cookie. Programs need none: they send the token as `Authorization: Bearer TOKEN`."""
    security = services.security
    if not security.token_required:
        raise Problem(409, "No token is set: nobody needs to sign in")
    found = security.sign_in(body.token, request.client.host if request.client else "")
    if isinstance(found, Refusal):
        raise Problem(found.status, found.detail, {name.decode(): value.decode() for name, value in found.headers})
    session, value = found
    _set_cookie(request, response, value, LIFETIME_S)
    return _state(services, session)


@router.delete("", summary="Sign out", status_code=204, responses=problems(403, 409))
def sign_out(request: Request, services: ServicesDep) -> Response:
    """Make the session invalid for good, also for others who have a copy of its cookie."""
    if session := services.security.session(request):
        services.security.sessions.revoke(session)
    response = Response(status_code=204)
    _set_cookie(request, response, "", 0)
    return response


def _state(services: ServicesDep, session: Session | None) -> SessionState:
    security = services.security
    return SessionState(
        token_required=security.token_required,
        signed_in=session is not None and security.token_required,
        expires=datetime.fromtimestamp(session.expires, timezone.utc) if session else None,
        csrf_token=security.sessions.csrf_token(session),
    )


def _set_cookie(request: Request, response: Response, value: str, seconds: int) -> None:
    """Set or remove the session's cookie. Behind a proxy that ends TLS, the page's origin says that it is https."""
    is_https = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
    secure_name, plain_name = cookie_names((request.scope.get("server") or ("", 0))[1] or 0)
    name = secure_name if is_https else plain_name
    response.set_cookie(name, value, max_age=seconds, path="/", secure=is_https, httponly=True, samesite="strict")
