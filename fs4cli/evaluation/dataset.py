"""A data set's name in; its files, its classes and what a protocol scores of it out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fs4cli.evaluation.benchmarks import Benchmark, find_benchmark
from fs4cli.evaluation.classes import find_class_table
from fs4cli.evaluation.ground_truth import LabelReader
from fs4cli.evaluation.layouts import Layout, find_layout
from fs4cli.evaluation.protocols import Protocol
from fs4cli.evaluation.roots import choose_root
from fs4cli.evaluation.selection import Selection, select_images


@dataclass(frozen=True)
class Dataset:
    """A data set on this disk.

    Args:
        benchmark: Which one.
        split: Which part of it.
        layout: Its files.
        reader: Reads its labels.
    """

    benchmark: Benchmark
    split: str
    layout: Layout
    reader: LabelReader

    def select(self, *, listing: str = "auto", masks: Path | None = None, images: bool = False) -> Selection:
        """The images to score; see `select_images`."""
        return select_images(self.benchmark, self.layout, listing=listing, masks=masks, images=images)

    def find_split(self, split: str) -> Layout:
        """The files of another split of it.

        Raises:
            InputError: It is not there.
            UsageError: There is no such split.
        """
        return find_layout(self.benchmark, self.layout.root, split)

    def describe(self, selection: Selection) -> dict[str, Any]:
        """What the report says of it."""
        table = self.reader.table
        return {
            "dataset": self.benchmark.name,
            "root": str(self.layout.root),
            "split": self.split,
            "layout": list(self.layout.words),
            "list": selection.listing,
            "is_sample": selection.is_sample,
            "classes": "the ids seen in the labels" if table is None else table.origin,
        }


def find_dataset(
    name: str,
    *,
    root: Path | None,
    split: str | None,
    protocol: Protocol,
    void: int = 255,
    is_void_chosen: bool = False,
) -> Dataset:
    """Find a data set.

    Args:
        name: Its name or alias.
        root: Its folder; looked for if left out.
        split: Which part; if left out, the one that the protocol scores.
        protocol: The rules of scoring.
        void: The label value that is not counted, where neither the data set nor a `classes.yaml` says so.
        is_void_chosen: It goes before what a `classes.yaml` says.

    Raises:
        InputError: It is not there, or its `classes.yaml` cannot be used.
        UsageError: There is no such data set or split.
    """
    benchmark = find_benchmark(name)
    place = choose_root(benchmark, name, root)
    if split is None:
        choices = {"cocostuff": protocol.coco_split, "cityscapes": protocol.city_split, "folders": "test"}
        split = choices.get(benchmark.family, "val")
    layout = find_layout(benchmark, place, split)
    table = benchmark.table
    if table is None and layout.classes_near is not None:
        table = find_class_table(layout.classes_near, void=void if is_void_chosen else None)
    return Dataset(benchmark, split, layout, LabelReader(table, void=void))
