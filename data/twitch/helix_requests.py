"""Helix requests: one GET, with the token, its renewal, rate limits and retries.

Rate limits: https://dev.twitch.tv/docs/api/guide#twitch-rate-limits
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import requests

from data.backoff import Backoff
from data.errors import DirectoryUnauthorized, DirectoryUnavailable, SettingsError
from data.http.session import read_body
from data.twitch import responses

HELIX_URL = "https://api.twitch.tv/helix/"
TOKEN_URL = "https://id.twitch.tv/oauth2/token"

_MAX_RESPONSE_BYTES = 8 << 20  # a page of 100 streams has about 100 kB

log = logging.getLogger(__name__)


class HelixRequests:
    """Sends the requests of one client of the API. `data.twitch.helix.Helix` says what the arguments are."""

    def __init__(
        self,
        session: requests.Session,
        client_id: str,
        *,
        access_token: str,
        client_secret: str,
        retry_budget_s: float,
        deadline_s: float,
        sleep: Callable[[float], object],
    ) -> None:
        if not client_id:
            raise SettingsError("CLIENT_ID is empty; register an application at https://dev.twitch.tv/console/apps")
        if not (access_token or client_secret):
            raise SettingsError("ACCESS_TOKEN and CLIENT_SECRET are empty; set one of them")
        self._session = session
        self._client_id, self._token, self._secret = client_id, access_token, client_secret
        self._retry_budget_s, self._deadline_s = retry_budget_s, deadline_s
        self._sleep = sleep
        self._rate_limited_until = 0.0  # monotonic seconds: the clock may be set

    def get(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the response to a GET; wait for rate limits and retry failures, within the budget.

        Raises DirectoryUnavailable, DirectoryUnauthorized, BadRequest.
        """
        backoff, renewed = Backoff(self._retry_budget_s, jitter=0.5), False
        while True:
            self._wait_for_rate_limit(backoff)
            try:
                self._token = self._token or self._new_token()
                headers = {"Authorization": f"Bearer {self._token}", "Client-Id": self._client_id}
                response = self._send("GET", HELIX_URL + path, params=params, headers=headers)
                if response.status == 200:
                    return response.json_object()
                if response.status >= 500 or response.status < 400:
                    raise DirectoryUnavailable(f"Twitch returned HTTP {response.status}")
            except DirectoryUnavailable as error:
                self._pause(backoff.next_pause_s(), error, warn=backoff.attempts == 4)  # after 3.5 s
                continue
            if response.status == 401 and self._secret and not renewed:
                self._token, renewed = "", True  # revoked before its expiry: renew it once
            elif response.status in (401, 403):
                what = f"the credentials (HTTP {response.status}: {response.message})"
                raise DirectoryUnauthorized(f"Twitch rejected {what}; check CLIENT_ID and the token")
            elif response.status != 429:  # after a 429 the loop waits for the rate limit
                raise BadRequest(f"Twitch rejected {path} (HTTP {response.status}: {response.message})")

    def _wait_for_rate_limit(self, backoff: Backoff) -> None:
        pause_s = self._rate_limited_until - time.monotonic()
        if pause_s > 0:
            error = DirectoryUnavailable(f"Twitch's rate limit is exhausted; it resets in {pause_s:.0f} s")
            self._pause(pause_s if backoff.allows(pause_s) else None, error)

    def _pause(self, pause_s: float | None, error: DirectoryUnavailable, warn: bool = False) -> None:
        """Wait; raise `error` if the budget does not allow it (None), or if the wait is stopped."""
        if pause_s is None:
            raise error
        log.log(logging.WARNING if warn else logging.INFO, "%s; retrying in %.1f s", error, pause_s)
        if self._sleep(pause_s):
            raise error

    def _new_token(self) -> str:
        """Request an app access token (client credentials flow, which has no refresh tokens)."""
        form = {"client_id": self._client_id, "client_secret": self._secret, "grant_type": "client_credentials"}
        response = self._send("POST", TOKEN_URL, data=form, allow_redirects=False)  # a redirect would get the secret
        if response.status in (400, 401, 403):
            reason = f"HTTP {response.status}: {response.message}"
            raise DirectoryUnauthorized(f"Twitch rejected CLIENT_ID and CLIENT_SECRET ({reason}); check them")
        if response.status != 200:
            raise DirectoryUnavailable(f"Twitch returned HTTP {response.status} instead of a token")
        return responses.parse_token(response.json_object())

    def _send(self, method: str, url: str, **kwargs: Any) -> responses.HelixResponse:
        """Send one request, read its whole body within the deadline, and note the rate limit in its headers."""
        try:
            response = self._session.request(method, url, stream=True, **kwargs)
            body = read_body(response, self._deadline_s, _MAX_RESPONSE_BYTES)
        except requests.RequestException as error:
            raise DirectoryUnavailable(f"Twitch cannot be reached: {type(error).__name__}") from error
        if response.headers.get("Ratelimit-Remaining") == "0" or response.status_code == 429:
            pause_s = responses.parse_rate_limit_pause_s(response.headers.get("Ratelimit-Reset"))
            self._rate_limited_until = time.monotonic() + pause_s
        return responses.HelixResponse(response.status_code, body)


class BadRequest(DirectoryUnavailable):
    """Twitch rejected this request, with a 4xx other than 401, 403 and 429; the client does not retry it.

    It counts as unavailable, so that a download waits and goes on with other requests, but not for ever.
    """
