"""The sets of the quality bench: real ones that `FS4_DATA` names, drawn ones, and small folders of some of these.

In: a name and a folder to work in. Out: a folder of images to learn from that holds nothing else, images held out, and
their labels, which only the scorer is to see.

    WORK/camvid/train/          copies of the images to learn from
    WORK/mosaics/test/          drawn images held out; of a real set they lie where they are
    WORK/mosaics/labels/        their labels, with classes.yaml
    WORK/camvid-20/train/       copies of twenty of the images to learn from; test images and labels are those of camvid
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml
from domains import DOMAINS, draw_domain
from families import FAMILIES, draw_family
from PIL import Image
from workplaces import WORKPLACES, draw_workplace

from fs4cli.data.masks import encode_mask, make_palette
from fs4cli.demo.materials import MATERIALS
from fs4cli.demo.mosaics import TEXTURES, draw_mosaic
from fs4cli.demo.scenes import Scene, draw_scene
from fs4cli.files import write_bytes, write_text

DRAWN_SEED = 2022
"""Of the drawn families; nothing was developed on pictures of this seed."""

DRAWN_TRAIN, DRAWN_TEST = 200, 40

_MOSAIC_KINDS = 6


@dataclass(frozen=True)
class DataSet:
    """Images to learn from, images held out, and labels.

    Args:
        name: As one types it.
        classes: How many classes its labels have.
        budget: Seconds of training that its goal is set for.
        train: Folder of images to learn from; nothing else lies in it.
        test: Folder of images held out.
        labels: Folder of their labels.
        hidden: Folders of labels: nothing but the scorer may see them.
        held_out: Folders of images that learning may not see.
    """

    name: str
    classes: int
    budget: float
    train: Path
    test: Path
    labels: Path
    hidden: tuple[Path, ...]
    held_out: tuple[Path, ...]


REAL = {"camvid": (11, 1500.0), "allsky": (3, 600.0), "em_neurons": (5, 900.0)}
"""Sets that `FS4_DATA` holds: how many classes, and the budget in seconds. Their images may not be given away."""

SYNTHETIC = ("mosaics", "scenes")
"""Drawn sets that goals are set for."""

USUAL = (*REAL, *SYNTHETIC)

FEW_IMAGES, FEW_BUDGET = 20, 180.0
"""Images of a small folder, the fewest that fs4 does not warn of, and seconds to learn from it."""

FEW = {f"{name}-{FEW_IMAGES}": name for name in USUAL}
"""Small folders, and the sets that they are of."""

NAMES = (*USUAL, *FAMILIES, *DOMAINS, *WORKPLACES, *FEW)


@dataclass(frozen=True)
class _Drawn:
    """Classes, budget in seconds, and how to draw a picture by its number."""

    classes: tuple[str, ...]
    budget: float
    draw: Callable[[int], Scene]


_DRAWN = {
    "mosaics": _Drawn(
        tuple(TEXTURES)[:_MOSAIC_KINDS],
        300.0,
        lambda number: draw_mosaic(DRAWN_SEED, number, textures=_MOSAIC_KINDS),
    ),
    "scenes": _Drawn(MATERIALS, 300.0, lambda number: draw_scene(DRAWN_SEED, number)),
    **{
        name: _Drawn(classes, 180.0, lambda number, name=name: draw_family(name, (DRAWN_SEED, number)))
        for name, classes in FAMILIES.items()
    },
    **{
        name: _Drawn(classes, 180.0, lambda number, name=name: draw_domain(name, (DRAWN_SEED, number)))
        for name, classes in DOMAINS.items()
    },
    **{
        name: _Drawn(classes, 180.0, lambda number, name=name: draw_workplace(name, (DRAWN_SEED, number)))
        for name, classes in WORKPLACES.items()
    },
}


def open_set(name: str, work: Path) -> DataSet:
    """The set of that name; its folders are made if they are not there.

    Args:
        name: One of `NAMES`.
        work: Where copies and drawings go.

    Raises:
        ValueError: There is no set of that name, or `FS4_DATA` does not name the folder of a real one.
    """
    if name in FEW:
        return _take_few(name, open_set(FEW[name], work), work / name)
    if name in _DRAWN:
        return _draw(name, work / name)
    if name not in REAL:
        raise ValueError(f"there is no set `{name}`; there are {', '.join(NAMES)}")
    source = Path(os.environ.get("FS4_DATA", "")) / name
    if not os.environ.get("FS4_DATA") or not source.is_dir():
        raise ValueError(f"`{name}` needs FS4_DATA: the folder that holds `{name}/images/train` and its labels")
    classes, budget = REAL[name]
    train = work / name / "train"
    _copy_images(sorted((source / "images" / "train").iterdir()), train)
    return DataSet(
        name,
        classes,
        budget,
        train=train,
        test=source / "images" / "test",
        labels=source / "labels" / "test",
        hidden=(source / "labels",),
        held_out=(source / "images",),
    )


def _take_few(name: str, whole: DataSet, folder: Path) -> DataSet:
    """The same set with a few of its images to learn from, evenly spread; the others are held out, too."""
    images = sorted(whole.train.iterdir())
    step = len(images) / FEW_IMAGES
    _copy_images([images[int((place + 0.5) * step)] for place in range(FEW_IMAGES)], folder / "train")
    held_out = (*whole.held_out, whole.train)
    return replace(whole, name=name, budget=FEW_BUDGET, train=folder / "train", held_out=held_out)


def _copy_images(images: Sequence[Path], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in images:
        copy = target / path.name
        if not copy.exists() or copy.stat().st_size != path.stat().st_size:
            shutil.copyfile(path, copy)


def _draw(name: str, folder: Path, *, train: int = DRAWN_TRAIN, test: int = DRAWN_TEST) -> DataSet:
    drawn = _DRAWN[name]
    places = [("train", number) for number in range(train)] + [("test", number) for number in range(test)]
    for index, (split, number) in enumerate(places):
        picture = folder / split / f"{number:04d}.png"
        label = folder / "labels" / f"{number:04d}.png"
        if picture.exists() and (split == "train" or label.exists()):
            continue
        scene = drawn.draw(index)
        picture.parent.mkdir(parents=True, exist_ok=True)
        if split == "test":
            write_bytes(label, encode_mask(scene.labels, make_palette(len(drawn.classes))))
        _save_picture(picture, scene.pixels)
    rows = [{"id": value, "name": kind} for value, kind in enumerate(drawn.classes)]
    write_text(folder / "labels" / "classes.yaml", yaml.safe_dump({"void_id": 255, "classes": rows}, sort_keys=False))
    return DataSet(
        name,
        len(drawn.classes),
        drawn.budget,
        train=folder / "train",
        test=folder / "test",
        labels=folder / "labels",
        hidden=(folder / "labels",),
        held_out=(folder / "test",),
    )


def _save_picture(path: Path, pixels: np.ndarray) -> None:
    beside = path.with_suffix(".tmp")
    Image.fromarray(pixels).save(beside, format="PNG")
    beside.replace(path)
