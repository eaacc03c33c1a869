"""Throughput: items a second, the median of repeats."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Timing:
    """Items a second of one benchmark: median, lowest and highest of the repeats."""

    name: str
    unit: str
    median: float
    low: float
    high: float


def measure(
    name: str, unit: str, items: float, run: Callable[[], object], warmup: int, repeats: int
) -> Timing:
    """Time `run`, which handles `items` of `unit`, `repeats` times after `warmup` untimed ones."""
    for _ in range(warmup):
        run()
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        rates.append(items / (time.perf_counter() - start))
    return Timing(name, unit, statistics.median(rates), min(rates), max(rates))


def timings_table(timings: list[Timing]) -> Table:
    """A row for each timing: median, range, and the ratio to the first one of its kind."""
    table = Table()
    for header in ("benchmark", "unit", "median", "lowest", "highest", "relative"):
        table.add_column(
            header, justify="left" if header in ("benchmark", "unit") else "right", overflow="fold"
        )
    first: dict[str, float] = {}
    for timing in timings:
        base = first.setdefault(timing.name.split(",")[0], timing.median)
        numbers = [f"{value:,.1f}" for value in (timing.median, timing.low, timing.high)]
        table.add_row(timing.name, timing.unit, *numbers, f"{timing.median / base:.2f}")
    return table


def loader_share(timings: list[Timing]) -> str:
    """Speed of the loader relative to the fastest training step; empty unless both were timed.

    >>> loader_share([Timing("loader, 1 worker", "images/s", 300, 0, 0), Timing("step, a", "images/s", 50, 0, 0)])
    'the loader is 6.0 times as fast as the fastest step'
    """
    rates = {kind: [t.median for t in timings if t.name.startswith(kind)] for kind in ("loader", "step")}
    if not all(rates.values()):
        return ""
    return f"the loader is {rates['loader'][0] / max(rates['step']):.1f} times as fast as the fastest step"
