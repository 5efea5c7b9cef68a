"""The process that decodes images for `fs4cli.data.readers`: requests on stdin, answers on stdout, until stdin ends.

A request is one line of JSON. An answer is two lengths, a line of facts as JSON, and raw pixels: nothing in it is ever
executed by the process that asked, whatever a hostile image does to this one.
"""

import hashlib
import json
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from fs4cli.data.images import LoadedImage, decode_image, measure_image, read_file
from fs4cli.data.refusals import UnreadableImage

LENGTHS = struct.Struct("<IQ")
_FLAT = 2.0
_TRIAL = LoadedImage(np.eye(32, dtype=np.uint8)[..., None].repeat(3, 2) * 255, (32, 32), "", "RGB", (), is_grey=True)
"""A picture that is not flat."""


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Read one file: the facts about it, and the bytes of its pixels.

    Args:
        request: `path`, `max_pixels`, `short_side` (or None), `scaling`; `known`: a sha256 whose pixels are not
            needed; `only_size`: the header is enough.
    """
    facts: dict[str, Any] = {"sha256": "", "reason": ""}
    try:
        data = read_file(Path(request["path"]), max_pixels=request["max_pixels"])
        if request["only_size"]:
            return {**facts, "size": measure_image(data, max_pixels=request["max_pixels"])}, b""
        facts["sha256"] = hashlib.sha256(data).hexdigest()
        if facts["sha256"] == request["known"]:
            return facts, b""
        options = {name: request[name] for name in ("max_pixels", "short_side", "scaling")}
        image = decode_image(data, **options)
    except UnreadableImage as error:
        return {**facts, "reason": error.reason, "is_image": error.is_image, "is_lasting": error.is_lasting}, b""
    except MemoryError:
        return {**facts, "reason": "out of memory", "is_image": True, "is_lasting": False}, b""
    facts |= {
        "shape": list(image.pixels.shape),
        "size": list(image.size),
        "format": image.format,
        "mode": image.mode,
        "conversions": list(image.conversions),
        "is_grey": image.is_grey,
        "own_scaling": image.own_scaling,
        "scaling": image.scaling,
        "perceptual_hash": hash_appearance(image) if request["short_side"] else "",
    }
    return facts, image.pixels.tobytes()


def hash_appearance(image: LoadedImage) -> str:
    """The 64-bit perceptual hash (pHash) in hex; empty for a flat picture, which has no appearance to compare."""
    if np.std(image.pixels[::4, ::4]) < _FLAT:
        return ""
    import imagehash  # it brings half of scipy, and only who shrinks pictures wants hashes

    return str(imagehash.phash(Image.fromarray(image.pixels)))


def limit_process(max_pixels: int) -> None:
    """Bound what a hostile file can make this process take: address space, and no core dumps.

    A picture takes up to 14 bytes a pixel on its way to RGB (laid on white: twice four, four and three).
    """
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    used = 0
    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        pass
    wanted = used + 1024**3 + 14 * max_pixels
    for kind, value in ((resource.RLIMIT_AS, wanted), (resource.RLIMIT_CORE, 0)):
        try:
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
        except (OSError, ValueError):  # the platform does not know this limit
            pass


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there are no more requests."""
    answers.write(b"\x06")
    answers.flush()
    for line in requests:
        request = json.loads(line)
        if hasattr(signal, "alarm"):
            # should the process that asked be gone, nobody else would end a decoder that hangs
            signal.alarm(int(request["seconds"]) + 10)
        facts, pixels = answer(request)
        text = json.dumps(facts).encode()
        answers.write(LENGTHS.pack(len(text), len(pixels)))
        answers.write(text)
        answers.write(pixels)
        answers.flush()
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def main() -> None:
    """Serve the process that started this one."""
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks: it ends this one
    answers = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)  # a decoder that prints must not print into the answers
    Image.init()  # loading decoders, and the hash, must not count as time of the first file
    if sys.argv[2] == "hash":
        hash_appearance(_TRIAL)
    limit_process(int(sys.argv[1]))
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
