"""Video: decoding, images, and the choice of frames."""
