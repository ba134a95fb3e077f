"""Surveying: many streams, one answer each."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from data.errors import SettingsError
from recognition.asked import sources

if TYPE_CHECKING:
    from config import Settings


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Survey what `args` names; returns the exit code."""
    asked = sources(args.source, args.sources_file)
    raise SettingsError(f"--game: not yet for {len(asked)} sources and {settings.model_path}")
