"""Neural networks and their backbones, in Keras."""
