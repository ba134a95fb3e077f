"""Twitch: the Helix API, preview images, and the Streamlink plugin."""
