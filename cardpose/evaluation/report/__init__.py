"""TODO map of cardpose.evaluation.report."""
