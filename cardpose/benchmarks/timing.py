"""How many items a second something handles."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Items a second of one thing: median, lowest and highest of the repeats."""

    name: str
    unit: str
    median: float
    low: float
    high: float


def measure(name: str, unit: str, items: int, run: Callable[[], object], warmup: int, repeats: int) -> Timing:
    """Time `run`, which handles `items` of `unit`, `repeats` times after `warmup` untimed ones."""
    for _ in range(warmup):
        run()
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        rates.append(items / (time.perf_counter() - start))
    return Timing(name, unit, statistics.median(rates), min(rates), max(rates))
