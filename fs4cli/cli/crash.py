"""What becomes of an error that nobody foresaw: a file with the traceback, and one line on the screen."""

import errno
import os
import platform
import secrets
import sys
import tempfile
import traceback
from datetime import datetime
from pathlib import Path

from fs4cli.errors import Fs4Error, ProjectError, ResourceError

_DISK = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOENT}
_PACKAGES = ("fs4cli", "torch", "timm", "faiss-cpu", "numpy", "pillow", "typer", "pydantic")


class Crash(Fs4Error):
    """A bug: the traceback lies in a file."""

    kind = "bug"


def explain(error: Exception, folder: Path | None) -> Fs4Error:
    """What to tell the user about an error that is no `Fs4Error`.

    Args:
        error: What was raised.
        folder: Where crash files go, in the project; None for the system's folder for temporary files.
    """
    is_torchs = type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
    if isinstance(error, MemoryError) or is_torchs:
        return ResourceError(
            "out of memory",
            details=tuple(str(error).splitlines()[:1]),
            hints=("use smaller batches, for example `--set train.batch_size=8`, or a smaller `--set preset=small`",),
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            "no space left on the disk", hints=("free some space; the same command goes on where it stopped",)
        )
    if isinstance(error, OSError) and error.errno in _DISK and error.filename:
        place = Path(os.fsdecode(error.filename))
        if isinstance(error, FileNotFoundError) and folder is not None and folder.parent in place.parents:
            return ProjectError(f"`{place}` is missing", hints=("`fs4 verify` says what else is, and what mends it",))
        if not isinstance(error, FileNotFoundError):
            return ResourceError(
                f"cannot use `{place}`: {os.strerror(error.errno or 0).lower()}",
                hints=("look at its disk and its permissions; the same command goes on where it stopped",),
            )
    path = write_crash(error, folder)
    text = str(error).splitlines()[0][:200] if str(error) else ""
    message = f"a bug in fs4: {type(error).__name__}: {text}" if text else f"a bug in fs4: {type(error).__name__}"
    hint = f"please report it with `{path}`" if path else "please report it; no crash file could be written"
    return Crash(message, hints=(hint,))


def write_crash(error: BaseException, folder: Path | None) -> Path | None:
    """Write a crash file: versions, the command and the traceback; neither the environment nor any values.

    Returns:
        Its path, or None if it can be written neither to `folder` nor to the system's temporary folder.
    """
    home = str(Path.home())
    trace = "".join(traceback.format_exception(error))
    words = [
        f"time: {datetime.now().astimezone().isoformat(timespec='seconds')}",
        f"command: fs4 {' '.join(sys.argv[1:])}",
    ]
    words += [f"python: {platform.python_version()} on {platform.platform()}"]
    words += [f"{name}: {_version(name)}" for name in _PACKAGES]
    text = "\n".join([*words, "", trace])
    if len(home) > 1:
        text = text.replace(home, "~")
    name = f"crash-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}.txt"
    for place in (folder, Path(tempfile.gettempdir())):
        if place is None:
            continue
        try:
            place.mkdir(parents=True, exist_ok=True)
            handle = os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            return place / name
        except OSError:
            continue
    return None


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and seldom needed

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
