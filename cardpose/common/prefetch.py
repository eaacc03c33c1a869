"""Stages of work that overlap: each runs in a thread of its own, a few items ahead of the next.

Decoding, the network and encoding all leave Python for most of their time, so that threads share the cores.
"""

from collections.abc import Generator
from contextlib import closing
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_PATIENCE = 0.1  # seconds after which a waiting stage looks whether it is still wanted


def ahead(items: Generator[T, Any, None], depth: int = 2) -> Generator[T, None, None]:
    """Yield the items, made in another thread, up to `depth` of them before they are asked for.

    What `items` raises is raised here, after the items before it. When this generator is closed, so is `items`, in
    its thread.

    >>> list(ahead(number * number for number in range(4)))
    [0, 1, 4, 9]
    """
    stage = _Stage(items, depth)
    stage.thread.start()
    try:
        while True:
            item, end = stage.ready.get()
            if end is not None:
                break
            yield item
    finally:
        stage.unwanted.set()
        stage.thread.join()
    if not isinstance(end, StopIteration):
        raise end


class _Stage(Generic[T]):
    """The other thread: hands over (item, None), and last (None, what ended the items)."""

    def __init__(self, items: Generator[T, Any, None], depth: int) -> None:
        self.items = items
        self.ready: Queue[tuple[Any, BaseException | None]] = Queue(depth)
        self.unwanted = Event()
        self.thread = Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        end: BaseException = StopIteration()
        try:
            with closing(self.items):
                for item in self.items:
                    self._hand_over(item, None)
                    if self.unwanted.is_set():
                        return
        except BaseException as error:
            end = error
        self._hand_over(None, end)

    def _hand_over(self, item: T | None, end: BaseException | None) -> None:
        while not self.unwanted.is_set():
            try:
                self.ready.put((item, end), timeout=_PATIENCE)
            except Full:
                continue
            return
