"""Evaluation: metrics of a model on labelled frames or on a folder of images. Imports neither TensorFlow nor Keras."""
