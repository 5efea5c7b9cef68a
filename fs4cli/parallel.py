"""Map over many items in threads: in order, lazily, with a bounded number under way."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fs4cli.machine import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    prepare: Callable[[], object] | None = None,
) -> Iterator[Result]:
    """`function` of each item, in the items' order, computed by threads a few items ahead.

    Decoding, counting and arithmetic on arrays let go of Python's lock, so threads suffice. `items` is drawn in the
    caller's thread, only as far ahead as needed: memory is bounded by `workers`. Closing the iterator stops the work.

    Args:
        function: Called in a thread; what it raises is raised here.
        items: May be lazy itself.
        workers: Threads, at least 1.
        prepare: Called once in each thread, before anything else.
    """
    pending = deque()
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="fs4-map", initializer=prepare)
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
    return max(1, wanted) if isinstance(wanted, int) else min(8, usable_cores())
