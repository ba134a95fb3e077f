"""The API against its own description: Schemathesis makes requests from OpenAPI, and checks the answers with it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import hypothesis
import requests
import schemathesis
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)

from tests.dashboard.attacks import Target

# What the policy answers for any operation, before the operation sees the request.
POLICY_STATUSES = {400, 401, 403, 408, 413, 414, 415, 421, 429, 431, 503}
# A valid request would begin a process, or an answer without end.
_SKIPPED = {("POST", "/api/v1/jobs"), ("GET", "/api/v1/watch/events")}
_CHECKS = [content_type_conformance, response_headers_conformance, response_schema_conformance]
_MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
_DEFECTS = {500, 501, 504, 505}
_TIMEOUT_S = 60


def check_api(target: Target, examples: int) -> Counter[str]:
    """Send so many valid and so many invalid requests to each operation; return the answers by operation and status.

    Raises AssertionError or a failure of Schemathesis: a defect, or an answer that the description does not have.
    """
    schema = schemathesis.openapi.from_dict(target.schema)
    schema.config.update(base_url=target.url)
    answers: Counter[str] = Counter()
    with requests.Session() as session:
        session.trust_env = False
        send = partial(_send, target, session, answers)
        _check_all(schema, send, examples)
    return answers


def _check_all(schema: Any, send: Callable[[Case], None], examples: int) -> None:
    for result in schema.get_all_operations():
        operation = result.ok()
        if (operation.method.upper(), operation.path) not in _SKIPPED:
            for mode in _MODES if _has_fields(operation) else _MODES[:1]:
                _check_operation(operation.as_strategy(generation_mode=mode), send, examples)


def _has_fields(operation: Any) -> bool:
    """Return whether a request can be invalid: Schemathesis looks long for invalid paths, which attacks.py has."""
    raw = operation.definition.raw
    in_query = any(parameter["in"] == "query" for parameter in raw.get("parameters", ()))
    return in_query or "application/json" in raw.get("requestBody", {}).get("content", {})


def _check_operation(generated: Any, send: Callable[[Case], None], examples: int) -> None:
    settings = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )

    @settings
    @hypothesis.given(case=generated)
    def check(case: Case) -> None:
        send(case)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check()
        except hypothesis.errors.Unsatisfiable:  # an operation without parameters has no invalid request
            return


def _send(target: Target, session: requests.Session, answers: Counter[str], case: Case) -> None:
    response = case.call(session=session, headers=target.authorized, timeout=_TIMEOUT_S, allow_redirects=False)
    answers[f"{case.operation.label} {response.status_code}"] += 1
    _check_response(case, response)


def _check_response(case: Case, response: Any) -> None:
    documented = {int(status) for status in case.operation.definition.raw["responses"] if status.isdigit()}
    assert response.status_code not in _DEFECTS, (case.as_curl_command(), response.text)
    if response.status_code in documented:
        case.validate_response(response, checks=_CHECKS)
    else:
        assert response.status_code in POLICY_STATUSES | {404, 405}, (case.as_curl_command(), response.status_code)
        assert response.headers["content-type"] == ["application/problem+json"]
