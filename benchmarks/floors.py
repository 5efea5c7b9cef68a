"""What needs no training: k-means of plain cues, and one class for everything. The best of these on a set is its floor.

In: a folder of images to learn from and one of images held out; no labels. Out: a mask for each image held out.

Run: `python benchmarks/floors.py NAME TRAIN TEST MASKS --classes K --seed S`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from scipy.ndimage import uniform_filter
from skimage.color import rgb2lab

from fs4cli.clustering.kmeans import assign_nearest, fit_kmeans
from fs4cli.data.images import read_image
from fs4cli.data.masks import make_palette, write_mask

SIDE = 192
"""Short side at which images are looked at, in pixels; smaller ones are not enlarged."""

IMAGES, VECTORS = 200, 60_000
"""What k-means sees: pixels of so many images, so many pixels in all."""

Describe = Callable[[UInt8[np.ndarray, "h w 3"]], Float32[np.ndarray, "_ _ c"]]
"""From a picture to a vector for each of its pixels, or for each square of several."""


def describe_colour(pixels: UInt8[np.ndarray, "h w 3"], *, lightness: float) -> Float32[np.ndarray, "h w 3"]:
    """Lab, with lightness weighted against a and b."""
    return (rgb2lab(pixels) * (lightness, 1, 1)).astype(np.float32)


def describe_place(pixels: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 5"]:
    """Lab with lightness weighted 0.4, and row and column: a quarter of the picture counts as ten units of colour."""
    height, width = pixels.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    places = np.stack([40 * (rows + 0.5) / height, 40 * (columns + 0.5) / width], axis=2)
    return np.concatenate([describe_colour(pixels, lightness=0.4), places], axis=2)


def describe_contrast(pixels: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 6"]:
    """Mean and log deviation of lightness in squares of 5, 11 and 21 pixels; 25 units of the mean count as one."""
    lightness = rgb2lab(pixels)[..., 0]
    parts = []
    for side in (5, 11, 21):
        mean = uniform_filter(lightness, side)
        variance = np.maximum(uniform_filter(lightness**2, side) - mean**2, 0)
        parts += [mean / 25, np.log(np.sqrt(variance) + 1)]
    return np.stack(parts, axis=2).astype(np.float32)


def describe_at_random(seed: int) -> Describe:
    """Features of a ResNet-18 and decoder with random weights, at stride 4."""
    import torch

    from fs4cli.model.extraction import shrink_image
    from fs4cli.model.network import build_network

    torch.manual_seed(seed)
    network = build_network("resnet18", 128, mean=[0.5] * 3, std=[0.25] * 3).eval()

    def describe(pixels: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "_ _ 128"]:
        with torch.inference_mode():
            features = network(shrink_image(pixels, min(pixels.shape[:2])))
        return features[0].permute(1, 2, 0).contiguous().numpy()

    return describe


FLOORS: dict[str, Callable[[int], Describe | None]] = {
    "most frequent class": lambda seed: None,
    "colour": lambda seed: lambda pixels: describe_colour(pixels, lightness=1.0),
    "colour with lightness at 0.4": lambda seed: lambda pixels: describe_colour(pixels, lightness=0.4),
    "colour and position": lambda seed: describe_place,
    "local mean and contrast": lambda seed: describe_contrast,
    "random network": describe_at_random,
}
"""By name, from a seed to what k-means sees; None for no k-means at all."""


def make_masks(
    train: list[Path], test: list[Path], folder: Path, *, floor: str, classes: int, seed: int
) -> Float32[np.ndarray, "k c"] | None:
    """Cluster the pixels of some images and write the nearest cluster of every pixel of others.

    Args:
        train: Images that the clusters are found on.
        test: Images that masks are written for, of each image's size and named as it is.
        folder: Where the masks go.
        floor: A name in `FLOORS`.
        classes: How many clusters.
        seed: Of the sampling, of k-means and of random weights.

    Returns:
        The centroids, or None if the floor has none.
    """
    describe = FLOORS[floor](seed)
    centroids = None if describe is None else _find_centroids(train, describe, classes, seed)
    for path in test:
        pixels = read_image(path).pixels
        mask = np.zeros(pixels.shape[:2], np.int64)
        if describe is not None and centroids is not None:
            mask = _enlarge(_assign(describe(_shrink(pixels)), centroids), mask.shape)
        write_mask(folder / f"{path.stem}.png", mask, make_palette(classes))
    return centroids


def _find_centroids(train: list[Path], describe: Describe, classes: int, seed: int) -> Float32[np.ndarray, "k c"]:
    random = np.random.default_rng([seed, 41])
    chosen = sorted(random.permutation(len(train))[:IMAGES].tolist())
    rows = []
    for place in chosen:
        vectors = describe(_shrink(read_image(train[place]).pixels))
        flat = vectors.reshape(-1, vectors.shape[2])
        rows.append(flat[random.permutation(len(flat))[: -(-VECTORS // len(chosen))]])
    return fit_kmeans(np.concatenate(rows), classes, seed=seed).centroids


def _assign(vectors: Float32[np.ndarray, "h w c"], centroids: Float32[np.ndarray, "k c"]) -> Int64[np.ndarray, "h w"]:
    height, width, _ = vectors.shape
    return assign_nearest(vectors.reshape(height * width, -1), centroids)[0].reshape(height, width)


def _shrink(pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    height, width = pixels.shape[:2]
    scale = min(1.0, SIDE / min(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _enlarge(mask: Int64[np.ndarray, "h w"], size: tuple[int, ...]) -> Int64[np.ndarray, "H W"]:
    rows, columns = (
        ((np.arange(large) + 0.5) * small / large).astype(int) for small, large in zip(mask.shape, size, strict=True)
    )
    return mask[np.ix_(rows, columns)]


def main() -> None:
    """Write the masks of one floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("floor", choices=list(FLOORS))
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train, test = (sorted(folder.iterdir()) for folder in (options.train, options.test))
    make_masks(train, test, options.masks, floor=options.floor, classes=options.classes, seed=options.seed)


if __name__ == "__main__":
    main()
