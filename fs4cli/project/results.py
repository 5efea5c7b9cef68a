"""What each finished stage made, held against the hashes in its record and against each other.

In: a project and the record of a stage that is done. Out: the damages, told to an `Inspection`. Every file that a later
stage or a user would read is read to its last byte; nothing needs torch.
"""

import errno
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fs4cli.data.cache import read_header
from fs4cli.data.index import read_index
from fs4cli.data.masks import read_mask
from fs4cli.data.outputs import ENDINGS, EXTRA_FOLDERS
from fs4cli.data.predictions import read_predictions
from fs4cli.files import hash_value, read_json
from fs4cli.project.inspection import Inspection
from fs4cli.project.project import Project
from fs4cli.project.record import Record

_PNG = b"\x89PNG\r\n\x1a\n"
_Place = tuple[str, int, int, int, int]
"""The key of an image's pixels, and the shard, offset, height and width of its pixels."""


def check_ingest(inspection: Inspection, project: Project, record: Record) -> None:
    """The index against its record, the cache against the index, every shard against its hash."""
    remedy = "delete it and run `fs4 ingest`: its images are read again"
    images: list[tuple[str, str]] | None = None
    with inspection.expect("ingest", project.index, remedy):
        inspection.count(project.index)
        found = [(entry.image_id, entry.pixels_key) for entry in read_index(project.index) if entry.state == "ok"]
        if hash_value(found) != record.outputs.get("images"):
            raise ValueError("it does not hold the images that ingest recorded")
        images = found
    remedy = "delete it and run `fs4 ingest`: only what is missing is redone"
    header_path = project.cache / "cache.json"
    with inspection.expect("ingest", header_path, remedy):
        header = read_header(project.cache)
        if header is None:
            raise FileNotFoundError(errno.ENOENT, "", str(header_path))
        if header["short_side"] != record.outputs.get("short_side"):
            raise ValueError("its pictures have another size than ingest recorded")
        held = _check_shards(inspection, project, sorted(header["shards"].items()))
        table = project.cache / Path(header["table"]).name
        with inspection.expect("ingest", table, remedy):
            if inspection.hash(table) != header["table_sha256"]:
                raise ValueError("its sha256 differs")
            if held is not None and images is not None:
                _compare_table(table, images, held)


def check_pretrain(inspection: Inspection, project: Project, record: Record) -> None:
    """The pretrained weights."""
    _check_hash(inspection, "pretrain", project.pretrained, record.outputs.get("network"))


def check_cluster(inspection: Inspection, project: Project, record: Record) -> None:
    """Labels and centroids of each level, and the size of the pooled features, which have no hash."""
    folder = project.stage("cluster")
    for name, expected in record.outputs.items():
        _check_hash(inspection, "cluster", folder / f"{name}.npy", expected)
    for grid in record.settings.get("cluster.grids", ()):
        path = folder / f"level-{grid}" / "features.npy"
        if not path.exists():
            continue  # they are only kept for another number of clusters
        remedy = f"delete it and `{path.with_suffix('.json').name}`: they are computed again when needed"
        with inspection.expect("cluster", path, remedy):
            inspection.count(path)
            shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
            if list(shape) != read_json(path.with_suffix(".json"))["shape"]:
                raise ValueError("it has another shape than its list says")


def check_train(inspection: Inspection, project: Project, record: Record) -> None:
    """The model, the card beside it, and what is left of each round's assignment."""
    is_whole = _check_hash(inspection, "train", project.model, record.outputs.get("model"))
    card_path = project.model.with_suffix(".json")
    remedy = "it is for people only; the same text is in the model: `fs4 train --fresh` writes both"
    with inspection.expect("train", card_path, remedy):
        inspection.count(card_path)
        card = read_json(card_path)
        if is_whole and hash_value(card) != hash_value(_read_card(project.model)):
            raise ValueError("it does not say what the card in the model says")
    check_rounds(inspection, project)


def check_rounds(inspection: Inspection, project: Project) -> None:
    """Every finished round's assignment that is there."""
    for path in sorted(project.stage("train").glob("round-*/round.json")):
        remedy = f"delete `{path.parent}`: it is made again when it is needed"
        with inspection.expect("train", path, remedy):
            for name, expected in read_json(path)["files"].items():
                if inspection.hash(path.parent / Path(name).name) != expected:
                    inspection.report("train", path.parent / name, "is not what was saved: its sha256 differs", remedy)


