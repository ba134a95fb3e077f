"""Dataset: collect frames of live Twitch streams into a folder, index them in PostgreSQL, and repair the index."""
