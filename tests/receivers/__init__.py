"""Real receivers of alerts on loopback: an HTTP server that speaks as chats do, also by TLS, and an MQTT broker."""
