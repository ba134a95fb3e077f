"""Dataset: an index of all frames, its queries, and changes of many frames."""
