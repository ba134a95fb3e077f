"""Uploads: pictures and clips, decoded in a worker process."""
