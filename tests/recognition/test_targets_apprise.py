"""Services of Apprise, against real HTTP servers that stand behind the services' own host names by TLS."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from data.entities import Game
from data.errors import SettingsError
from data.http.session import new_session
from recognition.outputs.targets.apprise_target import AppriseTarget
from recognition.outputs.targets.base import MISMATCH, DeliveryError
from tests.receivers import chats
from tests.receivers.chats import Chats
from tests.recognition.alerts import CHESS, alert, picture
from tests.scripted_server import Reply

URLS = {
    "discord": chats.DISCORD,
    "slack": chats.SLACK,
    "slack bot": chats.SLACK_BOT,
    "telegram": chats.TELEGRAM,
    "ntfy": chats.NTFY,
}
SECRETS = ("Secret", "topic-secret", "123456789012345678")
Open = Callable[..., AppriseTarget]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chats]:
    """Run the chats; the environment leads the services' hosts there."""
    with Chats() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def opened(server: Chats) -> Iterator[Open]:
    """Return a function that opens a target; close all at the end."""
    with ExitStack() as stack:

        def open_target(url: str, deadline_s: float = 10.0) -> AppriseTarget:
            session = new_session(deadline_s / 2, deadline_s=deadline_s / 2)
            target = AppriseTarget(url.format(address=server.address), session, deadline_s=deadline_s)
            stack.callback(target.close)
            return target

        yield open_target


@pytest.mark.parametrize("service", ["discord", "telegram", "ntfy"])
def test_alert_with_picture_is_one_message(server, opened, service):
    """Discord, Telegram and ntfy get text, picture and the alert's id in one request."""
    opened(URLS[service]).deliver(alert(7, jpeg=picture()))
    [received] = server.received
    assert (received.service, received.id, received.picture) == (service, f"{7:032x}", picture())
    assert "someone now shows VALORANT" in received.text
    assert "Chess" in received.text


def test_discord_embed_has_the_picture_and_mentions_nobody(server, opened):
    """The embed shows the uploaded picture, and Discord must parse no mention."""
    opened(chats.DISCORD).deliver(alert(game=Game(1, "@everyone <@1> [x](https://evil.example)"), jpeg=picture()))
    payload = server.received[0].payload
    [embed] = payload["embeds"]
    assert payload["allowed_mentions"] == {"parse": []}
    assert embed["image"] == {"url": "attachment://frame.jpg"}
    assert embed["url"] == "https://www.twitch.tv/someone"
    assert payload["wait"] == "true"
    assert "@everyone" not in json.dumps(payload)
    assert "](" not in embed["title"]


def test_slack_webhook_has_text_only_and_escapes_markup(server, opened):
    """Slack's webhooks take no pictures; <, > and & are escaped, so no mention and no link is possible."""
    opened(chats.SLACK).deliver(
        alert(kind=MISMATCH, game=Game(1, "<!channel> <https://evil.example|x>"), jpeg=picture())
    )
    [received] = server.received
    assert received.picture == b""
    assert received.payload["mrkdwn"] is False
    assert "<" not in received.text


def test_slack_bot_gets_the_picture_as_a_file(server, opened):
    """With a bot's token the picture follows the message as a file."""
    opened(chats.SLACK_BOT).deliver(alert(jpeg=picture()))
    assert [received.service for received in server.received] == ["slack", "slack file"]
    assert server.received[1].picture == picture()


@pytest.mark.parametrize("mode", ["?format=markdown", "?mdv=v2&FORMAT=markdown"])
def test_format_of_the_url_changes_nothing(server, opened, mode):
    """Names are escaped for our form; another one, which a URL of Apprise may ask for, would obey their markup."""
    opened(chats.TELEGRAM + mode).deliver(alert(game=Game(1, "[x](tg://user?id=1)")))
    assert server.received[0].payload["parse_mode"] == "HTML"


def test_part_that_was_accepted_is_not_sent_again(server, opened):
    """When Slack takes the message and fails at the picture, the retry sends the picture only."""
    target, delivered = opened(chats.SLACK_BOT), alert(jpeg=picture())
    server.replies.extend([Reply(200, {"ok": True, "channel": "C1"}), Reply(503)])
    with pytest.raises(DeliveryError) as caught:
        target.deliver(delivered)
    assert caught.value.retryable
    target.deliver(delivered)
    assert [path.rpartition("/")[2] for _, path in server.requests].count("chat.postMessage") == 1
    assert [received.service for received in server.received] == ["slack file"]
    target.deliver(alert(2))  # another alert is sent as a whole
    assert server.received[-1].service == "slack"


@pytest.mark.parametrize(
    ("reply", "expected"),  # whether it is retryable, and after how many seconds
    [
        (Reply(429, headers={"Retry-After": "17"}), (True, 17.0)),
        (Reply(429, {"retry_after": 2.5}), (True, 2.5)),
        (Reply(429, {"parameters": {"retry_after": 9}}), (True, 9.0)),
        (Reply(429, headers={"Retry-After": "nan"}), (True, None)),
        (Reply(503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), (True, 0.0)),
        (Reply(500, b"\xff not JSON"), (True, None)),
        (Reply(404), (False, None)),
        (Reply(302, headers={"Location": "http://127.0.0.1:1/"}), (False, None)),
    ],
)
def test_error_says_whether_and_when_a_retry_may_help(server, opened, reply, expected):
    """Statuses and the forms of Retry-After are understood of each service; a redirect is not followed."""
    for number, service in enumerate(("discord", "slack", "telegram", "ntfy"), 1):
        server.replies.append(reply)
        with pytest.raises(DeliveryError) as caught:
            opened(URLS[service]).deliver(alert())
        assert (caught.value.retryable, caught.value.retry_after_s) == expected
        assert f"status {reply.status}" in caught.value.reason
        assert len(server.requests) == number


