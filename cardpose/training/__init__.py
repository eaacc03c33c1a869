"""TODO map of cardpose.training."""
