"""Options of the commands that can run on a Ray cluster."""

from __future__ import annotations

import argparse


def add_ray_option(parser: argparse._ActionsContainer) -> None:
    """Add --ray: the address of a cluster."""
    text = "run on the Ray cluster at ADDRESS, host:port; local starts one on this machine (default: RAY_ADDRESS)"
    parser.add_argument("--ray", metavar="ADDRESS", help=text)
