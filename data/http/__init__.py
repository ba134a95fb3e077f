"""HTTP: the only way to the network."""
