"""Settings room: how values of settings are read, checked and explained. The settings themselves are in config.py."""
