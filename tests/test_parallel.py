"""A map in order, lazy and bounded."""

import threading
import time

import pytest

from fs4cli.parallel import count_workers, map_in_order


def test_results_keep_the_order_of_the_items():
    def late_for_early_items(item: int) -> int:
        time.sleep(0.01 * (5 - item))
        return item * item

    assert list(map_in_order(late_for_early_items, range(5), workers=3)) == [0, 1, 4, 9, 16]


def test_items_are_drawn_only_a_few_ahead_and_in_the_callers_thread():
    drawn = []

    def items():
        for item in range(1000):
            drawn.append((item, threading.current_thread()))
            yield item

    results = map_in_order(lambda item: item, items(), workers=2)
    assert next(results) == 0
    assert len(drawn) <= 5
    assert {thread for _, thread in drawn} == {threading.current_thread()}
    results.close()


def test_each_thread_is_prepared_before_its_first_item():
    local = threading.local()

    def prepare() -> None:
        local.is_ready = True

    assert all(map_in_order(lambda _: local.is_ready, range(20), workers=3, prepare=prepare))


def test_an_error_reaches_the_caller():
    def fail(item: int) -> int:
        raise ValueError(item)

    with pytest.raises(ValueError, match="0"):
        list(map_in_order(fail, range(3), workers=2))


def test_there_is_always_a_worker():
    assert count_workers(0) == 1
    assert count_workers(3) == 3
    assert count_workers("auto") >= 1
