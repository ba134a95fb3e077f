"""Options of the commands that can run on a Ray cluster."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from data.errors import SettingsError

if TYPE_CHECKING:
    from config import Settings


def add_ray_option(parser: argparse._ActionsContainer) -> None:
    """Add --ray: the address of a cluster."""
    text = "run on the Ray cluster at ADDRESS: host:port, auto, or local to start one (default: RAY_ADDRESS)"
    parser.add_argument("--ray", metavar="ADDRESS", help=text)


def with_ray_option(settings: Settings, address: str | None) -> Settings:
    """Return the settings with the address of --ray, if it was given. Raises SettingsError: it is invalid."""
    if address is None:
        return settings
    from data.settings.fields import check_ray_address  # with pydantic: on demand

    try:
        valid = check_ray_address(address)
    except ValueError:
        valid = ""
    if not valid:
        raise SettingsError(f"--ray: invalid value {address!r}: must be host:port, auto, or local")
    return settings.model_copy(update={"ray_address": valid})
