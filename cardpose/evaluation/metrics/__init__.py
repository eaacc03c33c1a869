"""TODO map of cardpose.evaluation.metrics."""
