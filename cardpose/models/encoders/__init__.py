"""TODO map of cardpose.models.encoders."""
