"""Target factory: make the target of a URL."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from config import Settings
from data.commands import require_extra
from data.errors import SettingsError
from data.http.session import new_session
from recognition.outputs.targets.base import Target

_WEBHOOK, _MQTT = ("http", "https"), ("mqtt", "mqtts")
# Addresses as these services show them; Apprise knows their forms.
_CHATS = ("discord.com", "discordapp.com", "hooks.slack.com")


def make_target(url: str, settings: Settings) -> Target:
    """Return the target of a URL, which the caller closes: a webhook, an MQTT broker, or a service of Apprise.

    Raises SettingsError for an invalid URL, ExtraMissing if a library is not installed.
    """
    if not url.isprintable() or " " in url:  # a lone surrogate is not printable either
        raise SettingsError("--alert: invalid URL with a space or an unprintable character; encode it, as %20")
    scheme, host = "", ""
    with suppress(ValueError):  # of an invalid address; the targets say what is wrong
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname or ""
    if scheme in _WEBHOOK and host not in _CHATS:
        from recognition.outputs.webhook import Webhook

        # No stand-in URL for this session: it would redirect the webhook's host as it redirects Twitch's.
        session = new_session(settings.timeout_s, deadline_s=settings.deadline_s)
        return Webhook(url, session, secret=settings.webhook_secret.get_secret_value())
    require_extra("alerts", "--alert")
    if scheme in _MQTT:
        from recognition.outputs.targets.mqtt import MqttTarget

        return MqttTarget(url, timeout_s=settings.timeout_s, deadline_s=settings.deadline_s)
    from recognition.outputs.targets.apprise_target import AppriseTarget

    # A delivery has two halves: until its last request begins, and that request.
    session = new_session(settings.timeout_s, deadline_s=settings.deadline_s / 2)
    return AppriseTarget(url, session, deadline_s=settings.deadline_s)
