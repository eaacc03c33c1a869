"""A generator that runs ahead of its consumer in another thread.

Decoding, the network and encoding release Python's lock for most of their time, so that such threads run in parallel.
"""

from collections.abc import Generator
from contextlib import closing
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_POLL = 0.1  # seconds after which a waiting thread checks whether its consumer has stopped


def prefetch(items: Generator[T, Any, None], depth: int = 2) -> Generator[T, None, None]:
    """Yield the items of a generator that runs in another thread, up to `depth` items ahead.

    An exception of `items` is raised here after the items before it. When this generator is closed, `items` is closed,
    too, in its thread.

    >>> list(prefetch(number * number for number in range(4)))
    [0, 1, 4, 9]
    """
    producer = _Producer(items, depth)
    producer.thread.start()
    try:
        while True:
            item, end = producer.queue.get()
            if end is not None:
                break
            yield item
    finally:
        producer.stopped.set()
        producer.thread.join()
    if not isinstance(end, StopIteration):
        raise end


class _Producer(Generic[T]):
    """The other thread: puts (item, None), and last (None, the exception that ended the items)."""

    def __init__(self, items: Generator[T, Any, None], depth: int) -> None:
        self.items = items
        self.queue: Queue[tuple[Any, BaseException | None]] = Queue(depth)
        self.stopped = Event()
        self.thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        end: BaseException = StopIteration()
        try:
            with closing(self.items):
                for item in self.items:
                    self._put(item, None)
                    if self.stopped.is_set():
                        return
        except BaseException as error:
            end = error
        self._put(None, end)

    def _put(self, item: T | None, end: BaseException | None) -> None:
        while not self.stopped.is_set():
            try:
                self.queue.put((item, end), timeout=_POLL)
            except Full:
                continue
            return
