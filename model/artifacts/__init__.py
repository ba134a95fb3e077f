"""Files of a trained model and their conversions."""
