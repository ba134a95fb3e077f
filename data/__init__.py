"""Collecting: games and streams from Helix, frames from Streamlink, a folder and a catalogue of them."""
