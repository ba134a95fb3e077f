"""Console command `twitchcategory`: its sub-commands are the commands of `data`, `model` and `recognition`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

__version__ = "0.1.0"  # the only place: pyproject.toml reads it here
_SHELLS = ("bash", "zsh", "fish")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sub-command that the first word names; return its exit code."""
    from data.commands import COMMANDS

    words = list(sys.argv[1:] if argv is None else argv)
    if "_ARGCOMPLETE" in os.environ:
        words = _words_to_complete()
        if words and words[0] in COMMANDS:
            os.environ["_ARGCOMPLETE"] = "2"  # argcomplete then takes the second word for the program
    if words and words[0] in COMMANDS:
        module, _ = COMMANDS[words[0]]
        return int(importlib.import_module(module).main(words[1:]))
    return _complete_or_help(words)


def run() -> NoReturn:
    """Run the command and end the process: the console script."""
    # The folder of `python -m` and those of PYTHONPATH may hold a user's own data.py or config.py.
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from data.cli import end_process

    try:
        code = main()
    except SystemExit as error:  # of --help and of invalid words, printed by argparse
        code = int(error.code or 0)
    end_process(code)


def _words_to_complete() -> list[str]:
    """Return the complete words after the program, of the command line at which the user pressed Tab."""
    from argcomplete.lexers import split_line

    return split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))[3][1:]


def _complete_or_help(words: Sequence[str]) -> int:
    """Print help, the version or the code for a shell, as the words ask for; exit with 2 for invalid words."""
    from data.cli import CommandParser, print_text
    from data.commands import COMMANDS, PROGRAM

    parser = CommandParser(
        prog=PROGRAM,
        description="Recognise which games live streams show, collect datasets of them, and train models on these.",
        epilog=f"{PROGRAM} COMMAND --help describes a command.",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (_, purpose) in COMMANDS.items():
        commands.add_parser(name, help=purpose, add_help=False)
    completion = commands.add_parser("completion", help="print the code that completes commands in a shell")
    completion.add_argument("shell", choices=_SHELLS)
    shell = parser.parse_args(words).shell
    from argcomplete.shell_integration import shellcode

    return print_text(f"{shellcode([PROGRAM], shell=shell)}\n")


if __name__ == "__main__":
    run()
