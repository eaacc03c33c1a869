"""TODO map of cardpose.training.losses."""
