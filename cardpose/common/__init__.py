"""TODO map of cardpose.common."""
