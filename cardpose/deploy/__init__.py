"""TODO map of cardpose.deploy."""
