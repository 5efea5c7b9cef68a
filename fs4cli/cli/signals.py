"""Signals to a running stage: the first asks it to save and stop, the second ends the process at once.

A Python handler runs only between two steps of the interpreter, so a thread reads the signals instead: a second
Ctrl-C works in the middle of a long computation too.
"""

import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType

_SAME = 0.4  # seconds: `timeout`, terminals and wrappers may deliver one request twice
_STOPS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM") if name in signal.Signals.__members__)
_SAVE = getattr(signal, "SIGUSR1", None)


class SignalWatch:
    """Collects SIGINT, SIGTERM and SIGUSR1 while a stage runs; a context manager, in the main thread only.

    Handlers are installed even where the shell started the process with SIGINT ignored (`fs4 train &`). Processes that
    the stage forks ignore SIGINT and die of SIGTERM: their parent tells them when to stop.
    """

    def __init__(self) -> None:
        self._stop: int | None = None
        self._stopped_at = 0.0
        self._save = threading.Event()
        self._before: dict[int, object] = {}
        self._ends: tuple[int, int] | None = None
        self._old_wakeup = -1

    def stop_requested(self) -> int | None:
        """The number of the first signal that asked to stop, or None."""
        return self._stop

    def save_requested(self) -> bool:
        """True once after a SIGUSR1."""
        if not self._save.is_set():
            return False  # not cleared: a signal that comes just now is for the next one who asks
        self._save.clear()
        return True

    def __enter__(self) -> "SignalWatch":
        if threading.current_thread() is not threading.main_thread():
            return self  # called as a library: the host program keeps its signals
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        self._ends = (read_end, write_end)
        self._old_wakeup = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (*_STOPS, *((_SAVE,) if _SAVE else ())):
            self._before[number] = signal.signal(number, _wake)
        threading.Thread(target=self._read, args=(read_end,), name="fs4-signals", daemon=True).start()
        _watches.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ends is None:
            return
        _watches.remove(self)
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._before.items():
            # None: installed by C code, which cannot be put back from here
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # pyright: ignore[reportArgumentType]
        os.close(self._ends[1])
        self._ends = None

    def _read(self, read_end: int) -> None:
        while data := os.read(read_end, 64):
            for number in data:
                self._note(number)
        os.close(read_end)

    def _note(self, number: int) -> None:
        if _SAVE is not None and number == _SAVE:
            self._save.set()
        elif number in _STOPS:
            if self._stop is None:
                self._stop, self._stopped_at = number, time.monotonic()
            elif time.monotonic() - self._stopped_at > _SAME:
                if sys.stderr.isatty():
                    os.write(sys.stderr.fileno(), b"\x1b[?25h\n")  # the bar has hidden the cursor
                os._exit(128 + number)


_watches: list[SignalWatch] = []


def _wake(number: int, frame: FrameType | None) -> None:
    """Nothing: the byte in the pipe is what counts; but a handler must be there, or the signal would kill."""


def _release_in_child() -> None:
    """A forked process must not write into its parent's pipe; a Ctrl-C reaches the whole group."""
    if not _watches:
        return
    _watches.clear()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if _SAVE is not None:
        signal.signal(_SAVE, signal.SIG_IGN)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release_in_child)
