"""Draws small data sets in the layouts of the official archives."""

from pathlib import Path

import numpy as np
from PIL import Image


def save(path: Path, pixels) -> Path:
    """Write an image file, and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return path


COCO_LAYOUTS = {
    "as in the README": ("annotations/{part}", "images/{part}"),
    "stuffthingmaps": ("stuffthingmaps/{part}", "{part}"),
    "both zips into one folder": ("{part}", "{part}"),
    "a folder a zip": ("stuffthingmaps_trainval2017/{part}", "coco/{part}"),
    "STEGO's zip": ("cocostuff/annotations/{part}", "cocostuff/images/{part}"),
    "mmsegmentation": ("coco_stuff164k/annotations/{part}", "coco_stuff164k/images/{part}"),
}


def draw_coco(root: Path, layout: str, labels: dict[str, np.ndarray], part: str = "val2017") -> Path:
    """A COCO-Stuff tree; labels by 12-digit id, in official values."""
    label_folder, image_folder = (root / place.format(part=part) for place in COCO_LAYOUTS[layout])
    for image_id, label in labels.items():
        save(label_folder / f"{image_id}.png", label)
        save(image_folder / f"{image_id}.jpg", np.zeros((*label.shape, 3)))
        if layout == "mmsegmentation":
            save(label_folder / f"{image_id}_labelTrainIds.png", np.zeros(label.shape))
    return root


def draw_city(root: Path, labels: dict[str, np.ndarray], part: str = "val", *, top: str = "", images: str = "") -> Path:
    """A Cityscapes tree; labels by `city_000000_000019`, in label ids."""
    for image_id, label in labels.items():
        city = image_id.partition("_")[0]
        place = root / top / "gtFine" / part / city
        save(place / f"{image_id}_gtFine_labelIds.png", label)
        save(place / f"{image_id}_gtFine_color.png", np.zeros((*label.shape, 4)))
        save(place / f"{image_id}_gtFine_instanceIds.png", np.zeros(label.shape))
        image = root / images / "leftImg8bit" / part / city / f"{image_id}_leftImg8bit.png"
        save(image, np.zeros((*label.shape, 3)))
    return root
