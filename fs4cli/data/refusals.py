"""Why a file gives no picture: the error that says so, and the judgements behind it.

A reason is a few words for a report; what comes before its colon is the kind, by which reports count.
"""

import io
import stat

from PIL import Image, TiffImagePlugin

from fs4cli.data.formats import is_cut, recognize_content
from fs4cli.errors import InputError

SHORTEST_SIDE = 16
"""Smaller pictures are refused: half a cell of the coarsest feature map."""
LONGEST_SHAPE = 100
"""Pictures so many times longer than wide are refused."""


class UnreadableImage(InputError):
    """A file that gives no picture.

    Args:
        reason: Why, in a few words; what comes before a colon is the kind of reason.
        is_image: False if the content is no image at all (text, an archive), whatever its name says.
        is_lasting: False if the same file may be readable next time: a permission or a decoder was missing.
    """

    def __init__(self, reason: str, *, is_image: bool = True, is_lasting: bool = True):
        super().__init__(reason)
        self.reason = reason
        self.is_image = is_image
        self.is_lasting = is_lasting


def recognize_format(head: bytes) -> str:
    """The one Pillow format to try on a file that begins with `head`.

    Raises:
        UnreadableImage: There is none.
    """
    content = recognize_content(head)
    if content.reason:
        is_image = not content.reason.startswith(("0 bytes", "not an image", "not a raster image"))
        raise UnreadableImage(content.reason, is_image=is_image)
    return content.format


def check_size(height: int, width: int, max_pixels: int) -> None:
    """Judge a picture by its header, before any pixel is unpacked.

    Raises:
        UnreadableImage: It has more than `max_pixels`, or is too thin or too small to learn from.
    """
    if height * width > max_pixels:
        millions = height * width / 1e6
        raise UnreadableImage(
            f"too many pixels: {height} x {width} is {millions:,.0f} million, the limit {max_pixels / 1e6:,.0f} million"
        )
    if max(height, width) > LONGEST_SHAPE * min(height, width):
        raise UnreadableImage(f"too thin: {height} x {width}, at most {LONGEST_SHAPE} times as long as wide")
    if min(height, width) < SHORTEST_SIDE:
        raise UnreadableImage(f"too small: {height} x {width}, at least {SHORTEST_SIDE} a side")


def check_channels(picture: TiffImagePlugin.TiffImageFile) -> None:
    """Refuse multispectral pictures: Pillow would show the first three channels and drop the rest.

    Raises:
        UnreadableImage: It has more than four channels.
    """
    channels = picture.tag_v2.get(277, 1)
    if channels > 4:
        raise UnreadableImage(f"not a 1-, 3- or 4-channel picture: {channels} channels")


def refuse_special(mode: int) -> None:
    """Refuse what is no file, by its `st_mode`: opening a pipe may wait for ever.

    Raises:
        UnreadableImage: It is a pipe, a socket, a device or a folder.
    """
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    raise UnreadableImage(f"not a regular file: {kind}", is_lasting=False)


def explain_header(data: bytes, format: str) -> UnreadableImage:
    """Why Pillow did not take a file for the `format` that its first bytes promise."""
    if format == "TIFF":
        try:
            directory = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
            file = io.BytesIO(data)
            file.seek(directory.next)
            directory.load(file)
            channels = directory.get(277, 1)
        except Exception:
            return UnreadableImage("damaged: header")
        if channels not in (1, 3, 4):
            return UnreadableImage(f"not a 1-, 3- or 4-channel picture: {channels} channels")
        return UnreadableImage("unsupported TIFF: its kind of pixels has no decoder")
    if format not in Image.OPEN:
        return UnreadableImage(f"no decoder: this Pillow cannot read {format}", is_lasting=False)
    return UnreadableImage("truncated: within the header" if is_cut(data, format) else "damaged: header")


def explain_failure(error: Exception, data: bytes, format: str) -> UnreadableImage:
    """What Pillow's error on a file's pixels means."""
    text = str(error).strip().rstrip(".")
    if "too large" in text and "MAX_TEXT" in text:
        return UnreadableImage("text chunk too large: it unpacks to more than a megabyte")
    if "truncated" in text.lower() or is_cut(data, format):
        return UnreadableImage("truncated: the end of the file is missing")
    return UnreadableImage(f"damaged: {text or type(error).__name__}")
