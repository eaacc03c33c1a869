"""A generator that runs ahead of its consumer in another thread.

Decoding, the network and encoding release Python's lock for most of their time, so that such threads run in parallel.
"""

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()


def prefetch(items: Generator[T, Any, None], depth: int = 2) -> Generator[T, None, None]:
    """Yield the items of a generator that runs in another thread, up to `depth` items ahead.

    An exception of `items` is raised here after the items before it. When this generator is closed, `items` is closed,
    too, in its thread.

    >>> list(prefetch(number * number for number in range(4)))
    [0, 1, 4, 9]
    """
    with ThreadPoolExecutor(1) as thread:
        ahead = deque(thread.submit(next, items, _END) for _ in range(depth))
        try:
            while (item := ahead.popleft().result()) is not _END:
                ahead.append(thread.submit(next, items, _END))
                yield item
        finally:
            for future in ahead:
                future.cancel()
            thread.submit(items.close).result()
