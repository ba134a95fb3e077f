"""Dashboard: web pages and an API to curate the dataset, watch streams, run jobs and look at the model."""
