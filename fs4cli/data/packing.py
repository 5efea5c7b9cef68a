"""Everything that is made of one image, written to its files; the mask last, so that a mask says the rest is there."""

import zipfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Integer, UInt8
from PIL import Image

from fs4cli.data.masks import draw_overlay, encode_mask
from fs4cli.data.own_files import MADE_BY, PROBABILITIES, mark_png
from fs4cli.files import write_atomic, write_bytes

_LONGEST_JPEG = 65_500  # pixels of a side


def write_outputs(
    paths: Mapping[str, Path],
    mask: Integer[np.ndarray, "H W"],
    confidence: UInt8[np.ndarray, "H W"],
    palette: UInt8[np.ndarray, "k 3"],
    *,
    pixels: UInt8[np.ndarray, "H W 3"] | None = None,
    probabilities: Iterable[Float32[np.ndarray, "H W"]] = (),
) -> None:
    """Write what `paths` names, each file whole or not at all.

    Args:
        paths: Of `overlay`, `confidence`, `probabilities` and `mask`.
        mask: Class ids.
        confidence: How sure each pixel is, in steps of 1/255.
        palette: Red, green and blue of each class.
        pixels: The image; only the overlay needs it.
        probabilities: One class after the other; only taken if they are to be written.

    Raises:
        ResourceError: The disk is full or may not be written.
        OSError: The file system does not take such a name.
    """
    for what, path in paths.items():
        if what == "overlay" and pixels is not None:
            write_bytes(path, _encode_photo(draw_overlay(pixels, mask, palette)))
        elif what == "confidence":
            write_bytes(path, _encode(Image.fromarray(confidence), format="PNG", compress_level=4, pnginfo=mark_png()))
        elif what == "probabilities":
            write_probabilities(path, probabilities, (len(palette), *mask.shape))
    write_bytes(paths["mask"], encode_mask(mask, palette))


def write_probabilities(path: Path, planes: Iterable[Float32[np.ndarray, "H W"]], shape: tuple[int, int, int]) -> None:
    """Write an npz file with the array `probabilities` (float16, classes x height x width), one class after the other.

    Args:
        path: Of the file.
        planes: One a class; never held together.
        shape: (classes, height, width).
    """
    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    with write_atomic(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(PROBABILITIES, "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for plane in planes:
                member.write(np.ascontiguousarray(plane, "<f2").tobytes())


def _encode_photo(pixels: UInt8[np.ndarray, "H W 3"]) -> bytes:
    if max(pixels.shape) > _LONGEST_JPEG:  # the format holds no longer side; a PNG is recognized by its content
        return _encode(Image.fromarray(pixels), format="PNG", pnginfo=mark_png())
    return _encode(Image.fromarray(pixels), format="JPEG", quality=90, comment=MADE_BY)


def _encode(image: Image.Image, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()
