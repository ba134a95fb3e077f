"""Image datasets: splits, sampling, caching and batches."""
