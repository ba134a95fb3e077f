"""Data augmentation in NumPy and OpenCV: altered training images, and synthetic negatives."""
