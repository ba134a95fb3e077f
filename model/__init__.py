"""Learning: a folder of frames becomes a model, its classes, and honest numbers about both."""
