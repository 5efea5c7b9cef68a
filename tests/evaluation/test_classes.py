"""Which label value means which class."""

import time

import pytest
import yaml

from fs4cli.errors import InputError
from fs4cli.evaluation.classes import UNKNOWN, VOID, ClassTable, find_class_table, open_lookup, read_class_table


def write(path, **content):
    path.write_text(yaml.safe_dump(content))
    return path


def test_names_ids_kinds_and_void_are_read(tmp_path):
    rows = [{"id": 4, "name": "sky", "kind": "stuff"}, {"id": 7, "name": "car", "kind": "thing"}, {"id": 9}]
    table = read_class_table(write(tmp_path / "classes.yaml", classes=rows, void_id=0))
    assert table.names == ("sky", "car", "class-9")
    assert table.kinds == ("stuff", "thing", "")
    assert table.lookup[[4, 7, 9, 0, 1]].tolist() == [0, 1, 2, VOID, UNKNOWN]


def test_a_plain_list_or_map_of_names_will_do(tmp_path):
    for classes in (["sky", "car"], {0: "sky", 1: "car"}):
        table = read_class_table(write(tmp_path / "classes.yaml", classes=classes))
        assert table.names == ("sky", "car")
        assert table.values == ((0,), (1,))
        assert table.void == {255}


def test_a_void_value_that_was_chosen_wins(tmp_path):
    path = write(tmp_path / "classes.yaml", classes=["sky"], void_id=9)
    assert read_class_table(path, void=3).void == {3}


def test_several_values_may_be_one_class():
    table = ClassTable(("thing", "stuff"), ((0, 2), (5,)), frozenset({255, 6}))
    assert table.lookup[[0, 2, 5, 6, 255, 1]].tolist() == [0, 0, 1, VOID, VOID, UNKNOWN]
    assert table.describe_values() == "0, 2, 5, void 6, 255"


def test_known_values_are_described_as_ranges(tmp_path):
    assert read_class_table(write(tmp_path / "c.yaml", classes=list("abc"))).describe_values() == "0..2, void 255"


def test_the_nearest_file_up_to_two_folders_above_counts(tmp_path):
    labels = tmp_path / "a" / "b" / "labels"
    labels.mkdir(parents=True)
    assert find_class_table(labels) is None
    write(tmp_path / "classes.yaml", classes=["too far"])
    assert find_class_table(labels) is None
    write(tmp_path / "a" / "classes.yaml", classes=["two above"])
    assert find_class_table(labels).names == ("two above",)
    write(labels / "classes.yaml", classes=["here"])
    assert find_class_table(labels).names == ("here",)
    (labels / "label.png").touch()
    assert find_class_table(labels / "label.png").names == ("here",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("classes: [sky, sky]", "the name `sky` stands there twice"),
        ("classes: [{id: 1, name: a}, {id: 1, name: b}]", "the id `1` stands there twice"),
        ("classes: [{name: a}]", "entry 1"),
        ("classes: [{id: 70000, name: a}]", "entry 1"),
        ("classes: [{id: true, name: a}]", "entry 1"),
        ("classes: [{id: 1, name: [a]}]", "no text"),
        ("classes: []", "no list"),
        ("- sky", "no list"),
        ("?", "no list"),
        ("{classes: [sky], void_id: 0}", "class and the void value"),
        ("{classes: [sky], void_id: none}", "void_id"),
        ("classes: [sky\nvoid_id: 3", "no YAML (line 2)"),
        ("classes: !!python/object/apply:os.getcwd []", "no YAML"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, content, complaint):
    path = tmp_path / "classes.yaml"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_class_table(path)
    assert complaint in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hints


def test_a_yaml_bomb_is_refused_in_few_words(tmp_path):
    levels = "".join(f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]\n" for level in range(1, 12))
    path = tmp_path / "classes.yaml"
    path.write_text(f"l0: &l0 [x, x]\n{levels}classes: *l11\n")
    with pytest.raises(InputError) as caught:
        read_class_table(path)
    assert len(caught.value.message) < 300


def test_without_a_table_each_low_id_is_a_class():
    lookup = open_lookup(255)
    assert lookup[[0, 77, 255, 4095, 4096]].tolist() == [0, 77, VOID, 4095, UNKNOWN]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "classes"), [("camvid", 11), ("allsky", 3), ("em_neurons", 5), ("cocostuff_mini", 182)]
)
def test_the_class_files_of_real_sets_are_read(real_data, name, classes):
    table = read_class_table(real_data / name / "classes.yaml")
    assert len(table) == classes
    assert table.void == {255}


@pytest.mark.parametrize(
    "text",
    [
        "classes: [{id: !!int , name: sky}]\n",
        "a: &a [1]\nclasses: [sky, *a]\n",
        "classes: [!!timestamp x]\n",
    ],
)
def test_tags_that_do_not_fit_and_aliases_are_refused_by_name(tmp_path, text):
    (tmp_path / "classes.yaml").write_text(text)
    with pytest.raises(InputError, match="cannot be used: it is no YAML"):
        read_class_table(tmp_path / "classes.yaml")


def test_a_table_of_many_names_is_read_at_once(tmp_path):
    names = [f"class {number}" for number in range(20_000)]
    (tmp_path / "classes.yaml").write_text("void_id: 65535\nclasses:\n" + "".join(f"- {name}\n" for name in names))
    started = time.monotonic()
    assert read_class_table(tmp_path / "classes.yaml").names == tuple(names)
    assert time.monotonic() - started < 60  # comparing each name with each took minutes
