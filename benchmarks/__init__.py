"""Benchmarks: one module for each claimed number. `make bench` runs all, `make bench ONLY=name` one."""
