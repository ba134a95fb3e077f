"""Text for logs: what must not be written there."""

from __future__ import annotations

import pytest

from data.text import redacted

OPAQUE = "CpIF_-0aZ" * 20


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ('host "GET /hls/x.m3u8?a=1&sig=SECRET&token=%7BSECRET&p=2 HTTP/1.1" 200', "a=1&sig=…&token=…&p=2 HTTP/1.1"),
        ("Unable to open URL: https://u.example/x?nauth=SECRET&nauthsig=SECRET (404)", "nauth=…&nauthsig=… (404)"),
        ("{'Authorization': 'Bearer SECRET', 'Client-Id': 'x'}", "'Client-Id': 'x'"),
        ("Authorization: OAuth SECRET", "Authorization: OAuth …"),
        ('{"access_token": "SECRET", "expires_in": 1}', '"expires_in": 1'),
        ("{'token': '{\"SECRET\": 1}', 'signature': 'SECRET'}", "'signature': '…'"),
        ("POST client_id=x&client_secret=SECRET&grant_type=y", "client_id=x&client_secret=…&grant_type=y"),
        ("http://SECRET:SECRET@proxy.example:8080/x", "http://…@proxy.example:8080/x"),
        (f"GET https://video.example/v1/playlist/{OPAQUE}.m3u8", "/v1/playlist/….m3u8"),
    ],
)
def test_redacted_text_has_no_secret(text, safe):
    """Tokens and signatures of URLs, headers, JSON and forms; the rest of the line stays."""
    assert "SECRET" not in redacted(text)
    assert OPAQUE not in redacted(text)
    assert safe in redacted(text)


@pytest.mark.parametrize(
    "text", ["ACCESS_TOKEN: it has a line end", "check the token: it was refused", "a@b", "x=1", ""]
)
def test_redacted_text_without_a_secret_is_unchanged(text):
    """Messages that speak of tokens stay as they are."""
    assert redacted(text) == text
