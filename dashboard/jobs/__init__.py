"""Jobs: downloads, trainings, checks and surveys as processes that outlive the server."""
