"""A data set's name in, its folder out; and what to say when it is not there."""

import os
from collections.abc import Sequence
from pathlib import Path

from fs4cli.errors import InputError
from fs4cli.evaluation.benchmarks import ALIASES, Benchmark
from fs4cli.evaluation.downloads import DOWNLOADS, TREES

ROOT_VARIABLE = "FS4_DATASETS"


def choose_root(benchmark: Benchmark, asked: str, root: Path | None) -> Path:
    """The folder of a data set: as given, else below `FS4_DATASETS`, else below `./datasets`.

    Raises:
        InputError: It is not there; the message says where was looked and what to download.
    """
    if root is not None:
        if not root.is_dir():
            raise explain_missing(benchmark, f"no such folder: `{root}`", ())
        return root
    names = dict.fromkeys((asked, benchmark.name, benchmark.family, *_aliases(benchmark)))
    folder = os.environ.get(ROOT_VARIABLE)
    tops = [Path(folder)] if folder else []
    for top in [*tops, Path("datasets")]:
        for name in names:
            if (top / name).is_dir():
                return top / name
    looked = [f"`{top / asked}`" for top in [*tops, Path("datasets")]]
    where = [f"looked for {' and '.join(looked)}" + ("" if folder else f"; {ROOT_VARIABLE} is not set")]
    raise explain_missing(benchmark, f"{benchmark.title} is not here, and no `--root` was given", tuple(where))


def explain_missing(benchmark: Benchmark, message: str, looked: Sequence[str]) -> InputError:
    """What is missing, where it was looked for, what to download and how it should look."""
    return InputError(
        message,
        details=(*looked, *(f"download {line}" for line in DOWNLOADS[benchmark.family])),
        hints=(*TREES[benchmark.family], f"give its folder with `--root DIR`, or put it into {ROOT_VARIABLE}"),
    )


def _aliases(benchmark: Benchmark) -> list[str]:
    return [alias for alias, name in ALIASES.items() if name == benchmark.name]
