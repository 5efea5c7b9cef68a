"""A data set's name in, its classes, splits and published list of images out.

The class maps and the lists of images are package data under `data/`, compressed; SHA256SUMS there holds the hashes of
what they unpack to. Where each came from is written at the top of each class map and in docs/protocols.md.
"""

import gzip
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from fs4cli.errors import UsageError
from fs4cli.evaluation.classes import ClassTable

Family = Literal["cocostuff", "cityscapes", "voc", "folders"]

ALIASES = {
    "cocostuff": "cocostuff27",
    "coco-stuff": "cocostuff27",
    "coco-all": "cocostuff27",
    "coco-stuff-27": "cocostuff27",
    "coco-stuff-15": "cocostuff15",
    "cocostuff_stuff": "cocostuff15",
    "coco-stuff-3": "cocostuff3",
    "coco-stuff-171": "cocostuff171",
    "cityscapes": "cityscapes27",
    "camvid": "folders",
    "pascal-voc": "voc",
}
"""Other names of the same data set."""

_VOC = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
).split()


@dataclass(frozen=True)
class Benchmark:
    """A data set with ground truth.

    Args:
        name: Its one name here, with the number of classes.
        title: As people write it.
        family: How its files lie on the disk.
        table: Its classes by label value; None if a `classes.yaml` beside the labels names them.
        splits: By split, the folders (or lists) it is made of.
        has_list: Papers score a published list of images, not every image of the split.
    """

    name: str
    title: str
    family: Family
    table: ClassTable | None
    splits: dict[str, tuple[str, ...]]
    has_list: bool = False


BENCHMARKS = (
    "cocostuff27",
    "cocostuff15",
    "cocostuff3",
    "cocostuff171",
    "cityscapes27",
    "cityscapes19",
    "voc",
    "folders",
)

_COCO_SPLITS = {"train": ("train2017",), "val": ("val2017",), "trainval": ("train2017", "val2017")}
_PLAIN_SPLITS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val")}


def find_benchmark(name: str) -> Benchmark:
    """The data set of a name or alias.

    Raises:
        UsageError: There is none of this name.
    """
    name = ALIASES.get(name.lower(), name.lower())
    if name.startswith("cocostuff") and name in BENCHMARKS:
        return Benchmark(name, f"COCO-Stuff-{name[9:]}", "cocostuff", _coco_table(name), _COCO_SPLITS, has_list=True)
    if name.startswith("cityscapes") and name in BENCHMARKS:
        return Benchmark(name, f"Cityscapes-{name[10:]}", "cityscapes", _city_table(name), _PLAIN_SPLITS)
    if name == "voc":
        return Benchmark(name, "Pascal VOC", "voc", _voc_table(), _PLAIN_SPLITS)
    if name == "folders":
        return Benchmark(name, "folders of images and labels", "folders", None, {})
    near = get_close_matches(name, (*ALIASES, *BENCHMARKS), n=1)
    known = ", ".join(
        f"`{known}`" for known in ("cocostuff", *BENCHMARKS[1:4], "cityscapes", *BENCHMARKS[5:], "camvid")
    )
    raise UsageError(
        f"no data set `{name}`" + (f", did you mean `{near[0]}`?" if near else ""), hints=(f"known are {known}",)
    )


@cache
def read_curated_list(folder: str) -> frozenset[str]:
    """The 12-digit ids of COCO's images that the field scores and trains on: IIC's list, version 7.

    An image is on it if both sides have 360 pixels or more and at least 75 % of them lie on stuff.

    Args:
        folder: "train2017" (49,629 ids) or "val2017" (2,175 ids).
    """
    return frozenset(_read(f"cocostuff-{folder}-curated7.txt").split())


def is_curated(height: int, width: int, stuff_pixels: int) -> bool:
    """Would IIC's rule, version 7, put an image on the list?

    Args:
        height: Of the image.
        width: Of the image.
        stuff_pixels: Pixels with a fine label id in 91..181.
    """
    return min(height, width) >= 360 and stuff_pixels >= 0.75 * height * width


def _coco_table(name: str) -> ClassTable:
    rows = _read_yaml("cocostuff27.yaml")["classes"]
    if name == "cocostuff171":
        return _fine_table(rows)
    if name == "cocostuff15":
        rows = _read_yaml("cocostuff15.yaml")["classes"]
    if name == "cocostuff3":
        by_name = {row["name"]: row for row in rows}
        rows = [by_name[f"{stuff}-stuff"] for stuff in ("sky", "plant", "ground")]  # in IIC's order
    values = tuple(tuple(row["fine_ids"]) for row in rows)
    counted = {value for group in values for value in group}
    return ClassTable(
        names=tuple(row["name"] for row in rows),
        values=values,
        void=frozenset({255, *range(182)} - counted),
        kinds=tuple(row["kind"] for row in rows),
        origin=f"{name}, built in",
    )


def _fine_table(rows: list[dict[str, Any]]) -> ClassTable:
    """The 80 things and 91 stuff classes that COCO-Stuff annotates, by id; 11 ids never occur and are unknown."""
    never = set(_read_yaml("cocostuff27.yaml")["fine_ids_never_annotated"])
    fine = sorted(
        (value, name, row["kind"])
        for row in rows
        for value, name in zip(row["fine_ids"], row["fine_names"], strict=True)
        if value not in never
    )
    return ClassTable(
        names=tuple(name for _, name, _ in fine),
        values=tuple((value,) for value, _, _ in fine),
        void=frozenset({255}),
        kinds=tuple(kind for _, _, kind in fine),
        origin="cocostuff171, built in",
    )


def _city_table(name: str) -> ClassTable:
    rows = _read_yaml("cityscapes27.yaml")["classes"]
    if name == "cityscapes19":
        rows = sorted((row for row in rows if row["in_official_19"]), key=lambda row: row["train_id"])
    counted = {row["label_id"] for row in rows}
    return ClassTable(
        names=tuple(row["name"] for row in rows),
        values=tuple((row["label_id"],) for row in rows),
        void=frozenset({255, *range(34)} - counted),
        kinds=tuple(row["kind"] for row in rows),
        origin=f"{name}, built in",
    )


def _voc_table() -> ClassTable:
    return ClassTable(
        names=tuple(_VOC),
        values=tuple((value,) for value in range(len(_VOC))),
        void=frozenset({255}),
        kinds=("",) + ("thing",) * 20,
        origin="voc, built in",
    )


@cache
def _read_yaml(name: str) -> dict[str, Any]:
    return yaml.safe_load(_read(name))


def _read(name: str) -> str:
    return gzip.decompress(files("fs4cli.evaluation").joinpath("data", f"{name}.gz").read_bytes()).decode()
