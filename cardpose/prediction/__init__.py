"""TODO map of cardpose.prediction."""
