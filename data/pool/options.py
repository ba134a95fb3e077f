"""Options of the commands that can run on a Ray cluster."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config import Settings


def add_ray_option(parser: argparse._ActionsContainer) -> None:
    """Add --ray: the address of a cluster."""
    text = "run on the Ray cluster at ADDRESS: host:port, auto, or local to start one (default: RAY_ADDRESS)"
    parser.add_argument("--ray", type=_address, metavar="ADDRESS", help=text)


def with_ray_option(settings: Settings, address: str | None) -> Settings:
    """Return the settings with the address of --ray, if it was given."""
    return settings.model_copy(update={"ray_address": address}) if address else settings


def _address(text: str) -> str:
    from data.settings.fields import check_ray_address  # with pydantic: on demand

    try:
        if address := check_ray_address(text):
            return address
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"invalid address {text!r}: write host:port, auto, or local")
