"""A Twitch on loopback: Helix, tokens, GQL, usher and HLS, played from recorded clips."""
