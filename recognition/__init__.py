"""Judging: frames of a live stream become a prediction each, and one verdict."""
