"""Tests: they mirror the packages, and run on real servers."""
