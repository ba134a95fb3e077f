"""Tests of the dashboard: its API through the test client, its pages in a real browser."""
