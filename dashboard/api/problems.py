"""Problems: errors as `application/problem+json` (RFC 9457), and what an operation's documentation says of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from data import errors
from data.text import printable, valid_unicode

MEDIA_TYPE = "application/problem+json"
# The first class that an error is an instance of counts.
_STATUS: dict[type[errors.ToolkitError], int] = {
    errors.SettingsError: 422,
    errors.CategoryNotFound: 422,
    errors.DirectoryUnavailable: 503,
    errors.DirectoryUnauthorized: 502,
    errors.SourceNotFound: 404,
    errors.StreamUnavailable: 502,
    errors.StreamError: 409,
    errors.CatalogUnavailable: 503,
    errors.ToolkitError: 409,
}
_MAX_DETAIL = 2000  # characters


class ProblemDetails(BaseModel):
    """Body of an error, RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Problem(Exception):
    """An error with a status of HTTP. `detail`: what happened, then what to do."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of an operation's errors, for the argument `responses` of a route."""
    schema = {"schema": ProblemDetails.model_json_schema()}
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}} for status in statuses}


def problem_response(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the response for an error."""
    text = valid_unicode(printable(detail))[:_MAX_DETAIL]
    body = ProblemDetails(title=HTTPStatus(status).phrase, status=status, detail=text)
    return JSONResponse(body.model_dump(), status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make the app answer every expected error with a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(errors.ToolkitError, _on_toolkit_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)


def status_of(error: errors.ToolkitError) -> int:
    """Return the status of HTTP for an error of the toolkit."""
    return next(status for kind, status in _STATUS.items() if isinstance(error, kind))


async def _on_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return problem_response(error.status, error.detail, error.headers)


async def _on_toolkit_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.ToolkitError)
    return problem_response(status_of(error), str(error))


async def _on_invalid_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # Not its `input`: the answer repeats no more of a request than the name of a field.
    found = (f"{'.'.join(str(part) for part in each['loc'][1:])[:100]}: {each['msg']}" for each in error.errors()[:5])
    return problem_response(422, "; ".join(found))


async def _on_http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem_response(error.status_code, str(error.detail), dict(error.headers or {}))
