"""Tests of the collecting side: files and rows."""
