"""Pseudo-label maps: the cluster of every pixel of every training image at stride 4, memory-mapped.

In: one small map an image. Out: the pseudo-labels of any crop of a batch. One flat file, as images differ in size.
"""

import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8, UInt16
from torch import Tensor

from fs4cli.errors import ProjectError
from fs4cli.files import explain_os_errors, write_atomic


class LabelMapWriter:
    """Appends maps in the order of the images; nothing counts until `finish`, and little is held in memory.

    Args:
        folder: Where `labels.bin`, `confidence.bin` and `table.npy` go; what an unfinished run left there is removed.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._sizes: list[tuple[int, int]] = []
        with explain_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "table.npy").unlink(missing_ok=True)
            self._labels = (folder / "labels.bin").open("wb")
            self._confidence = (folder / "confidence.bin").open("wb")

    def add(self, labels: Int[np.ndarray, "h w"], confidence: Float[np.ndarray, "h w"]) -> None:
        """Add the next image's map; confidence in [0, 1] is kept in steps of 1/255."""
        self._sizes.append((labels.shape[0], labels.shape[1]))
        with explain_os_errors(self.folder):
            self._labels.write(labels.astype("<u2").tobytes())
            self._confidence.write(np.round(confidence * 255).astype(np.uint8).tobytes())

    def finish(self) -> "LabelMaps":
        """Bring the maps to the disk, then write the table, which says that all are there."""
        with explain_os_errors(self.folder):
            for file in (self._labels, self._confidence):
                file.flush()
                os.fsync(file.fileno())
                file.close()
        with write_atomic(self.folder / "table.npy") as file:
            np.save(file, np.array(self._sizes, np.int32).reshape(-1, 2), allow_pickle=False)
        return LabelMaps(self.folder)


class LabelMaps:
    """The finished maps of a folder.

    Args:
        folder: Where `LabelMapWriter` wrote.

    Raises:
        FileNotFoundError: They were never finished.
        ProjectError: A file is cut short.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            self.sizes: Int[np.ndarray, "n 2"] = np.load(folder / "table.npy", allow_pickle=False)
            self._labels = np.memmap(folder / "labels.bin", "<u2", mode="r")
            self._confidence = np.memmap(folder / "confidence.bin", np.uint8, mode="r")
            lengths = self.sizes[:, 0].astype(np.int64) * self.sizes[:, 1]
        except (ValueError, EOFError, IndexError, TypeError) as error:
            raise _refuse(folder, str(error)) from error
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        if not len(self._labels) == len(self._confidence) == self._starts[-1]:
            raise _refuse(folder, f"it has not {self._starts[-1]} pixels")

    def __deepcopy__(self, memo: dict) -> "LabelMaps":
        return self  # only read: who copies an objective need not copy the labels of all images into memory

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, position: int) -> UInt16[np.ndarray, "h w"]:
        return self._labels[self._span(position)].reshape(self.sizes[position])

    def confidence(self, position: int) -> UInt8[np.ndarray, "h w"]:
        """How sure each pixel's label is, in steps of 1/255."""
        return self._confidence[self._span(position)].reshape(self.sizes[position])

    def cut(
        self, indices: Int[Tensor, " b"], places: Float[Tensor, "b h w 2"]
    ) -> tuple[Int[Tensor, "b h w"], Float[Tensor, "b h w"]]:
        """The pseudo-labels at some places of some images, and their confidence in [0, 1].

        Args:
            indices: Which images.
            places: (x, y) in [0, 1] of the whole image.
        """
        sizes = torch.from_numpy(self.sizes[indices.cpu().numpy()].astype(np.int64))
        extent = torch.stack([sizes[:, 1], sizes[:, 0]], 1)[:, None, None]
        steps = (places.cpu() * extent).long()
        steps = torch.minimum(steps.clamp(min=0), extent - 1)
        starts = torch.from_numpy(self._starts[indices.cpu().numpy()])[:, None, None]
        flat = (starts + steps[..., 1] * extent[..., 0] + steps[..., 0]).numpy()
        labels = torch.from_numpy(self._labels[flat].astype(np.int64))
        confidence = torch.from_numpy(self._confidence[flat].astype(np.float32) / 255)
        return labels.to(places.device), confidence.to(places.device)

    def _span(self, position: int) -> slice:
        if not 0 <= position < len(self):
            raise IndexError(position)
        return slice(self._starts[position], self._starts[position + 1])


def _refuse(folder: Path, reason: str) -> ProjectError:
    return ProjectError(
        f"the pseudo-label maps in `{folder}` are damaged: {reason}",
        hints=(f"delete `{folder}`; the same command makes them again",),
    )
