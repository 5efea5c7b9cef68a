"""The class maps and lists that are shipped, against their hashes, every row, and the rules that made them."""

import gzip
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import fs4cli.evaluation
from fs4cli.errors import UsageError
from fs4cli.evaluation.benchmarks import BENCHMARKS, find_benchmark, is_curated, read_curated_list
from fs4cli.evaluation.classes import UNKNOWN, VOID

DATA = Path(fs4cli.evaluation.__file__).parent / "data"
PUBLISHED = {
    "cocostuff-train2017-curated7.txt": "3b837594a81880a70f177afab906fc45147d8b9c2c4f51132f784e41941812f9",
    "cocostuff-val2017-curated7.txt": "7c629734c88f1a74bba6311e01d4d9fe976df84f07cb4fc86452ce5116e51655",
}


def rows(name):
    return yaml.safe_load(gzip.decompress((DATA / f"{name}.yaml.gz").read_bytes()))


def test_the_package_data_is_what_its_hashes_say():
    sums = dict(reversed(line.split("  ")) for line in (DATA / "SHA256SUMS").read_text().splitlines())
    unpacked = {path.name[:-3]: gzip.decompress(path.read_bytes()) for path in DATA.glob("*.gz")}
    assert {name: hashlib.sha256(content).hexdigest() for name, content in unpacked.items()} == sums
    assert {name: sums[name] for name in PUBLISHED} == PUBLISHED


@pytest.mark.parametrize("name", ["cocostuff27", "cocostuff15"])
def test_every_row_of_the_coco_maps_is_in_the_lookup(name):
    table = find_benchmark(name).table
    content = rows(name)
    assert len(table) == content["num_classes"]
    for row in content["classes"]:
        assert table.names[row["id"]] == row["name"]
        assert table.kinds[row["id"]] == row["kind"]
        assert set(table.lookup[row["fine_ids"]]) == {row["id"]}
    assert table.lookup[255] == VOID
    assert set(table.lookup[182:255]) == {UNKNOWN}


def test_the_27_classes_share_all_182_ids_between_them_and_things_are_the_first_91():
    lookup = find_benchmark("cocostuff").table.lookup
    assert set(lookup[:91]) == set(range(12))
    assert set(lookup[91:182]) == set(range(12, 27))


def test_the_15_are_the_stuff_of_the_27_and_things_are_void():
    coarse, stuff = find_benchmark("cocostuff27").table.lookup, find_benchmark("cocostuff15").table.lookup
    assert set(stuff[:91]) == {VOID}
    assert (stuff[91:182] == coarse[91:182] - 12).all()
    for row in rows("cocostuff15")["classes"]:
        assert row["coarse27_id"] == row["id"] + 12


def test_the_3_are_sky_plant_ground_in_that_order():
    three, coarse = find_benchmark("coco-stuff-3").table.lookup, find_benchmark("cocostuff27").table.lookup
    for index, group in enumerate((23, 22, 21)):
        assert (three[:182][coarse[:182] == group] == index).all()
    assert set(three[:182][~np.isin(coarse[:182], (21, 22, 23))]) == {VOID}


def test_the_171_are_80_things_and_91_stuff_and_ids_without_annotation_are_unknown():
    table = find_benchmark("cocostuff171").table
    assert table.kinds.count("thing") == 80
    assert table.kinds.count("stuff") == 91
    never = rows("cocostuff27")["fine_ids_never_annotated"]
    assert len(never) == 11
    assert set(table.lookup[never]) == {UNKNOWN}
    assert (table.names[0], table.names[-1]) == ("person", "wood")


def test_every_row_of_cityscapes_is_in_both_lookups():
    all27, official = find_benchmark("cityscapes").table, find_benchmark("cityscapes19").table
    for row in rows("cityscapes27")["classes"]:
        assert all27.names[row["id"]] == row["name"]
        assert all27.kinds[row["id"]] == row["kind"]
        assert all27.lookup[row["label_id"]] == row["id"] == row["label_id"] - 7
        expected = row["train_id"] if row["in_official_19"] else VOID
        assert official.lookup[row["label_id"]] == expected
        assert (row["train_id"] == 255) is not row["in_official_19"]
    assert set(all27.lookup[:7]) == set(official.lookup[:7]) == {VOID}
    assert all27.lookup[255] == official.lookup[255] == VOID
    assert (len(all27), len(official)) == (27, 19)
    assert [name for name, kind in zip(all27.names, all27.kinds, strict=True) if kind == "thing"] == list(
        all27.names[17:]
    )


@pytest.mark.parametrize(("folder", "count"), [("train2017", 49629), ("val2017", 2175)])
def test_the_lists_have_the_published_length_and_12_digits_a_line(folder, count):
    ids = read_curated_list(folder)
    assert len(ids) == count
    assert all(len(image_id) == 12 and image_id.isdigit() for image_id in ids)


@pytest.mark.real_data
def test_the_rule_puts_exactly_those_of_the_21_real_images_on_the_list_that_are_on_it(real_data):
    seen = []
    for path in sorted((real_data / "cocostuff_mini" / "annotations").rglob("*.png")):
        label = np.asarray(Image.open(path))
        stuff = int(((label >= 91) & (label <= 181)).sum())
        on_list = path.stem in read_curated_list(path.parent.name)
        assert is_curated(*label.shape, stuff) == on_list, path.name
        seen.append(on_list)
    assert (len(seen), sum(seen)) == (21, 8)


def test_the_rule_has_both_borders():
    assert is_curated(360, 400, 108000)
    assert not is_curated(360, 400, 107999)
    assert not is_curated(359, 800, 359 * 800)


def test_every_name_is_found_and_others_are_not():
    assert [find_benchmark(name).name for name in BENCHMARKS] == list(BENCHMARKS)
    assert find_benchmark("CocoStuff").name == "cocostuff27"
    with pytest.raises(UsageError, match="no data set `cocostuf`") as caught:
        find_benchmark("cocostuf")
    assert "`cocostuff15`" in caught.value.hints[0]


def test_the_wheel_holds_the_data(tmp_path):
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder
    root = Path(fs4cli.evaluation.__file__).parents[2]
    if not (root / "pyproject.toml").is_file():
        pytest.skip("installed without its sources")
    (wheel,) = builder(str(root)).build(directory=str(tmp_path), versions=["standard"])
    names = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "evaluation/data/" in name}
    assert names == {path.name for path in DATA.iterdir()}
