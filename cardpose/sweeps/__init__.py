"""TODO map of cardpose.sweeps."""
