"""Data augmentation in NumPy and OpenCV: altered training images, and synthetic images without a game."""
