"""Data cleaning: which streams and frames of a dataset do not show the game of their folder. No TensorFlow."""
