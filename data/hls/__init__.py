"""HLS: playlists, segments, and live streams that change while they are read."""
