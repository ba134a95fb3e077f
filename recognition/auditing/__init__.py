"""Audit of declared categories: which streams are looked at, how often, and how the answers are kept."""
