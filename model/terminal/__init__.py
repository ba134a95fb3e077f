"""What the commands of this package show on stderr: progress bars, and TensorFlow's messages only if they matter."""
