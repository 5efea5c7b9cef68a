"""Map over many items in threads: in order, lazily, with a bounded number under way."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """`function` of each item, in the items' order, computed by threads a few items ahead.

    Decoding and counting let go of Python's lock, so threads suffice. `items` is drawn in the caller's thread, only as
    far ahead as needed: memory is bounded by `workers`. Closing the iterator stops the work.

    Args:
        function: Called in a thread; what it raises is raised here.
        items: May be lazy itself.
        workers: Threads, at least 1.
    """
    pending = deque()
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="fs4-evaluate")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def count_workers(wanted: int | str) -> int:
    """Threads to use: as many as wanted; "auto" is one a core, at most 8; 0 is 1."""
    if isinstance(wanted, int):
        return max(1, wanted)
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
