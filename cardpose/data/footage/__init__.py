"""TODO map of cardpose.data.footage."""
