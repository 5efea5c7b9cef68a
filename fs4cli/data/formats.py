"""What a file is, told from its first bytes and never from its name.

In goes the beginning of a file; out comes the one Pillow format that may be tried on it, or why none is. Pillow is
never asked to guess: its rarer readers are the ones that break, and a file that is no picture need not be read at all.
"""

import re
from dataclasses import dataclass

HEAD_BYTES = 512
"""So many bytes of a file decide what it is."""

IMAGE_SUFFIXES = frozenset(
    ".apng .arw .avif .avifs .bmp .cr2 .cr3 .dib .dng .gif .heic .heif .hif .ico .j2c .j2k .jfif .jif .jp2 .jpc .jpe"
    " .jpeg .jpf .jpg .jpx .jxl .mpo .nef .orf .pbm .pgm .png .pnm .ppm .psd .raf .raw .rw2 .svg .svgz .tga .tif .tiff"
    " .webp".split()
)
"""Names that promise a picture: such a file is reported when it holds none, any other is passed over quietly."""


@dataclass(frozen=True)
class Content:
    """What the first bytes say.

    Args:
        format: The Pillow format to try, or empty if there is none for it.
        reason: Why there is none, as a reader of the report should see it; empty if there is one.
    """

    format: str = ""
    reason: str = ""


_MARKS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)

_REFUSED = (
    (b"version https://git-lfs", "not an image: a Git LFS pointer; fetch the file with `git lfs pull`"),
    (b"%PDF", "not a raster image: PDF"),
    (b"8BPS", "no decoder: Photoshop document"),
    (b"\xff\x0a", "no decoder: JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "no decoder: JPEG XL"),
    (b"PK\x03\x04", "not an image: a ZIP archive"),
    (b"\x1f\x8b", "not an image: gzip data"),
)

# two letters alone are no mark: text may begin with them
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_PPM_START = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+\d")

_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}


def recognize_content(head: bytes) -> Content:
    """Tell what a file is from its first `HEAD_BYTES` bytes (fewer if it is shorter)."""
    if not head:
        return Content(reason="0 bytes")
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Content(name)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Content("WEBP")
    if head[4:8] == b"ftyp":
        return _recognize_box(head)
    for mark, reason in _REFUSED:
        if head.startswith(mark):
            return Content(reason=reason)
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return Content("BMP")
    if _PPM_START.match(head):
        return Content("PPM")
    return Content(reason=_describe_text(head))


def is_cut(data: bytes, format: str) -> bool:
    """Whether a file that cannot be decoded lacks its end: it was cut off rather than damaged."""
    if format in ("JPEG", "MPO"):
        return b"\xff\xd9" not in data[-65536:]
    if format == "PNG":
        return b"IEND" not in data[-65536:]
    if format == "GIF":
        return b";" not in data[-64:]
    if format == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return False


def _recognize_box(head: bytes) -> Content:
    # the major brand decides, then the compatible ones: a phone's HEIC may call itself mif1
    end = min(max(int.from_bytes(head[:4], "big"), 16), len(head))
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))]
    if brands[0] in (b"avif", b"avis") or (brands[0] not in _HEIC_BRANDS - {b"mif1", b"msf1"} and b"avif" in brands):
        return Content("AVIF")
    if any(brand in _HEIC_BRANDS for brand in brands):
        return Content(reason="HEIC: no decoder; convert it to JPEG first")
    return Content(reason="not an image: a video or another MP4-like file")


def _describe_text(head: bytes) -> str:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "not a raster image: SVG"
    if start.startswith((b"<!doctype html", b"<html")):
        return "not an image: an HTML page"
    if b"\x00" not in head and sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head) == 0:
        return "not an image: text"
    return "not an image"
