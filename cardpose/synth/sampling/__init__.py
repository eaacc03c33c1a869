"""What a clip contains: everything random, drawn from (seed, clip, frame); the map is in cardpose.synth."""
