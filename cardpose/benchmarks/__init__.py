"""Benchmarks of `cardpose.bench`: a module for each kind, a function for each benchmark, which yields `Timing`s.

Adding a benchmark: write `bench_<name>(cfg) -> Iterator[Timing]` here and name it in `suite.BENCHES`.
"""
