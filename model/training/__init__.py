"""Training: trainer, validation and experiments."""
