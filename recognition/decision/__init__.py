"""Decisions from the model's outputs: verdict, change detection and early stopping. NumPy only."""
