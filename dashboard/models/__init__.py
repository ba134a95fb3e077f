"""Models: what is loaded, its metrics and worst frames, and models compared."""
