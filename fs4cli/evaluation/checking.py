"""A data set's files in, everything that is wrong with them out: no model is needed."""

from collections.abc import Iterator
from functools import partial

from fs4cli.data.images import read_image
from fs4cli.data.refusals import UnreadableImage
from fs4cli.evaluation.benchmarks import Benchmark
from fs4cli.evaluation.downloads import OFFICIAL_COUNTS
from fs4cli.evaluation.ground_truth import LabelReader, describe_size_difference
from fs4cli.evaluation.index_image import BadIndexImage
from fs4cli.evaluation.layouts import Layout
from fs4cli.evaluation.problems import Problem
from fs4cli.evaluation.selection import Selection
from fs4cli.parallel import map_in_order


def check_counts(benchmark: Benchmark, layout: Layout, selection: Selection) -> list[Problem]:
    """What is wrong by the names of the files alone.

    A copy with less than half of a folder's images is taken for a sample, whose number says nothing.
    """
    problems = list(selection.problems)
    has_images = bool(layout.images)
    for part, names in layout.parts.items():
        official = OFFICIAL_COUNTS.get((benchmark.family, part), 0)
        if official / 2 <= len(names) != official and official:
            problems.append(Problem(part, f"{len(names):,} labels; the data set has {official:,}"))
        if has_images:
            problems += [Problem(name, "no image of its name") for name in names if name not in layout.images]
    problems += [Problem(name, "no label of its name") for name in selection.unlabelled]
    named = {problem.name for problem in problems}
    for name, paths in layout.twice.items():
        if name not in named:
            problems.append(Problem(name, f"several files of its name: {', '.join(f'`{path}`' for path in paths)}"))
    return problems


def check_files(layout: Layout, reader: LabelReader, *, workers: int) -> Iterator[Problem | None]:
    """Read every label, and its image if that is there: damage, label values, sizes. One answer a label, in order."""
    names = [name for part in layout.parts.values() for name in part]
    return map_in_order(partial(_check, layout=layout, reader=reader), names, workers=workers)


def _check(name: str, layout: Layout, reader: LabelReader) -> Problem | None:
    try:
        labels = reader.read(layout.labels[name])
    except BadIndexImage as error:
        return Problem(name, f"its label: {error.reason}")
    image = layout.images.get(name)
    if image is None:
        return None
    try:
        size = read_image(image).size
    except UnreadableImage as error:
        return Problem(name, f"its image: {error.reason}")
    differs = describe_size_difference(labels.shape, tuple(size), "image")
    return Problem(name, differs) if differs else None
