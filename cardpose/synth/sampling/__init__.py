"""TODO map of cardpose.synth.sampling."""
