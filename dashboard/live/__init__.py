"""Live: the watch of many channels, its tiles and its event log."""
