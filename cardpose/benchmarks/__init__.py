"""What `cardpose.bench` times: one module for each kind, one function for each benchmark, which yields `Timing`s.

Adding a benchmark: write `bench_<name>(cfg) -> Iterator[Timing]` here and name it in `suite.BENCHES`.
"""
