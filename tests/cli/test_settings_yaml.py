import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fs4cli.errors import ConfigError
from fs4cli.settings_file.yaml_text import SIZE_LIMIT, parse_mapping, parse_value


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_mapping(text, source="fs4.yaml")
    return caught.value.message


def test_sections_become_dotted_keys_with_their_lines():
    entries = parse_mapping("classes: 3\ntrain:\n  # why\n  steps: 5\npredict.flip: no\n", source="fs4.yaml")

    assert [(entry.key, entry.value, entry.line) for entry in entries] == [
        ("classes", 3, 1),
        ("train.steps", 5, 4),
        ("predict.flip", "no", 5),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("-8", -8),
        ("010", 10),
        ("250_000", 250000),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("true", True),
        ("'true'", "true"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        (".inf", ".inf"),
        ("null", None),
        ("", None),
        ("[1, auto, [2]]", [1, "auto", [2]]),
        ("0x10", "0x10"),
    ],
)
def test_plain_words_are_read_as_yaml_1_2_does(text, value):
    found = parse_value(text, source="--set")

    assert found == value and type(found) is type(value)


def test_a_key_that_stands_twice_is_refused_with_both_lines():
    assert refusal("classes: 3\nseed: 1\nclasses: 4\n") == "`classes` is set twice (fs4.yaml lines 1 and 3)"


def test_a_section_that_stands_twice_is_refused():
    assert refusal("train:\n  steps: 1\ntrain:\n  crop: 64\n") == "`train` is set twice (fs4.yaml lines 1 and 3)"


def test_a_dotted_key_and_a_section_may_not_set_the_same():
    assert refusal("train.steps: 1\ntrain:\n  steps: 2\n") == "`train.steps` is set twice (fs4.yaml lines 1 and 3)"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: &x 1\n", "anchors and aliases (`&`, `*`) are not allowed"),
        ("a: *x\n", "anchors and aliases (`&`, `*`) are not allowed"),
        ("a: !!python/object/apply:os.system [ls]\n", "tags (`tag:yaml.org,2002:python/object/apply:os.system`)"),
        ("!!set {a, b}\n", "tags (`tag:yaml.org,2002:set`)"),
        ("a: [[[[[[[[[[1]]]]]]]]]]\n", "nested too deep"),
        ("a: [1\nb: 2\n", "cannot read settings"),
        ("a: 1\n b: 2\n", "fs4.yaml line 2"),
        ("- a\n", "is not a list of settings"),
        ("just text\n", "is not a list of settings"),
        ("a: 1\n---\nb: 2\n", "cannot read settings"),
        ("? [a]\n: 1\n", "a setting's name must be text (fs4.yaml line 1)"),
        ("a: \x00\n", "cannot read settings"),
        ("\tclasses: 3\n", "fs4.yaml line 1"),
    ],
)
def test_what_settings_have_no_use_for_is_refused(text, part):
    assert part in refusal(text)


def test_a_bomb_of_aliases_is_refused_at_once():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    started = time.perf_counter()

    assert "anchors and aliases" in refusal("\n".join(lines))
    assert time.perf_counter() - started < 0.5


def test_a_bomb_of_brackets_is_refused_at_once():
    assert "nested too deep" in refusal("[" * 100_000)


def test_a_file_over_the_limit_is_refused_unread():
    assert "is larger than 1024 KB" in refusal("#" * (SIZE_LIMIT + 1))


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n"])
def test_an_empty_file_holds_no_settings(text):
    assert parse_mapping(text, source="fs4.yaml") == []


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_read_or_refused_but_never_crashes(text):
    for read in (parse_mapping, parse_value):
        try:
            read(text, source="fs4.yaml")
        except ConfigError as error:
            assert "\n" not in error.message
