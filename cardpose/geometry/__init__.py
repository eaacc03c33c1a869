"""TODO map of cardpose.geometry."""
