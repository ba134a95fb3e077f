"""Fuzzing: inputs that nobody would send on purpose, for every place where foreign bytes enter."""
