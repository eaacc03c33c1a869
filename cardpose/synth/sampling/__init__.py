"""Random content of a clip, drawn from (seed, clip, frame); the map is in cardpose.synth."""
