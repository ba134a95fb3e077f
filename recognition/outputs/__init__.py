"""Outputs: consumers of events, such as the console, files, a webhook and Prometheus."""
