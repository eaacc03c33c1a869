"""How a clip looks: pixels and labels from the records; the map is in cardpose.synth."""
