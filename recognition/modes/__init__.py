"""Modes: the three ways in which the command runs, each a function `run(args, settings) -> exit code`."""
