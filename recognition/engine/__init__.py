"""The engine: one source frame by frame, and many sources in a few threads."""
