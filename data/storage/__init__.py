"""Storage: the frames' files and their rows in PostgreSQL."""
