"""Who may ask the dashboard for what, from where: each rule both ways."""

from __future__ import annotations

import os
import re
import stat
import time

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from dashboard.app import create_app
from dashboard.security import bodies, sessions, tokens
from dashboard.security.policy import Security, cookie_names
from dashboard.services import make_services
from data.errors import FolderError, SettingsError
from tests.dashboard.conftest import make_settings

TOKEN = "a-token-of-enough-characters"
BROWSER = {"User-Agent": "Mozilla/5.0", "Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
SESSION = "/api/v1/session"


def _client(tmp_path, host="127.0.0.1", base_url="http://127.0.0.1", **values):
    """Return a client of an app whose services are not started: no rule needs them."""
    settings = make_settings(tmp_path, **values)
    app = create_app(make_services(settings, Security.create(settings, host, 80)))
    return TestClient(app, base_url=base_url, follow_redirects=False)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Return an open and a locked server's clients, made once: most rules remember nothing."""
    folder = tmp_path_factory.mktemp("security")
    return _client(folder / "open"), _client(folder / "locked", dashboard_token=TOKEN)


@pytest.fixture
def client(shared):
    """Return a client of a server on loopback that asks for no token."""
    return shared[0]


@pytest.fixture
def locked(shared):
    """Return a client of a server that asks for the token, without a cookie."""
    shared[1].cookies.clear()
    return shared[1]


def _csrf(client, path="/login"):
    page = client.get(path, headers={"User-Agent": "Mozilla/5.0", "Sec-Fetch-Mode": "navigate"})
    return re.search('name="csrf-token" content="([0-9a-f]{64})"', page.text)[1]


def _sign_in(client, token=TOKEN, **headers):
    headers = BROWSER | {"X-CSRF-Token": _csrf(client)} | headers
    return client.post(SESSION, json={"token": token}, headers=headers)


# --- The token, and where the server listens --------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org", "127.1", "::ffff:127.0.0.1"])
def test_other_address_than_loopback_needs_a_token(tmp_path, host):
    """The command refuses to start, and says how to make a token."""
    with pytest.raises(SettingsError, match=r"^DASHBOARD_TOKEN: .*--new-token"):
        Security.create(make_settings(tmp_path), host, 8000)
    assert Security.create(make_settings(tmp_path, dashboard_token=TOKEN), host, 8000).token_required
    tokens.new_token(tmp_path / "dataset" / "dashboard")
    assert Security.create(make_settings(tmp_path), host, 8000).token_required


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_needs_no_token_but_honours_one(tmp_path, host):
    """A token that is set is asked for on loopback, too."""
    assert not Security.create(make_settings(tmp_path), host, 8000).token_required
    assert Security.create(make_settings(tmp_path, dashboard_token=TOKEN), host, 8000).token_required


def test_short_token_is_refused(tmp_path):
    """A token that can be guessed is no token."""
    with pytest.raises(SettingsError, match="at least 16 characters"):
        Security.create(make_settings(tmp_path, dashboard_token="short"), "127.0.0.1", 8000)


def test_new_token_stores_its_hash_for_the_owner_only(tmp_path):
    """The file does not hold the token; the next token replaces it."""
    folder = tmp_path / "dataset" / "dashboard"
    first, second = tokens.new_token(folder), tokens.new_token(folder)
    content = (folder / "token").read_bytes()
    assert len(second) >= 43
    assert second.encode() not in content
    assert tokens.is_same(second, content.strip())
    assert not tokens.is_same(first, content.strip())
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_folder_that_others_may_enter_is_closed(tmp_path):
    """It was made by hand, with the usual permissions."""
    folder = tmp_path / "dataset" / "dashboard"
    folder.mkdir(mode=0o755, parents=True)
    Security.create(make_settings(tmp_path), "127.0.0.1", 8000)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", ["key", "token"])
def test_secret_of_another_user_is_refused(tmp_path, name):
    """The one who put it there knows it; the user to whom the dataset belongs may."""
    folder = tmp_path / "dataset" / "dashboard"
    tokens.new_token(folder)
    tokens.signing_key(folder)
    os.chown(folder / name, 12345, -1)
    with pytest.raises(FolderError, match="belongs to another user"):
        Security.create(make_settings(tmp_path), "127.0.0.1", 8000)
    os.chown(tmp_path / "dataset", 12345, -1)
    Security.create(make_settings(tmp_path), "127.0.0.1", 8000)


def test_damaged_token_file_locks_the_server(tmp_path):
    """An unreadable hash never means that nobody needs a token."""
    folder = tmp_path / "dataset" / "dashboard"
    tokens.new_token(folder)
    (folder / "token").write_text("")
    with pytest.raises(SettingsError, match="damaged"):
        Security.create(make_settings(tmp_path), "127.0.0.1", 8000)


def test_new_token_is_taken_while_the_server_runs(tmp_path, monkeypatch):
    """The old token and its sessions end, the new one is let in; DASHBOARD_TOKEN has precedence."""
    monkeypatch.setattr(tokens, "LOOK_S", 0.0)
    folder = tmp_path / "dataset" / "dashboard"
    client, fixed = _client(tmp_path), _client(tmp_path, dashboard_token=TOKEN)
    assert client.get("/api/v1/openapi.json").status_code == 200
    first = tokens.new_token(folder)
    assert client.get("/api/v1/openapi.json").status_code == 401
    assert _sign_in(client, first).status_code == 200
    assert client.get("/api/v1/openapi.json").status_code == 200
    second = tokens.new_token(folder)
    assert client.get("/api/v1/openapi.json").status_code == 401
    assert _sign_in(client, first).status_code == 401
    assert _sign_in(client, second).status_code == 200
    client.cookies.clear()
    for token, status in ((first, 401), (second, 200)):
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get("/api/v1/openapi.json", headers=headers).status_code == status
    assert fixed.get("/api/v1/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("damage", ["", "x" * 64, None], ids=["empty", "no hash", "gone"])
def test_token_file_that_is_damaged_later_keeps_the_last_token(tmp_path, monkeypatch, caplog, damage):
    """It opens nothing and ends no session; the log says so once."""
    monkeypatch.setattr(tokens, "LOOK_S", 0.0)
    folder = tmp_path / "dataset" / "dashboard"
    token = tokens.new_token(folder)
    client = _client(tmp_path)
    _sign_in(client, token)
    (folder / "token").unlink() if damage is None else (folder / "token").write_text(damage)
    assert [client.get("/api/v1/openapi.json").status_code for _ in range(3)] == [200] * 3
    assert caplog.text.count("the last token holds") == 1
    client.cookies.clear()
    assert client.get("/api/v1/openapi.json").status_code == 401
    renewed = {"Authorization": f"Bearer {tokens.new_token(folder)}"}
    assert client.get("/api/v1/openapi.json", headers=renewed).status_code == 200


def test_token_file_is_looked_at_rarely(tmp_path, monkeypatch):
    """Requests in between cost no look at the disk."""
    monkeypatch.setattr(tokens, "LOOK_S", 3600.0)
    stored = tokens.StoredToken(tmp_path)
    tokens.new_token(tmp_path)
    assert not stored.changed()
    stored._next_look = 0.0
    assert stored.changed()
    assert not stored.changed()


# --- Sessions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/dataset", "/live", "/", "/nowhere"])
def test_page_without_a_session_leads_to_the_login(locked, path):
    """A page that needs the token leads to the login, which leads back."""
    response = locked.get(path)
    assert (response.status_code, response.headers["location"]) == (303, f"/login?next={path}")


@pytest.mark.parametrize(
    "path", ["/api/v1/health", "/api/v1/dataset", "/api/v1/nowhere", "/metrics", "/api/v1/openapi.json"]
)
def test_operation_without_a_token_is_refused(locked, path):
    """The API says how to authenticate; the right token is let in, a wrong one is not."""
    response = locked.get(path)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.headers["content-type"] == "application/problem+json"
    assert locked.get(path, headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401


@pytest.mark.parametrize("path", ["/api/v1/health", "/dataset", "/metrics"])
def test_bearer_token_is_let_in(locked, path):
    """Programs send the token in a header."""
    assert locked.get(path, headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200


def test_description_tells_of_the_token(locked):
    """Generated clients ask for it; without a token on the server it is left out."""
    description = locked.get("/api/v1/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    assert description["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert description["security"] == [{"token": []}, {}]


@pytest.mark.parametrize("path", ["/login", "/static/base/style.css", SESSION])
def test_login_needs_no_session(locked, path):
    """The login page, its files and its operation are open."""
    assert locked.get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/static/../api/v1/health", "/static/%2e%2e/api/v1/health", "/login/../api/v1/health"]
)
def test_open_path_opens_no_other(locked, path):
    """The rule and the router read a path in the same way."""
    assert locked.get(path).status_code in (401, 404)


def test_login_sets_a_cookie_that_scripts_and_other_sites_cannot_use(locked):
    """HttpOnly, SameSite=Strict, and named by the port; with it pages and operations answer."""
    response = _sign_in(locked)
    cookie = response.headers["set-cookie"]
    assert response.json()["signed_in"]
    assert cookie.startswith("twitchcategory-80=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    assert locked.get("/dataset").status_code == locked.get("/api/v1/health").status_code == 200


def test_login_over_https_sets_a_secure_cookie(tmp_path):
    """Behind a proxy that ends TLS, the page's origin says that it is https; then the name has the prefix __Host-."""
    client = _client(tmp_path, dashboard_token=TOKEN, dashboard_hosts=["dash.example"])
    cookie = _sign_in(client, Host="dash.example", Origin="https://dash.example").headers["set-cookie"]
    assert cookie.startswith("__Host-twitchcategory-80=")
    assert "Secure" in cookie


def test_wrong_token_is_refused_and_attempts_are_limited(tmp_path):
    """After ten wrong tokens at once not even the right one is tried; a session goes on."""
    locked = _client(tmp_path, dashboard_token=TOKEN)
    signed_in = _sign_in(locked).cookies
    locked.cookies.clear()
    answers = [_sign_in(locked, "wrong").status_code for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2
    refused = locked.get("/api/v1/health", headers={"Authorization": f"Bearer {TOKEN}"})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    locked.cookies.update(signed_in)
    assert locked.get("/api/v1/health").status_code == 200


def test_logout_revokes_the_session_for_good(tmp_path):
    """A copy of the cookie is worth nothing afterwards, also after a restart of the server."""
    client = _client(tmp_path, dashboard_token=TOKEN)
    name, value = next(iter(_sign_in(client).cookies.items()))
    headers = BROWSER | {"X-CSRF-Token": _csrf(client, "/dataset")}
    assert client.delete(SESSION, headers=headers).status_code == 204
    for server in (client, _client(tmp_path, dashboard_token=TOKEN)):
        server.cookies.set(name, value)
        assert server.get("/api/v1/health").status_code == 401


def test_unreadable_list_of_revoked_sessions_stops_the_server(tmp_path):
    """Without it, those who signed out would be signed in again."""
    (tmp_path / "dataset" / "dashboard" / "revoked").mkdir(parents=True)
    with pytest.raises(FolderError, match="revoked cannot be read"):
        Security.create(make_settings(tmp_path), "127.0.0.1", 8000)


def test_session_outlives_a_restart_and_ends_with_its_token(tmp_path):
    """The key is stored; another token ends all sessions."""
    name, value = next(iter(_sign_in(_client(tmp_path, dashboard_token=TOKEN)).cookies.items()))
    for token, status in ((TOKEN, 200), (TOKEN + "x", 401)):
        client = _client(tmp_path, dashboard_token=token)
        client.cookies.set(name, value)
        assert client.get("/api/v1/health").status_code == status


def test_session_expires_and_cannot_be_changed(tmp_path):
    """A session is valid for its lifetime, and only as it was signed."""
    now = time.time()
    mine = sessions.Sessions(b"key", tmp_path, clock=lambda: now)
    session, value = mine.issue()
    assert mine.verify(value) == session
    later = sessions.Sessions(b"key", tmp_path, clock=lambda: now + sessions.LIFETIME_S + 1)
    assert later.verify(value) is None
    assert sessions.Sessions(b"other", tmp_path).verify(value) is None
    identity, expires, signature = value.split(".")
    forged = [
        f"{identity}.{int(expires) + 9}.{signature}",
        f"{identity}.{expires}.{'0' * 64}",
        value + "0",
        "",
        "a.b.c",
    ]
    assert not any(map(mine.verify, forged))


def test_cookie_of_another_port_is_not_taken(locked):
    """Servers on two ports of one host share its cookies, so their names differ."""
    value = next(iter(_sign_in(locked).cookies.values()))
    locked.cookies.clear()
    locked.cookies.set(cookie_names(81)[1], value)
    assert locked.get("/api/v1/health").status_code == 401


# --- Host and Origin --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8000", "LOCALHOST:1", "[::1]:80", "dash.example", "localhost."]
)
def test_own_host_name_is_answered(tmp_path, host):
    """Loopback names and those of DASHBOARD_HOSTS, with any port: a proxy may have another one."""
    client = _client(tmp_path, dashboard_hosts=["Dash.Example"])
    assert client.get(SESSION, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", [SESSION, "/dataset", "/static/base/style.css", "/nowhere"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "evil@127.0.0.1",
        "127.0.0.1@evil",
        "",
        "0.0.0.0",
        "192.168.1.5",
        "[::1",
        "a:b",
    ],
)
def test_other_host_name_is_refused(client, host, path):
    """DNS rebinding: a page of another name never reads an answer, static files included."""
    assert client.get(path, headers={"Host": host}).status_code == 421


def test_address_is_a_name_where_the_server_listens_on_all(tmp_path):
    """An IP address cannot be rebound; a name still can."""
    client = _client(tmp_path, "0.0.0.0", dashboard_token=TOKEN)
    answers = [
        client.get(SESSION, headers={"Host": host}).status_code
        for host in ("10.1.1.1:80", "[fd00::1]", "nas", "0.0.0.0")
    ]
    assert answers == [200, 200, 421, 421]
    named = _client(tmp_path, "nas.example", dashboard_token=TOKEN)
    assert named.get(SESSION, headers={"Host": "nas.example:8000"}).status_code == 200


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:3000"},
    {"Origin": "file://127.0.0.1"},
    {"Origin": "http://127.0.0.1.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port of this machine
    {"Sec-Fetch-Site": "nonsense"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_request_of_another_sites_page_is_refused(client, method, headers):
    """Whatever it asks for, and although it has the CSRF token."""
    headers = {"X-CSRF-Token": _csrf(client), "Sec-Fetch-Mode": "cors"} | headers
    assert client.request(method, SESSION, headers=headers).status_code == 403


def test_link_of_another_site_opens_a_page_but_no_operation(client):
    """A bookmark or a link in a chat works; an operation is never opened by one."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "User-Agent": "Mozilla/5.0"}
    assert client.get("/dataset", headers=link).status_code == 200
    assert client.get("/api/v1/session", headers=link).status_code == 403
    assert client.get("/metrics", headers=link).status_code == 403
    assert client.get("/dataset", headers=link | {"Origin": "http://evil.example"}).status_code == 403


def _socket_status(client, headers, path="/api/v1/no/socket"):
    """Return the status with which a WebSocket is refused. There is none at this path: 1000 then."""
    try:
        with client.websocket_connect(f"ws://127.0.0.1{path}", headers=headers):
            raise AssertionError("accepted")
    except WebSocketDenialResponse as error:
        return error.status_code
    except WebSocketDisconnect as error:
        return error.code


@pytest.mark.parametrize("headers", FOREIGN[:4], ids=str)
def test_websocket_of_another_sites_page_is_refused(client, headers):
    """Browsers let any page open a WebSocket: its origin decides."""
    assert _socket_status(client, headers) == 403
    assert _socket_status(client, {"Origin": "http://127.0.0.1"}) != 403


def test_websocket_without_a_session_is_refused(locked):
    """A WebSocket needs the token, too."""
    assert _socket_status(locked, {}) == 401
    assert _socket_status(locked, {"Authorization": f"Bearer {TOKEN}"}) != 401


# --- CSRF -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "missing", [{"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": "ü"}], ids=ascii
)
def test_browser_without_the_pages_token_changes_nothing(client, missing):
    """On loopback without a token it holds, too; with the page's token the same request is handled."""
    headers = BROWSER | {"X-CSRF-Token": _csrf(client)}
    assert client.post(SESSION, json={"token": "x"}, headers=headers).status_code == 409  # no token is set
    encoded = {name: value.encode("utf-8") for name, value in (headers | missing).items()}
    assert client.post(SESSION, json={"token": "x"}, headers=encoded).status_code == 403


@pytest.mark.parametrize(
    "sign",
    [
        {"Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "none"},
        {"Cookie": "a=b"},
        {"Referer": "x"},
        {"User-Agent": "Mozilla/5.0"},
    ],
)
def test_each_sign_of_a_browser_asks_for_the_pages_token(client, sign):
    """A program sends none of them and needs no token on loopback."""
    assert client.post(SESSION, json={"token": "x"}).status_code == 409
    assert client.post(SESSION, json={"token": "x"}, headers=sign).status_code == 403


def test_pages_token_of_another_session_is_refused(locked):
    """The token is bound to the session."""
    anonymous = _csrf(locked)
    _sign_in(locked)
    assert locked.delete(SESSION, headers=BROWSER | {"X-CSRF-Token": anonymous}).status_code == 403


def test_bearer_needs_no_pages_token(locked):
    """No other site can send the header."""
    headers = {"Authorization": f"Bearer {TOKEN}", "User-Agent": "Mozilla/5.0"}
    assert locked.post("/api/v1/nowhere", json={}, headers=headers).status_code == 404


# --- Unknown paths ----------------------------------------------------------------------------


def test_unknown_path_in_a_browser_is_a_page(client):
    """It has the navigation; programs, and paths of no page, get a problem as before."""
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path in ("/nope", "/dataset/nope", "/%3Cb%3E"):
        page = client.get(path, headers=accept)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8"), path
        assert 'href="/jobs"' in page.text
        assert "<b>" not in page.text
        assert "content-security-policy" in page.headers
    problems = [client.get(path, headers=accept) for path in ("/api/nope", "/api", "/static/nope", "/metrics/nope")]
    problems += [client.get("/nope"), client.post("/nope", headers=accept)]
    for problem in problems:
        assert (problem.status_code, problem.json()["status"]) == (404, 404)


# --- Headers of responses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/dataset", 200),
        ("GET", "/static/base/style.css", 200),
        ("GET", "/api/v1/session", 200),
        ("GET", "/api/v1/nowhere", 404),
        ("PUT", "/api/v1/session", 405),
        ("GET", "/", 307),
        ("GET", "/static/nowhere", 404),
        ("GET", "/metrics", 200),
    ],
)
def test_each_response_has_the_headers_of_security(client, method, path, status):
    """Pages, files, operations and errors: nothing inline, nothing from elsewhere, no frame, no other type."""
    response = client.request(method, path)
    assert response.status_code == status
    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert (
        response.headers["cross-origin-opener-policy"]
        == response.headers["cross-origin-resource-policy"]
        == "same-origin"
    )
    assert "camera=()" in response.headers["permissions-policy"]
    assert ("no-store" in response.headers.get("cache-control", "")) != path.startswith("/static/")
    assert "access-control-allow-origin" not in response.headers


def test_defect_is_answered_with_a_problem_and_the_headers(tmp_path):
    """An exception that nobody named tells a visitor nothing."""
    client = _client(tmp_path)
    client.app.add_api_route("/broken", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        client.get("/broken")
    quiet = TestClient(client.app, base_url="http://127.0.0.1", raise_server_exceptions=False)
    response = quiet.get("/broken")
    assert (response.status_code, response.json()["status"]) == (500, 500)
    assert "content-security-policy" in response.headers
    assert "Zero" not in response.text


# --- Limits of requests -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "path", "headers"),
    [
        (414, f"/dataset?{'a' * 8200}", {}),
        (414, f"/{'a' * 8200}", {}),
        (431, "/dataset", {"X-Large": "a" * 33_000}),
        (431, "/dataset", {f"X-{number}": "a" for number in range(101)}),
        (400, "/api/v1/%00", {}),
        (400, "/api/v1/session?a=%00", {}),
        (200, f"/dataset?{'a' * 7000}", {"X-Fine": "a" * 8000}),
    ],
)
def test_address_and_headers_are_bounded(client, status, path, headers):
    """Nobody needs such sizes, nor a NUL."""
    assert client.get(path, headers=headers).status_code == status


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (413, JSON, b" " * ((8 << 10) + 1)),
        (422, JSON, b" " * (8 << 10)),
        (413, JSON | {"Content-Length": "9" * 30}, b"{}"),
        (400, JSON, b"[" * 33 + b"]" * 33),
        (422, JSON, b"[" * 32 + b"]" * 32),
        (400, JSON, b"[" * 8000),
        (422, JSON, b'{"token": {"a": "' + b"[" * 5000 + b'"}}'),  # within a string
        (400, JSON, rb'{"token": "a\u0000"}'),
        (400, JSON, rb'{"token": "\ud800"}'),
        (409, JSON, rb'{"token": "\ud83d\ude00"}'),
        (400, JSON, b"[" + b"[]," * 1001 + b"1]"),
        (422, JSON, b"[" + b"[]," * 999 + b"1]"),
        (400, JSON, '{"token": "x"}'.encode("utf-16")),
        (415, {}, b"{}"),
        (415, {"Content-Type": "text/plain"}, b'{"token": "x"}'),
        (415, {"Content-Type": "application/x-www-form-urlencoded"}, b"token=x"),
        (415, {"Content-Type": "multipart/form-data; boundary=a"}, b"--a"),
        (415, JSON | {"Content-Encoding": "gzip"}, b"{}"),
        (409, {"Content-Type": "Application/JSON; charset=utf-8"}, b'{"token": "x"}'),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else None,
)  # fmt: skip
def test_body_is_bounded_before_anything_parses_it(client, status, headers, body):
    """Its size, type, nesting and characters; a token would be 409 here, because none is set."""
    assert client.post(SESSION, content=body, headers=headers).status_code == status


def test_string_without_an_end_is_read_once():
    """Its quotes, each of them escaped, could each be the start of another one: hours for a megabyte."""
    assert bodies.check_json(b"[" * 33 + b'"' + rb"\"" * 500_000)
    assert not bodies.check_json(b"[" * 32 + b'"' + rb"\"" * 500_000)


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/watch", 1 << 20, 422),
        ("/watch", (1 << 20) + 1, 413),
        ("/dataset/changes", 4 << 20, 422),
        ("/jobs", 2 << 20, 413),
    ],
)
def test_size_of_a_body_depends_on_the_operation(client, path, size, status):
    """A change of the dataset names thousands of frames."""
    assert client.post(f"/api/v1{path}", content=b" " * size, headers=JSON).status_code == status


def test_chunked_body_is_bounded(client):
    """A body without a length is counted as it arrives."""
    chunks = (b" " * 65536 for _ in range(64))
    assert client.post(SESSION, content=chunks, headers=JSON).status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_upload_of_a_forms_type_is_refused(client, kind):
    """A form of another site can send these three types only."""
    response = client.post("/api/v1/recognitions/upload", content=b"x", headers={"Content-Type": kind})
    assert response.status_code == 415


def test_expensive_operations_come_at_a_bounded_rate(tmp_path):
    """The answer to a flood says when to try again."""
    client = _client(tmp_path)
    answers = [client.post("/api/v1/jobs/nowhere", json={}) for _ in range(40)]
    assert {answer.status_code for answer in answers[:25]} <= {404, 405}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