def check_predict(inspection: Inspection, project: Project, record: Record) -> None:
    """Every mask in the log is there, whole and of its size; so is what was made beside it."""
    folder = project.stage("predict")
    again = "the same `fs4 predict` makes it again"
    log = folder / "predictions.jsonl"
    rows: list[dict[str, Any]] = []
    with inspection.expect("predict", log, "move it away and run the same `fs4 predict` again"):
        inspection.count(log)
        latest = {row.input: asdict(row) for row in read_predictions(log)}
        rows = [row for row in latest.values() if row["state"] == "written"]
        if len(rows) < record.outputs.get("masks", 0):
            raise ValueError(f"it lists {len(rows):,} masks of at least {record.outputs['masks']:,}")
    for row in rows:
        mask = folder / "masks" / f"{row['output']}{ENDINGS['mask']}"
        with inspection.expect("predict", mask, f"delete it if it is there; {again}"):
            inspection.count(mask)
            _check_chunks(mask.read_bytes())
            if read_mask(mask).shape != (row["height"], row["width"]):
                raise ValueError(f"it is not {row['height']} x {row['width']}")
        for what in row.get("extras", ()):
            path = folder / EXTRA_FOLDERS[what] / f"{row['output']}{ENDINGS[what]}"
            with inspection.expect("predict", path, again):
                inspection.count(path)
                data = path.read_bytes()
                _check_chunks(data) if data.startswith(_PNG) else _check_packed(path, what)
    classes = folder / "classes.json"
    with inspection.expect("predict", classes, "delete it; the same `fs4 predict` writes it again"):
        inspection.count(classes)
        if read_json(classes)["schema"].partition("/")[0] != "fs4.classes":
            raise ValueError("it is no table of classes")


def check_evaluate(inspection: Inspection, project: Project, record: Record) -> None:
    """The report and the counts it stands on."""
    folder = project.stage("evaluate")
    remedy = "run the same `fs4 evaluate` again"
    with inspection.expect("evaluate", folder / "report.json", remedy):
        inspection.count(folder / "report.json")
        if hash_value(read_json(folder / "report.json")) != record.outputs.get("report"):
            raise ValueError("it is not the report that was recorded")
    with inspection.expect("evaluate", folder / "confusion.npy", remedy):
        inspection.count(folder / "confusion.npy")
        counts = np.load(folder / "confusion.npy", allow_pickle=False)
        if counts.tolist() != read_json(folder / "report.json")["confusion"]["counts"]:
            raise ValueError("its counts are not those of the report")


CHECKS: dict[str, Callable[[Inspection, Project, Record], None]] = {
    "ingest": check_ingest,
    "pretrain": check_pretrain,
    "cluster": check_cluster,
    "train": check_train,
    "predict": check_predict,
    "evaluate": check_evaluate,
}
"""By stage."""


def _check_hash(inspection: Inspection, stage: str, path: Path, expected: Any) -> bool:
    before = len(inspection.damages)
    with inspection.expect(stage, path, f"restore it from a copy, or run `fs4 {stage} --fresh`"):
        if inspection.hash(path) != expected:
            size = path.stat().st_size
            inspection.report(
                stage,
                path,
                "is empty" if size == 0 else "is not what was saved: its sha256 differs",
                f"restore it from a copy, or run `fs4 {stage} --fresh`",
            )
    return len(inspection.damages) == before


def _check_shards(inspection: Inspection, project: Project, shards: list[tuple[str, int]]) -> set[_Place] | None:
    """What lies where, by the shards' own lists; None if a shard is damaged."""
    held: set[_Place] = set()
    is_whole = True
    for name, size in shards:
        path = project.cache / Path(name).name
        before = len(inspection.damages)
        with inspection.expect("ingest", path, "delete it and run `fs4 ingest`: only its images are read again"):
            if path.stat().st_size != size:
                raise ValueError(f"it has {path.stat().st_size} bytes instead of {size}")
            listed = read_json(path.with_suffix(".json"))
            if inspection.hash(path) != listed["sha256"]:
                raise ValueError("its sha256 differs")
            number = int(path.stem.removeprefix("shard-"))
            for key, offset, height, width in listed["images"]:
                if offset < 0 or offset + 3 * height * width > size:
                    raise ValueError("its list points beyond its end")
                held.add((key, number, offset, height, width))
        is_whole = is_whole and len(inspection.damages) == before
    return held if is_whole else None


def _compare_table(path: Path, images: list[tuple[str, str]], held: set[_Place]) -> None:
    table = np.load(path, allow_pickle=False)
    if [bytes(name).decode("ascii") for name in table["image_id"]] != [image_id for image_id, _ in images]:
        raise ValueError("it does not hold the images of the index, in their order")
    for (_, key), row in zip(images, table, strict=True):
        if (key, int(row["shard"]), int(row["offset"]), int(row["height"]), int(row["width"])) not in held:
            raise ValueError(f"no shard holds the image of sha256 {key[:12]} where it says")


def _check_chunks(data: bytes) -> None:
    """Every chunk of a PNG has its checksum, and the last one ends the file; Pillow does not look at all of them."""
    if not data.startswith(_PNG):
        raise ValueError("it is no PNG")
    place, kind = len(_PNG), b""
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 4 : place + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, place + 8 + length)
        if zlib.crc32(body) != checksum:
            raise ValueError("a checksum in it differs")
        place += 12 + length
    if kind != b"IEND":
        raise ValueError("it is cut short")


def _check_packed(path: Path, what: str) -> None:
    """An overlay as JPEG ends as one; the archive of probabilities is whole by its own checksums."""
    if what != "probabilities":
        if not path.read_bytes().endswith(b"\xff\xd9"):
            raise ValueError("it is cut short")
        return
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from None
    if bad is not None:
        raise ValueError(f"{bad} in it is damaged")


def _read_card(path: Path) -> Any:
    """The description inside a model file whose hash is known to be right."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(json.loads(file.read(length))["__metadata__"]["fs4_card"])
