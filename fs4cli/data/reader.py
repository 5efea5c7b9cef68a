"""One process that reads images, watched: a file that hangs or kills its reader is one bad file, not the end.

A path goes in, a `Reading` comes out. The process is plain Python with Pillow, no torch, with bounded memory; whoever
takes longer than the time limit is killed and replaced. What comes back is data only, never pickles.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fs4cli
from fs4cli.data.images import MAX_PIXELS, LoadedImage
from fs4cli.data.reader_process import LENGTHS
from fs4cli.errors import ResourceError
from fs4cli.scaling import Scaling

_START_SECONDS = 120.0
_START_HINTS = ("check the free memory and the limits of processes (`ulimit -u`, `ulimit -v`)",)


@dataclass(frozen=True)
class Reading:
    """What came of one file: a picture, or the reason why not.

    Args:
        image: The picture; None if there is none, or if it was not asked for.
        size: (height, width) of the picture, upright unless only the size was asked for; None if there is none.
        reason: Why there is none; what comes before a colon is the kind.
        is_image: False if the content is no image at all.
        is_lasting: False if another try may end otherwise.
        sha256: Of the file's bytes; empty if they were not read to the end.
        perceptual_hash: 64 bits in hex; empty if flat or not asked for.
    """

    image: LoadedImage | None
    size: tuple[int, int] | None = None
    reason: str = ""
    is_image: bool = True
    is_lasting: bool = True
    sha256: str = ""
    perceptual_hash: str = ""


class Reader:
    """One reading process, started at the first file and again after each death. Not for two threads at once.

    Args:
        max_pixels: Larger pictures are refused from their header.
        seconds: Time limit of one file.
        short_side: Shrink pictures to it; None leaves them whole and skips the perceptual hash.
        scaling: Of deep grey to 8 bits; each picture's own if left out.
    """

    def __init__(self, *, max_pixels: int = MAX_PIXELS, seconds: float, short_side: int | None, scaling: Scaling = ""):
        self._request: dict[str, Any] = {
            "max_pixels": max_pixels,
            "seconds": seconds,
            "short_side": short_side,
            "scaling": scaling,
        }
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._deadline: float | None = None
        self._is_late = False
        self._is_closed = False

    def read(self, path: Path, *, known: str = "", only_size: bool = False) -> Reading:
        """Read one file. A reader that dies of it tries once more: it may have been the wrong one to be killed.

        Args:
            path: Of the file.
            known: If its bytes have this sha256, its pixels are not needed.
            only_size: Its header is enough.
        """
        request = {**self._request, "path": os.fspath(path), "known": known, "only_size": only_size}
        for attempt in (1, 2):
            try:
                return self._ask(request)
            except (EOFError, OSError):
                death = self.bury()
                if self._is_late:
                    return Reading(None, reason=f"took too long: more than {self._seconds:g} s", is_lasting=False)
                if self._is_closed or attempt == 2:
                    return Reading(None, reason=f"ended the process that read it: {death}", is_lasting=False)
        raise AssertionError("unreachable")

    def end_if_late(self) -> None:
        """Kill the process if its file is over the time limit."""
        with self._lock:
            if self._deadline is not None and time.monotonic() > self._deadline and self._process is not None:
                self._is_late = True
                self._deadline = None
                self._process.kill()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.kill()

    def bury(self) -> str:
        """Clear away the process, and say in a few words how it ended."""
        process, self._process = self._process, None
        if process is None:
            return "it was closed"
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                pipe.close()  # type: ignore[union-attr]
            except OSError:  # a request that was not flushed
                pass
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name
        return f"{name}, perhaps out of memory" if name == "SIGKILL" else name

    def _ask(self, request: dict[str, Any]) -> Reading:
        self._is_late = False
        process = self._process or self._start()
        assert process.stdin is not None
        with self._lock:
            self._deadline = time.monotonic() + self._seconds
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            text_bytes, pixel_bytes = LENGTHS.unpack(self._receive(LENGTHS.size))
            if text_bytes > 1 << 20 or pixel_bytes > 3 * self._request["max_pixels"]:
                raise EOFError  # no answer of ours: a hostile file has taken the process over
            facts = json.loads(self._receive(text_bytes))
            pixels = self._receive(pixel_bytes)
        finally:
            with self._lock:
                self._deadline = None
        return _unpack(facts, pixels)

    def _receive(self, count: int) -> bytearray:
        assert self._process is not None and self._process.stdout is not None
        data = bytearray(count)
        view, filled = memoryview(data), 0
        while filled < count:
            got = self._process.stdout.readinto(view[filled:])  # type: ignore[attr-defined]
            if not got:
                raise EOFError
            filled += got
        return data

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        places = [str(Path(fs4cli.__file__).parent.parent), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(place for place in places if place)
        with self._lock:
            if self._is_closed:
                raise EOFError
            wants_hash = "hash" if self._request["short_side"] else "none"
            arguments = [str(self._request["max_pixels"]), wants_hash]
            try:
                self._process = process = subprocess.Popen(
                    # -P: a `numpy.py` beside the user's images must not be imported
                    [sys.executable, "-P", "-m", "fs4cli.data.reader_process", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    start_new_session=True,  # a signal to our process group is ours to answer
                )
            except OSError as error:
                raise ResourceError(
                    f"a process for reading images did not start: {error}", hints=_START_HINTS
                ) from error
            self._deadline = time.monotonic() + _START_SECONDS
        try:
            self._receive(1)
        except EOFError:
            if self._is_closed:
                raise
            raise ResourceError("a process for reading images did not start", hints=_START_HINTS) from None
        finally:
            with self._lock:
                self._deadline = None
        return process


def _unpack(facts: dict[str, Any], pixels: bytearray) -> Reading:
    if facts["reason"]:
        return Reading(
            None,
            reason=facts["reason"],
            is_image=facts["is_image"],
            is_lasting=facts["is_lasting"],
            sha256=facts["sha256"],
        )
    size = (facts["size"][0], facts["size"][1]) if "size" in facts else None
    if "shape" not in facts:
        return Reading(None, size=size, sha256=facts["sha256"])
    image = LoadedImage(
        pixels=np.frombuffer(pixels, np.uint8).reshape(facts["shape"]),
        size=size or (0, 0),
        format=facts["format"],
        mode=facts["mode"],
        conversions=tuple(facts["conversions"]),
        is_grey=facts["is_grey"],
        own_scaling=facts["own_scaling"],
        scaling=facts["scaling"],
    )
    return Reading(image, size=size, sha256=facts["sha256"], perceptual_hash=facts["perceptual_hash"])
