"""Apprise target: Discord, Slack, Telegram, ntfy and all other services that the library Apprise knows.

Discord and Telegram get the picture in the message, ntfy as its attachment. Slack gets it with a bot's token as a file
after the message; webhooks of Slack take no pictures.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import requests
from apprise import Apprise, AppriseAsset, AppriseAttachment, NotifyBase, NotifyFormat, NotifyType
from apprise.attachment.memory import AttachMemory
from apprise.plugins.base import _delivery_memo, _delivery_tracker
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.telegram import NotifyTelegram

from data.errors import SettingsError
from data.text import printable
from recognition.outputs.targets import apprise_requests
from recognition.outputs.targets.base import FAILURE, MATCH, MISMATCH, Alert, DeliveryError
from recognition.outputs.targets.message import AlertMessage, compose, discord_text

_APP = "TwitchCategory"
_PICTURE = "frame.jpg"
_SCHEME = re.compile(r"([A-Za-z0-9+.-]{1,20})://")
_FORMAT = re.compile(r"([?&])format=[^&]*", re.IGNORECASE)  # of a URL: names are escaped for our own form only
_TYPES = {MISMATCH: NotifyType.WARNING, FAILURE: NotifyType.FAILURE, MATCH: NotifyType.SUCCESS}


class AppriseTarget:
    """A service of Apprise: sends each alert as a message with its picture."""

    def __init__(self, url: str, session: requests.Session, *, deadline_s: float = 30.0) -> None:
        """Prepare the service. Raises SettingsError for a URL that Apprise does not know.

        session: sends the requests; `close` closes it.
        deadline_s: longest time of one delivery by HTTP, if the session's deadline is half of it.
        """
        session.get_redirect_target = lambda _: None  # type: ignore[method-assign, assignment]  # it reads the body
        self._session, self._deadline_s = session, deadline_s / 2
        self._closing = threading.Event()
        self._plugin = _make_plugin(url)
        self._plugin.throttle = self._throttle
        self._sets_click = getattr(self._plugin, "click", "") is None  # of ntfy: what a touch opens
        self.name = _safe_name(self._plugin)
        self.key = hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()
        # What the receiver accepted of the last alert: a retry sends only the rest of it.
        self._alert_id, self._accepted, self._memo = "", set[Any](), dict[Any, Any]()

    def deliver(self, alert: Alert) -> None:
        """Send the alert; without its picture, if it is refused with it. Raises DeliveryError."""
        if alert.id != self._alert_id:
            self._alert_id, self._accepted, self._memo = alert.id, set(), {}
        try:
            self._notify(alert, alert.jpeg)
        except DeliveryError as error:
            if error.retryable or not alert.jpeg:
                raise
            self._notify(alert, b"")

    def close(self) -> None:
        """Begin no further request. The session's connections are closed."""
        self._closing.set()
        self._session.close()

    def _notify(self, alert: Alert, jpeg: bytes) -> None:
        message = compose(alert)
        exchange = apprise_requests.Exchange(self._session, self._closing, self._deadline_s, alert.id)
        try:
            with apprise_requests.active(exchange), self._accepted_parts():
                accepted = self._plugin.notify(**self._arguments(alert, message, jpeg))
        except DeliveryError:
            raise
        except Exception as error:  # noqa: BLE001 - of any library; its text may hold the URL
            raise DeliveryError(f"failed ({type(error).__name__})", retryable=True) from None
        if not accepted:
            raise exchange.error()

    def _arguments(self, alert: Alert, message: AlertMessage, jpeg: bytes) -> dict[str, Any]:
        if self._sets_click:
            self._plugin.click = message.link or None
        if isinstance(self._plugin, _Discord):
            self._plugin.message, self._plugin.at = message, alert.at.isoformat()
        attach = AppriseAttachment()
        if jpeg and self._plugin.attachment_support:
            attach.add(AttachMemory(content=jpeg, name=_PICTURE, mimetype="image/jpeg"))
        text: dict[str, Any] = {"title": message.title, "body": message.as_text(), "body_format": NotifyFormat.TEXT}
        if isinstance(self._plugin, NotifyTelegram):
            text = {"body": message.as_html(), "body_format": NotifyFormat.HTML}
        return text | {"attach": attach or None, "notify_type": _TYPES.get(alert.kind, NotifyType.INFO)}

    @contextmanager
    def _accepted_parts(self) -> Iterator[None]:
        """Let Apprise skip what the receiver has accepted of this alert before."""
        with ExitStack() as stack:
            stack.callback(_delivery_tracker.reset, _delivery_tracker.set(self._accepted))
            stack.callback(_delivery_memo.reset, _delivery_memo.set(self._memo))
            yield

    def _throttle(self, _: Any = None, wait: float | None = None) -> None:
        """Do not sleep: where Apprise would sleep until a limit of Discord ends, the caller waits instead."""
        if wait and wait > 0:
            raise DeliveryError("limits the rate", retryable=True, retry_after_s=wait)


