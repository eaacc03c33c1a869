"""TODO map of cardpose.data.labels."""
