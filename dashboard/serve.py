"""COMMAND: serve the dashboard: web pages and an API for the dataset, live streams, jobs and the model."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from data import cli
from data.commands import require_extra

if TYPE_CHECKING:
    from config import Settings

_EPILOG = """\
Without --host only this machine reaches the pages. On any other address a token is needed: make one with --new-token,
or set DASHBOARD_TOKEN. The pages ask for it once; programs send it in the header "Authorization: Bearer TOKEN".

settings: DOWNLOAD_PATH MODEL_PATH DASHBOARD_TOKEN DASHBOARD_HOSTS DASHBOARD_SOURCES, and those of the other commands"""
_GRACE_S = 15.0  # for open responses, polls of streams and the database at the end
_PORT = cli.bounded_number(int, 0, 65535, "a port from 0 to 65535")


def main(argv: list[str] | None = None) -> int:
    """Parse the arguments, serve until a signal, and return the exit code."""
    parser = cli.make_parser("dashboard.serve", "Serve web pages and an API on this machine.", _EPILOG)
    parser.add_argument("--host", type=cli.word, default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=_PORT, default=8000, help="port, 0 for any free one (default: 8000)")
    parser.add_argument("--new-token", action="store_true", help="make a new token, print it, and end")
    args = parser.parse_args(argv)
    return cli.run_command(args, _new_token if args.new_token else _serve, grace_s=_GRACE_S)


def _new_token(_args: argparse.Namespace, settings: Settings) -> int:
    from dashboard.security.tokens import new_token
    from data.errors import SettingsError

    if settings.dashboard_token.get_secret_value():
        raise SettingsError("--new-token: DASHBOARD_TOKEN is set and takes precedence; remove it first")
    print(new_token(settings.download_path / "dashboard"))
    print("The former token and its sessions are void; a running server takes this one in seconds.", file=sys.stderr)
    return 0


def _serve(args: argparse.Namespace, settings: Settings) -> int:
    require_extra("serve", "The dashboard")
    from dashboard.server import serve

    return serve(settings, args.host, args.port)


if __name__ == "__main__":
    cli.end_process(main())
