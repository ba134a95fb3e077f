"""Filters: which frames are kept."""
