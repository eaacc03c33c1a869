"""TODO map of cardpose.sweeps.report."""
