"""Benchmark runner, python -m benchmarks [name ...]: run the benchmarks of these names, or all of them."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

import benchmarks


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks in turn; stop at the first exit code that is not 0, and return it."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_")]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=benchmarks.__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(names)}")
    wanted = parser.parse_args(argv).names or names
    if unknown := set(wanted) - set(names):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for name in wanted:
        if code := importlib.import_module(f"benchmarks.{name}").main([]):
            return int(code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
