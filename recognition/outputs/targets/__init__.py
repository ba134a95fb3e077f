"""Targets: the receivers of alerts, such as a chat, a phone or a home automation."""