@pytest.mark.parametrize(("error", "retryable"), [("invalid_auth", False), ("ratelimited", True)])
def test_error_code_of_slack_with_status_200_is_understood(server, opened, error, retryable):
    """Slack's API answers errors with status 200 and a code."""
    server.replies.append(Reply(200, {"ok": False, "error": error}))
    with pytest.raises(DeliveryError, match=error) as caught:
        opened(chats.SLACK_BOT).deliver(alert())
    assert caught.value.retryable is retryable


def test_alert_whose_picture_is_refused_is_sent_without_it(server, opened):
    """A receiver that takes no attachments gets the text."""
    server.replies.append(Reply(400, {"code": 40014, "error": "attachments not allowed"}))
    opened(chats.NTFY).deliver(alert(jpeg=picture()))
    assert [received.picture for received in server.received] == [b""]


def test_receiver_that_trickles_is_left_at_the_deadline(server, opened):
    """A response that arrives byte by byte ends with the deadline, as a silent one does."""
    server.replies.append(Reply(500, b"x" * 100, byte_pause_s=0.1))
    began = time.monotonic()
    with pytest.raises(DeliveryError) as caught:
        opened(chats.NTFY, deadline_s=1.0).deliver(alert())
    assert caught.value.retryable
    assert time.monotonic() - began < 5


def test_success_with_an_endless_body_is_a_success(server, opened):
    """The status counts: an alert that is accepted with a huge body is not sent again."""
    server.replies.append(Reply(200, b"x" * (2 << 20)))
    opened(chats.DISCORD).deliver(alert())
    assert len(server.requests) == 1


def test_receiver_that_is_down_is_retryable(server, opened):
    """A refused connection is retryable, and the next delivery after a restart succeeds."""
    target = opened(chats.TELEGRAM)
    server.stop()
    with pytest.raises(DeliveryError) as caught:
        target.deliver(alert())
    assert caught.value.retryable
    server.start()
    target.deliver(alert())
    assert len(server.received) == 1


def test_rate_limit_of_discord_raises_instead_of_sleeping(server, opened):
    """After a response with no request left, the next delivery says when the limit ends; it does not sleep."""
    target = opened(chats.DISCORD)
    reset = str(int(time.time()) + 600)
    server.replies.append(Reply(204, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}))
    target.deliver(alert(1))
    with pytest.raises(DeliveryError) as caught:
        target.deliver(alert(2))
    assert 500 < (caught.value.retry_after_s or 0) < 700


def test_close_ends_the_steps_of_a_delivery(server, opened):
    """After close, a delivery of several requests begins no further one."""
    server.replies.append(Reply(200, {"ok": True, "channel": "C1"}, silence_s=0.3))
    target, errors = opened(chats.SLACK_BOT), list[DeliveryError]()

    def deliver() -> None:
        with pytest.raises(DeliveryError) as caught:
            target.deliver(alert(jpeg=picture()))
        errors.append(caught.value)

    thread = threading.Thread(target=deliver)
    thread.start()
    while not server.requests:
        time.sleep(0.01)
    target.close()
    thread.join(5)
    assert [error.retryable for error in errors] == [True]
    assert len(server.requests) == 1


@pytest.mark.parametrize("service", ["discord", "slack bot", "telegram", "ntfy"])
def test_logs_and_errors_hold_no_secret(server, opened, caplog, service):
    """At the most verbose level, also of failures, nothing of the URL beyond scheme and host is logged or raised."""
    caplog.set_level(1)
    target = opened(URLS[service])
    server.replies.append(Reply(403, {"error": "token Secret"}))
    with pytest.raises(DeliveryError) as first:
        target.deliver(alert())
    server.stop()
    with pytest.raises(DeliveryError) as second:
        target.deliver(alert(2))
    server.start()
    texts = f"{caplog.text} {first.value!r} {second.value!r} {target.name} {target.key}"
    assert not [secret for secret in SECRETS if secret in texts]


@pytest.mark.parametrize(
    "url",
    [
        "discord://Secret",
        "xoxb-Secret/#games",
        "nosuch://Secret/token",
        "slack://Secret",
        "tgram://Secret",
        "tgram://Secret:x/?",
        "ntfy://",
        "ntfy://?priority=Secret",
        "",
        "://",
    ],
)
def test_url_when_invalid_raises_without_its_secret(caplog, url):
    """The error names the option and the scheme only."""
    caplog.set_level(1)
    with pytest.raises(SettingsError, match="--alert") as caught:
        AppriseTarget(url, new_session(1))
    assert "Secret" not in str(caught.value)
    assert "Secret" not in caplog.text


def test_requests_outside_of_a_delivery_are_as_before(server):
    """The replaced functions of requests serve deliveries only; urllib3 still logs for others."""
    del server
    from apprise.plugins import discord

    assert discord.requests.codes.ok == 200
    assert logging.getLogger("urllib3.connectionpool").filter(logging.makeLogRecord({"msg": "x"}))


def test_mismatch_message_reads_well(server, opened):
    """The text that people get of a mismatch, as Telegram shows it."""
    opened(chats.TELEGRAM).deliver(alert(kind=MISMATCH, category=CHESS, mismatch=True, jpeg=picture()))
    lines = server.received[0].text.splitlines()
    assert lines[0] == "<b>someone shows VALORANT, not Chess</b>"
    assert lines[1] == "Category: Chess (differs from the picture)"
    assert lines[-1] == '<a href="https://www.twitch.tv/someone">Watch</a>'
