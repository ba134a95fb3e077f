"""Inference: a trained model on ONNX Runtime, its classes and its calibration. Imports neither TensorFlow nor Keras."""
