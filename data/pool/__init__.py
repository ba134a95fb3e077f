"""Pools: where tasks run, in threads of this process or on the nodes of a Ray cluster."""
