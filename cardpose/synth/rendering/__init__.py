"""TODO map of cardpose.synth.rendering."""
