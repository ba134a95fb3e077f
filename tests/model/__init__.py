"""Training and its files, on real Keras and ONNX Runtime, with small pictures."""
