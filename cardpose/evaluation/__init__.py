"""TODO map of cardpose.evaluation."""
