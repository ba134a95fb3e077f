"""The API against its own description: Schemathesis makes requests from OpenAPI, and checks the answers with it."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import hypothesis
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
_TIMEOUT_S = 60


def check_api(target: Target, examples: int) -> Counter[str]:
    """Send so many valid and so many invalid requests to each operation; return the answers by operation and status.

    Raises AssertionError or a failure of Schemathesis: a defect, or an answer that the description does not have.
    """
    schema = schemathesis.openapi.from_dict(target.schema)
    schema.config.update(base_url=target.url)
    answers: Counter[str] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]  # the description is valid
        if (operation.method.upper(), operation.path) not in _SKIPPED:
            for mode in _MODES if _has_fields(operation) else _MODES[:1]:
                _check_operation(target, operation, mode, examples, answers)
    return answers


def _has_fields(operation: Any) -> bool:
    """Return whether a request can be invalid: Schemathesis looks long for invalid paths, which attacks.py has."""
    raw = operation.definition.raw
    in_query = any(parameter["in"] == "query" for parameter in raw.get("parameters", ()))
    return in_query or "application/json" in raw.get("requestBody", {}).get("content", {})


def _check_operation(
    target: Target, operation: Any, mode: GenerationMode, examples: int, answers: Counter[str]
) -> None:
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case) -> None:
        response = case.call(headers=target.authorized, timeout=_TIMEOUT_S, allow_redirects=False)
        answers[f"{operation.label} {response.status_code}"] += 1
        _check_response(case, response)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            check()
        except hypothesis.errors.Unsatisfiable:  # an operation without parameters has no invalid request
            return


def _check_response(case: Case, response: Any) -> None:
    documented = {int(status) for status in case.operation.definition.raw["responses"] if status.isdigit()}
    not_a_server_error_statuses = {500, 501, 504, 505}
    assert response.status_code not in not_a_server_error_statuses, (case.as_curl_command(), response.text)
    if response.status_code in documented:
        case.validate_response(response, checks=_CHECKS)
    else:
        assert response.status_code in POLICY_STATUSES | {404, 405}, (case.as_curl_command(), response.status_code)
        assert response.headers["content-type"] == ["application/problem+json"]
