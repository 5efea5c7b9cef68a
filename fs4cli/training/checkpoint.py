"""Checkpoints: saved whole, verified when loaded, the newest whole one wins.

In: a step and a state of tensors, numbers and text. Out: `step-0001200.pt` files and a `manifest.json` with the size
and sha256 of each. A file is written beside its place, flushed and renamed; the manifest is replaced after it; older
files go last. So a run killed at any moment leaves a folder to go on from.
"""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from fs4cli.errors import ProjectError
from fs4cli.files import explain_os_errors, hash_file, read_json, write_atomic, write_json

FORMAT = 1
"""Grows when an older fs4 could not read a checkpoint any more."""


class CheckpointFolder:
    """The checkpoints of one run.

    Nothing in a file depends on the time or the place: the same state gives the same bytes.

    Args:
        path: The folder; made when it is needed.
        keep: How many to keep, at least 1. Two, so that one damaged file costs minutes and not the run.
    """

    def __init__(self, path: Path, keep: int = 2):
        if keep < 1:
            raise ValueError(f"keep must be at least 1, not {keep}")
        self.path = Path(path)
        self.keep = keep

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Save `state` as the newest checkpoint, then delete what is older than the last `keep`.

        Args:
            step: Updates made so far.
            state: Dictionaries, lists, tensors, numbers and text; anything else could not be loaded safely.

        Raises:
            ValueError: `state` holds something else.
            ResourceError: The disk is full or the folder may not be written; the older checkpoints are intact.
        """
        # what is listed beyond this step was found damaged when this run began: it is not to come back
        older = [entry for entry in self._read_manifest() if entry["step"] < step]
        if not older and not self._manifest.exists():
            # from now on, files without a manifest are damage and not the first moments of a run
            self._write_manifest([])
        file = self.path / f"step-{step:07d}.pt"
        with write_atomic(file) as target:
            size, sha256 = _write(target, _rebuild({"format": FORMAT, "step": step, "state": state}))
        entry = {"file": file.name, "step": step, "sha256": sha256, "bytes": size}
        entries = [*older, entry][-self.keep :]
        self._write_manifest(entries)
        self._remove_strays(entries)

    def load_newest(
        self,
        map_location: torch.device | str = "cpu",
        *,
        warn: Callable[[str], None] | None = None,
    ) -> tuple[int, dict[str, Any]] | None:
        """The step and state of the newest checkpoint that is whole; None if none was ever saved.

        Args:
            map_location: Where the tensors go.
            warn: Told, in one line, of each file that is damaged and why.

        Raises:
            ProjectError: Checkpoints were saved, but none is whole, or a newer fs4 wrote them.
        """
        entries = self._read_manifest()
        damaged = []
        for entry in reversed(entries):
            state, reason = self._load(entry, map_location)
            if state is not None:
                self._remove_strays(entries)
                return entry["step"], state
            damaged.append(f"`{self.path / entry['file']}` {reason}")
            if warn is not None:
                warn(f"checkpoint {damaged[-1]}; looking for an older one")
        if not damaged and not self._manifest.exists():
            damaged = [f"`{file}` is not listed: `{self._manifest.name}` is missing" for file in self._files()]
        if damaged:
            raise ProjectError(
                f"no checkpoint in `{self.path}` is whole",
                details=tuple(damaged),
                hints=("restore the folder from a copy", "or start over with `--fresh`"),
            )
        return None

    def newest_step(self) -> int:
        """Updates made by the newest checkpoint that is whole; 0 if none was ever saved.

        Raises:
            ProjectError: As `load_newest`.
        """
        found = self.load_newest()
        return 0 if found is None else found[0]

    def _load(self, entry: dict[str, Any], map_location: torch.device | str) -> tuple[dict[str, Any] | None, str]:
        """The state, or None and what is wrong with the file."""
        file = self.path / entry["file"]
        try:
            size = file.stat().st_size
            if size != entry["bytes"]:
                return None, "is empty" if size == 0 else f"has {size} bytes instead of {entry['bytes']}"
            if hash_file(file) != entry["sha256"]:
                return None, "is not what was saved: its sha256 differs"
            saved = torch.load(file, map_location=map_location, weights_only=True)
        except FileNotFoundError:
            return None, "is missing"
        except Exception as error:  # the disk, the pickle, the zip: whatever it is, the file is of no use
            return None, f"cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        if not isinstance(saved, dict) or saved.get("step") != entry["step"] or "state" not in saved:
            return None, "is not a checkpoint of this step"
        return saved["state"], ""

    @property
    def _manifest(self) -> Path:
        return self.path / "manifest.json"

    def _read_manifest(self) -> list[dict[str, Any]]:
        """The entries, oldest first."""
        try:
            manifest = read_json(self._manifest)
        except FileNotFoundError:
            return []
        except ProjectError as error:
            raise ProjectError(
                error.message,
                details=("it holds the sha256 of each checkpoint; without it none can be trusted",),
                hints=("restore the folder from a copy", "or start over with `--fresh`"),
            ) from error
        if isinstance(manifest, dict) and isinstance(manifest.get("format"), int) and manifest["format"] > FORMAT:
            raise ProjectError(
                f"`{self._manifest}` is of format {manifest['format']}, and this fs4 reads up to {FORMAT}",
                hints=("update fs4", "or start over with `--fresh`"),
            )
        if not _is_manifest(manifest):
            raise ProjectError(
                f"`{self._manifest}` is damaged: it is no list of checkpoints",
                hints=("restore the folder from a copy", "or start over with `--fresh`"),
            )
        return sorted(manifest["checkpoints"], key=lambda entry: entry["step"])

    def _write_manifest(self, entries: list[dict[str, Any]]) -> None:
        write_json(self._manifest, {"format": FORMAT, "checkpoints": entries})

    def _files(self) -> list[Path]:
        return sorted(self.path.glob("step-*.pt"))

    def _remove_strays(self, entries: list[dict[str, Any]]) -> None:
        """Delete checkpoints that are not listed and what dead runs left half written; nothing else."""
        listed = {entry["file"] for entry in entries}
        strays = [file for file in self._files() if file.name not in listed]
        strays += [*self.path.glob(".step-*.pt.*.tmp"), *self.path.glob(".manifest.json.*.tmp")]
        with explain_os_errors(self.path):
            for stray in strays:
                stray.unlink(missing_ok=True)


def _is_manifest(value: Any) -> bool:
    kinds = {"file": str, "step": int, "sha256": str, "bytes": int}
    return (
        isinstance(value, dict)
        and isinstance(value.get("checkpoints"), list)
        and all(
            isinstance(entry, dict)
            and all(isinstance(entry.get(key), kind) for key, kind in kinds.items())
            and entry["file"] == f"step-{entry['step']:07d}.pt"  # and so never a path out of the folder
            for entry in value["checkpoints"]
        )
    )


def _rebuild(value: Any) -> Any:
    """The same value of plain parts that nothing shares: pickle would write shared parts in another way."""
    if isinstance(value, dict):
        return {_rebuild(key): _rebuild(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_rebuild(part) for part in value])
    if isinstance(value, str):
        return sys.intern(str(value))
    if value is None or isinstance(value, torch.Tensor | bool):
        return value
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else float(value)  # a numpy float is a float, but would not load
    raise ValueError(f"a checkpoint holds tensors, numbers and text, not {type(value).__name__}")


def _write(file: BinaryIO, value: Any) -> tuple[int, str]:
    """Write `value` with torch and return the bytes' count and sha256, taken on the way."""
    writer = _HashingWriter(file)
    try:
        torch.save(value, writer)  # pyright: ignore[reportArgumentType]
    except Exception:
        if writer.error is not None:  # torch reports a full disk as a RuntimeError of its own
            raise writer.error from None
        raise
    return writer.size, writer.digest.hexdigest()


class _HashingWriter:
    def __init__(self, file: BinaryIO):
        self.file = file
        self.digest = hashlib.sha256()
        self.size = 0
        self.error: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview) -> int:
        try:
            self.file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.digest.update(data)
        self.size += memoryview(data).nbytes
        return memoryview(data).nbytes

    def flush(self) -> None:
        self.file.flush()
