"""TODO map of cardpose.benchmarks."""