class _Discord(NotifyDiscord):
    """A webhook of Discord: one embed that holds the picture, in one request, without any mention."""

    message: AlertMessage
    at = ""  # RFC 3339

    def send(self, *_: Any, notify_type: Any = None, attach: Any = None, **__: Any) -> bool:
        """Send `message` with its picture, whatever body and title Apprise gives."""
        facts = [f"**{label}:** {discord_text(text)}" for label, text in self.message.facts if label != "Time"]
        embed: dict[str, Any] = {
            "title": discord_text(self.message.title),
            "description": "\n".join(facts),
            "timestamp": self.at,
        }
        embed["color"] = self.color(notify_type, int)
        embed |= {"url": self.message.link} if self.message.link else {}
        embed |= {"image": {"url": f"attachment://{_PICTURE}"}} if attach else {}
        payload = {"username": self.user or _APP, "content": " ".join(self.ping or ()), "embeds": [embed]}
        # Only what the URL names is mentioned; a mention in an embed notifies nobody.
        payload["allowed_mentions"] = {"parse": ["users", "roles", "everyone"] if self.ping else []}
        payload |= {"flags": self.flags} if self.flags else {}
        # Without wait=true, Discord reports no error for a message that it could not store.
        params = {"wait": "true"} | ({"thread_id": self.thread_id} if self.thread_id else {})
        return bool(self._send(payload, attach=[*attach] if attach else None, params=params))


def _make_plugin(url: str) -> Any:
    """Return Apprise's service for the URL, or our form of it. Raises SettingsError."""
    # No picture of Apprise's own pages, no storage, no name of it in messages.
    asset = AppriseAsset(app_id=_APP, app_desc=_APP, image_url_mask="", image_path_mask=False, allow_templates=False)
    apprise_requests.install()  # before the URL is parsed: Apprise logs the parts of an invalid one
    plugin = None
    with suppress(Exception):  # Apprise raises TypeError and others for some invalid URLs
        plugin = Apprise.instantiate(_FORMAT.sub(r"\1", url).rstrip("?&"), asset=asset)
    has_nobody = any(getattr(plugin, name, None) == [] for name in ("topics", "targets"))  # such as ntfy://
    if not isinstance(plugin, NotifyBase) or has_nobody:
        scheme = _SCHEME.match(url)  # without one, all of the URL may be a secret
        shown = f"of the scheme {scheme[1]!r}" if scheme else "without a scheme such as discord://"
        advice = "see docs/alerts.md, and https://github.com/caronc/apprise/wiki for the form of each service"
        raise SettingsError(f"--alert: no service takes this URL {shown}; {advice}")
    apprise_requests.install()  # also for the modules that the first URL loaded
    if isinstance(plugin, NotifyDiscord):
        return _Discord(**(NotifyDiscord.parse_url(plugin.url()) or {}), asset=asset)
    return plugin


def _safe_name(plugin: Any) -> str:
    """Return the scheme, and the host where it is one: a URL of Discord has a secret in its place."""
    scheme = plugin.url(privacy=True).partition("://")[0]
    host = plugin.host if getattr(plugin, "mode", "") == "private" else ""  # of ntfy
    return f"{scheme}://{printable(host)}" if host else scheme
