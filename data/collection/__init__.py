"""Collection: the download loop, its worker threads, and its display."""
