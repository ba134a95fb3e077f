"""Capture: a login, an address or a file becomes frames."""
