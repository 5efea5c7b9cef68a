"""Hostile `fs4.yaml`, `--set`, environment and class tables: settings, or one line that says what is wrong."""

from pathlib import Path

import pytest
import yaml
from hostile import PATHS, VALUES, WORDS, attempt, fuzz, guard, harmed
from hypothesis import given
from hypothesis import strategies as st

from fs4cli.cli.report import show_lines
from fs4cli.duration import parse_duration
from fs4cli.errors import ConfigError
from fs4cli.evaluation.classes import find_class_table, read_class_table
from fs4cli.settings_file import load_settings
from fs4cli.settings_file.keys import read_setting, section_names, setting_fields, value_text
from fs4cli.settings_file.starter import starter_text
from fs4cli.settings_file.yaml_text import VALUE_LIMIT

KEYS = st.one_of(st.sampled_from([*setting_fields(), *section_names()]), WORDS)
# words that mean something to YAML, so that random text gets further than its first letter
PIECES = st.lists(
    st.one_of(
        KEYS,
        WORDS,
        st.sampled_from(
            [": ", "\n", "\n  ", "- ", "[", "]", "{", "}", ", ", "'", '"', "#", "&a ", "*a", "<<: ", "!!int ", "!x "]
            + [
                "---\n",
                "...\n",
                "|\n",
                ">-\n",
                "? ",
                "\t",
                "%YAML 9\n",
                "@",
                "`",
                "\x00",
                "\ufeff",
                "\x85",
                "1e3",
                "1_0",
            ]
        ),
    ),
    max_size=14,
).map("".join)
STARTER = [starter_text().encode(), b"classes: 5\ntrain:\n  steps: 10\nimages: [a, b]\n"]


def _dump(value: object) -> str:
    return yaml.safe_dump(value, allow_unicode=True)


TEXTS = st.one_of(
    PIECES.map(str.encode),
    st.dictionaries(KEYS, st.one_of(VALUES, st.dictionaries(KEYS, VALUES, max_size=3)), max_size=4)
    .map(_dump)
    .map(lambda text: text.encode("utf-8", "surrogatepass")),
    harmed(STARTER),
)


def _load(**layers: object) -> None:
    """Load, and do with the settings what every command does with them."""
    loaded = load_settings(**{"environment": {}, **layers})  # pyright: ignore[reportArgumentType]
    for key in setting_fields():
        show_lines(value_text(read_setting(loaded.settings, key)))
    if loaded.settings.budget is not None:
        parse_duration(loaded.settings.budget)


@fuzz
@given(TEXTS)
def test_any_settings_file_is_read_or_refused(home, data):
    path = home / "fs4.yaml"
    path.write_bytes(data)
    attempt("fs4.yaml", home / "nothing", lambda: _load(path=path))


@fuzz
@given(
    st.lists(
        st.one_of(st.tuples(KEYS, st.one_of(WORDS, VALUES.map(str), PIECES)).map("=".join), PIECES),
        min_size=1,
        max_size=4,
    )
)
def test_any_override_is_read_or_refused(overrides):
    here = Path("/nonexistent")
    attempt("--set", here, lambda: _load(overrides=overrides))


@fuzz
@given(st.dictionaries(KEYS, st.one_of(WORDS, VALUES.map(str)), min_size=1, max_size=4))
def test_any_variable_is_read_or_refused(values):
    environment = {f"FS4__{key.upper().replace('.', '__')}": value for key, value in values.items()}
    here = Path("/nonexistent")
    attempt("environment", here, lambda: _load(environment=environment))


_ROWS = st.one_of(WORDS, VALUES, st.fixed_dictionaries({"id": VALUES}, optional={"name": VALUES, "kind": VALUES}))
CLASSES = st.one_of(
    st.fixed_dictionaries(
        {"classes": st.one_of(VALUES, st.lists(_ROWS, max_size=4))}, optional={"void_id": VALUES}
    ).map(_dump),
    PIECES,
    harmed([b"void_id: 255\nclasses:\n- {id: 0, name: sky, kind: stuff}\n- {id: 7, name: sea}\n"]).map(
        lambda data: data.decode("latin-1")
    ),
)


@fuzz
@given(CLASSES)
def test_any_class_table_is_read_or_refused(home, text):
    path = home / "classes.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    def read() -> None:
        table = read_class_table(path)
        table.lookup  # noqa: B018
        table.describe_values()
        find_class_table(home)

    attempt("class table", home / "nothing", read)


@pytest.mark.parametrize(
    "text",
    [
        "images:\n" + "- a\n" * 250_000,
        "x: [" + "a," * 500_000 + "]",
        "".join(f"a{number}: 1\n" for number in range(100_000)),
        "a: &a [x, x]\n" + "".join(f"l{level}: &l{level} [*a, *a, *a]\n" for level in range(50)),
        "a: &a {x: 1}\n" + "".join(f"b{level}: &b{level} {{<<: [*a, *a]}}\n" for level in range(50)),
        "k" * 1_000_000 + ": 1",
        "k" * 1_000_000 + ".steps: 1",
        "model: {backbone: '" + "x" * 1_000_000 + "'}",
    ],
    ids=[
        "many items",
        "many in a row",
        "many keys",
        "aliases",
        "merge keys",
        "long key",
        "long last word",
        "long text",
    ],
)
def test_a_settings_file_made_to_be_slow_is_answered_soon(tmp_path, text):
    path = tmp_path / "fs4.yaml"
    path.write_text(text[: 1024 * 1024])
    with guard(tmp_path / "nothing"):
        if text.startswith("model"):
            load_settings(path, environment={})
            return
        with pytest.raises(ConfigError) as caught:
            load_settings(path, environment={})
    assert len(caught.value.message) < 300


def test_as_many_values_as_anybody_needs_are_read(tmp_path):
    path = tmp_path / "fs4.yaml"
    path.write_text("images:\n" + "- a\n" * (VALUE_LIMIT // 4))
    assert len(load_settings(path, environment={}).settings.images) == VALUE_LIMIT // 4


@pytest.mark.parametrize("key", ["images", "pretrain.weights"])
@pytest.mark.parametrize("path", [path for path in PATHS if "\0" in path])
def test_a_path_that_no_file_can_have_is_refused(key, path):
    with pytest.raises(ConfigError, match="zero byte"):
        load_settings(None, environment={}, overrides=[f"{key}={path}"])


@pytest.mark.parametrize("text", ["1_", "1__0", "_1", "1_.5", "1__0.5"])
def test_digits_with_stray_underscores_are_text_and_no_crash(text):
    with pytest.raises(ConfigError, match="bad value"):
        load_settings(None, environment={}, overrides=[f"seed={text}"])
    assert load_settings(None, environment={}, overrides=["seed=1_000"]).settings.seed == 1000
