"""TODO map of cardpose.fusion."""
