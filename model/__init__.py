"""Model: train a classifier on a folder of frames, evaluate it, export it and run it."""
