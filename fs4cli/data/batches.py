"""Batches of image windows: the same ones for the same seed and step, whoever asks and whenever.

In: a sequence of decoded images. Out: uint8 windows with their places. A batch is a function of (seed, step) and of
nothing else, so a resumed run sees what an uninterrupted one would have seen, and workers change only when.
"""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

_ORDER, _PLACES = 0, 1
"""What a draw is for: the last word of its key, so that no two draws share their numbers."""


@runtime_checkable
class Images(Protocol):
    """Decoded images by position: a list, or a cache on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> UInt8[np.ndarray, "H W 3"]:
        """The image at that position."""
        ...


@dataclass(frozen=True)
class Batch:
    """Windows of cached images.

    Args:
        images: The windows, RGB.
        indices: Position of each window's image in the cache.
        boxes: Top, left, height and width of each window as fractions of its cached image; all within [0, 1].
        image_sizes: Height and width of each cached image, in pixels.
        step: The update this batch is for.
        generator: Source of all further randomness of this step, on the CPU; `fit` keys it by (seed, step).
    """

    images: UInt8[Tensor, "b 3 h w"]
    indices: Int[Tensor, " b"]
    boxes: Float[Tensor, "b 4"]
    image_sizes: Int[Tensor, "b 2"]
    step: int
    generator: torch.Generator = field(default_factory=torch.Generator)

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; the generator stays on the CPU, so that every device draws alike."""
        # only CUDA takes a copy of ordinary memory before it returns: MPS may read what is freed by then
        return self._map(lambda tensor: tensor.to(device, non_blocking=device.type == "cuda"))

    def split(self, parts: int) -> list["Batch"]:
        """At most `parts` batches, in order, as even as can be; they share the generator."""
        bounds = np.linspace(0, len(self), min(parts, len(self)) + 1).round().astype(int).tolist()
        return [
            self._map(lambda tensor, low=low, high=high: tensor[low:high])
            for low, high in zip(bounds[:-1], bounds[1:], strict=True)
        ]

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return replace(
            self,
            images=change(self.images),
            indices=change(self.indices),
            boxes=change(self.boxes),
            image_sizes=change(self.image_sizes),
        )


class BatchSource:
    """Draws batches from a cache: every image once an epoch, a uniformly placed window of each.

    An image smaller than the window gives the largest window of the same shape that fits, enlarged. Padding would
    show the network a border that is not in the data, and would put part of the window outside the image, where no
    pyramid cell lies.

    Args:
        cache: Decoded images, (H, W, 3) uint8, of any sizes.
        batch_size: Windows a batch; may exceed the number of images.
        window: Height and width of the windows, in pixels.
        seed: Of the order and of the places.

    Raises:
        ValueError: There are no images, or a size is below 1.
    """

    def __init__(self, cache: Images, *, batch_size: int, window: tuple[int, int], seed: int):
        if len(cache) == 0:
            raise ValueError("a batch source needs at least one image")
        if batch_size < 1 or min(window) < 1:
            raise ValueError(f"batch_size and window must be at least 1, not {batch_size} and {window}")
        self.cache = cache
        self.batch_size = batch_size
        self.window = window
        self.seed = seed
        self._order = lru_cache(maxsize=2)(self._draw_order)  # two, as a batch may lie across epochs

    def batch(self, step: int) -> Batch:
        """The batch of update `step`, counted from 0."""
        indices = self._choose(step)
        places = _key(self.seed, step, _PLACES).random((self.batch_size, 2))
        height, width = self.window
        pixels = np.empty((self.batch_size, height, width, 3), np.uint8)
        boxes = np.empty((self.batch_size, 4), np.float32)
        sizes = np.empty((self.batch_size, 2), np.int64)
        for row, index in enumerate(indices.tolist()):
            image = self.cache[index]
            sizes[row] = image.shape[:2]
            boxes[row] = _cut_window(image, pixels[row], places[row])
        return Batch(
            images=torch.from_numpy(pixels).permute(0, 3, 1, 2),  # channels last, without a copy
            indices=torch.from_numpy(indices),
            boxes=torch.from_numpy(boxes),
            image_sizes=torch.from_numpy(sizes),
            step=step,
        )

    def _choose(self, step: int) -> Int[np.ndarray, " b"]:
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, places = np.divmod(positions, len(self.cache))
        chosen = np.empty(self.batch_size, np.int64)
        for epoch in np.unique(epochs).tolist():
            inside = epochs == epoch
            chosen[inside] = self._order(epoch)[places[inside]]
        return chosen

    def _draw_order(self, epoch: int) -> Int[np.ndarray, " n"]:
        return _key(self.seed, epoch, _ORDER).permutation(len(self.cache))


def _key(seed: int, number: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number, purpose])))


def _cut_window(
    image: UInt8[np.ndarray, "H W 3"], window: UInt8[np.ndarray, "h w 3"], place: Float[np.ndarray, "2"]
) -> tuple[float, float, float, float]:
    """Fill `window` from the image at `place` in [0, 1) of the free room; return its box in fractions."""
    wanted, whole = np.array(window.shape[:2]), np.array(image.shape[:2])
    shrink = min(1.0, *(whole / wanted))
    height, width = np.clip((wanted * shrink).round().astype(int), 1, whole).tolist()
    top, left = (place * (whole - (height, width) + 1)).astype(int).tolist()
    cut = image[top : top + height, left : left + width]
    if cut.shape == window.shape:
        window[:] = cut
    else:
        size = (window.shape[1], window.shape[0])
        window[:] = Image.fromarray(np.ascontiguousarray(cut)).resize(size, Image.Resampling.BILINEAR)
    return top / int(whole[0]), left / int(whole[1]), height / int(whole[0]), width / int(whole[1])


def prefetch(
    batches: BatchSource | Callable[[int], Batch], start_step: int, steps: int, *, workers: int = 1
) -> Generator[Batch, None, None]:
    """The batches of steps `start_step` to `steps` - 1, in order, made ahead by background threads.

    Threads suffice: copying pixels releases Python's lock. At most `workers` + 1 batches wait in memory. Close the
    iterator, or exhaust it, to end the threads.

    Args:
        batches: A source, or a function from step to batch; called from several threads if `workers` > 1.
        start_step: First step.
        steps: Of the whole run.
        workers: Threads; 0 makes each batch when it is asked for. The batches are the same.
    """
    make = batches.batch if isinstance(batches, BatchSource) else batches
    if workers == 0:
        yield from map(make, range(start_step, steps))
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
    ahead: deque[Future[Batch]] = deque()
    try:
        for step in range(start_step, steps):
            while len(ahead) <= workers and step + len(ahead) < steps:
                ahead.append(pool.submit(make, step + len(ahead)))
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
