"""Stages in threads: the same items in the same order, errors in their place, nothing left running."""

import threading
import time
from collections.abc import Generator

import pytest

from cardpose.common.prefetch import prefetch


def numbers(stop: int, closed: list[bool] | None = None) -> Generator[int, None, None]:
    try:
        yield from range(stop)
    finally:
        if closed is not None:
            closed.append(True)


def test_stages_in_a_row_keep_the_order() -> None:
    doubled = prefetch(2 * number for number in prefetch(numbers(100), depth=1))
    assert list(doubled) == [2 * number for number in range(100)]


def test_an_error_comes_after_the_items_before_it() -> None:
    def broken() -> Generator[int, None, None]:
        yield from range(3)
        raise ValueError("here")

    items = prefetch(broken())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="here"):
        next(items)


def test_closing_ends_every_thread() -> None:
    before, closed = threading.active_count(), []
    stages = prefetch(number for number in prefetch(numbers(10**9, closed)))
    assert next(stages) == 0
    stages.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_no_more_than_wanted_is_made_ahead() -> None:
    made = []

    def counted() -> Generator[int, None, None]:
        for number in range(100):
            made.append(number)
            yield number

    stage = prefetch(counted(), depth=2)
    next(stage)
    time.sleep(0.3)
    assert len(made) <= 5
    stage.close()
