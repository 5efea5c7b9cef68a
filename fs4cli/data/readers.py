"""Several reading processes at once: paths go in, `Reading`s come out in the same order.

The processes start at the first file and end with the pool. A thread each hands them their files, one more watches
the time limit.
"""

import atexit
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from pathlib import Path
from typing import Any

from fs4cli.data.images import MAX_PIXELS, LoadedImage
from fs4cli.data.reader import Reader, Reading
from fs4cli.data.refusals import UnreadableImage
from fs4cli.scaling import Scaling

_TICK = 0.1


class ReaderPool:
    """Several readers at once; a context manager.

    Args:
        workers: Processes, at least 1.
        max_pixels, seconds, short_side, scaling: As in `Reader`.
        should_stop: Asked ten times a second; once it is true, nothing more is read.
    """

    def __init__(
        self,
        workers: int,
        *,
        max_pixels: int = MAX_PIXELS,
        seconds: float,
        short_side: int | None,
        scaling: Scaling = "",
        should_stop: Callable[[], bool] = lambda: False,
    ):
        self.short_side = short_side
        self._should_stop = should_stop
        self._readers = [
            Reader(max_pixels=max_pixels, seconds=seconds, short_side=short_side, scaling=scaling)
            for _ in range(max(1, workers))
        ]
        self._idle: queue.SimpleQueue[Reader] = queue.SimpleQueue()
        for reader in self._readers:
            self._idle.put(reader)
        self._threads = ThreadPoolExecutor(len(self._readers), thread_name_prefix="reader")
        self._is_closed = threading.Event()

    def __enter__(self) -> "ReaderPool":
        threading.Thread(target=self._watch, daemon=True, name="reader-watch").start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._is_closed.set()
        for reader in self._readers:
            reader.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for reader in self._readers:
            reader.bury()

    def read_all(
        self,
        paths: Iterable[Path],
        *,
        known: Mapping[Path, str] | None = None,
        only_size: bool = False,
        ahead: int = 4,
    ) -> Iterator[Reading]:
        """Read files, a few ahead of the caller; in the order given, fewer if it should stop.

        Args:
            paths: The files.
            known: The sha256 that a file had before, if its pixels are not needed again.
            only_size: Read the headers only.
            ahead: Files for each reader that may be read or wait to be taken.
        """
        window: deque[Future[Reading]] = deque()
        rest = iter(paths)
        while True:
            while len(window) < ahead * len(self._readers) and (path := next(rest, None)) is not None:
                window.append(self._threads.submit(self._read, path, (known or {}).get(path, ""), only_size))
            if not window:
                return
            while True:
                if self._should_stop():
                    return
                try:
                    reading = window[0].result(timeout=_TICK)
                    break
                except TimeoutError:
                    continue
            window.popleft()
            yield reading

    def _read(self, path: Path, known: str, only_size: bool) -> Reading:
        reader = self._idle.get()
        try:
            return reader.read(path, known=known, only_size=only_size)
        finally:
            self._idle.put(reader)

    def _watch(self) -> None:
        while not self._is_closed.wait(_TICK):
            for reader in self._readers:
                reader.end_if_late()


def read_guarded(
    path: Path, *, max_pixels: int, seconds: float, short_side: int | None, scaling: Scaling = ""
) -> LoadedImage:
    """Read one image in a process of its own, which is kept for the next one.

    Raises:
        UnreadableImage: There is no usable picture in it, or not in that time.
    """
    key = (os.getpid(), threading.get_ident(), max_pixels, seconds, short_side, scaling)  # a fork has pipes of its own
    pool = _kept.get(key)
    if pool is None:
        options: dict[str, Any] = {"max_pixels": max_pixels, "seconds": seconds, "short_side": short_side}
        pool = _kept[key] = ReaderPool(1, **options, scaling=scaling).__enter__()
    reading = next(pool.read_all([path]))
    if reading.image is None:
        raise UnreadableImage(reading.reason, is_image=reading.is_image, is_lasting=reading.is_lasting)
    return reading.image


_kept: dict[tuple[Any, ...], ReaderPool] = {}


@atexit.register
def _close_kept() -> None:
    for key, pool in _kept.items():
        if key[0] == os.getpid():
            pool.__exit__()
