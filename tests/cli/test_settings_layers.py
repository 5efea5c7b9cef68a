from pathlib import Path

import pytest

from fs4cli.config import stage_settings
from fs4cli.errors import ConfigError, UsageError
from fs4cli.settings_file import load_settings


def write(folder: Path, text: str) -> Path:
    path = folder / "fs4.yaml"
    path.write_text(text)
    return path


def refusal(path: Path | None = None, **layers) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, **{"environment": {}, **layers})
    return caught.value


def test_each_layer_overrides_the_one_below(tmp_path):
    path = write(tmp_path, "train:\n  batch_size: 2\n")
    variable = {"FS4__TRAIN__BATCH_SIZE": "3"}
    option = {"train.batch_size": (5, "--batch-size")}
    layers = [
        load_settings(None, environment={}),
        load_settings(path, environment={}),
        load_settings(path, environment=variable),
        load_settings(path, environment=variable, overrides=["train.batch_size=4"]),
        load_settings(path, environment=variable, overrides=["train.batch_size=4"], options=option),
    ]

    assert [layer.settings.train.batch_size for layer in layers] == ["auto", 2, 3, 4, 5]
    assert [layer.origins["train.batch_size"] for layer in layers] == [
        "default",
        "fs4.yaml line 2",
        "FS4__TRAIN__BATCH_SIZE",
        "--set",
        "--batch-size",
    ]


def test_the_last_of_two_overrides_wins():
    loaded = load_settings(None, environment={}, overrides=["classes=4", "classes=5"])

    assert loaded.settings.classes == 5


def test_only_what_somebody_chose_counts_as_chosen(tmp_path):
    path = write(tmp_path, "classes: 27\ntrain:\n  steps: auto\npretrain:\n")
    settings = load_settings(path, environment={}, overrides=["train.crop=64"]).settings

    assert settings.model_fields_set == {"classes", "train"}
    assert settings.train.model_fields_set == {"steps", "crop"}
    assert stage_settings(settings, "train")[1] == {"classes", "train.steps", "train.crop"}
    assert stage_settings(settings, "pretrain")[1] == set()


def test_a_misspelt_key_names_the_nearest_and_the_line(tmp_path):
    error = refusal(write(tmp_path, "classes: 4\n\ntrain:\n  lerning_rate: 0.1\n"))

    assert error.message == "unknown key `train.lerning_rate`, did you mean `train.learning_rate`? (fs4.yaml line 4)"
    assert error.exit_code == 3


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("clases", "classes"),
        ("learning_rate", "train.learning_rate"),
        ("steps", "train.steps"),
        ("Train.steps", "train.steps"),
        ("ingest.cachesize", "ingest.cache_size"),
        ("train.flip", "predict.flip"),
        ("tran.steps", "train.steps"),
        ("pretran.steps", "pretrain.steps"),
        ("pretrain.stps", "pretrain.steps"),
    ],
)
def test_the_nearest_key_is_found_by_its_whole_name_or_its_last_word(key, nearest):
    assert f"did you mean `{nearest}`?" in refusal(overrides=[f"{key}=1"]).message


def test_a_key_like_no_other_gets_no_suggestion():
    error = refusal(overrides=["qqq.zzz=1"])

    assert error.message == "unknown key `qqq.zzz` (--set)"
    assert error.hints == ("`fs4 config show` lists every setting",)


def test_an_unknown_variable_is_named_as_a_variable():
    error = refusal(environment={"FS4__TRAIN__LERNING_RATE": "1"})

    assert "did you mean `FS4__TRAIN__LEARNING_RATE`? (FS4__TRAIN__LERNING_RATE)" in error.message


def test_variables_without_the_double_underscore_are_no_settings():
    loaded = load_settings(None, environment={"FS4_PROJECT": "x", "FS4_DATA": "y", "FS4__CLASSES": ""})

    assert loaded.settings.model_fields_set == set()


@pytest.mark.parametrize(
    ("override", "message", "detail"),
    [
        ("classes=1", "bad value `1` for `classes` (--set)", "`auto` or a whole number, at least 2 and at most 1000"),
        ("train.crop=big", "bad value `big` for `train.crop` (--set)", "`auto` or a whole number, at least 1"),
        ("train.crop=true", "bad value `true` for `train.crop` (--set)", "`auto` or a whole number, at least 1"),
        ("preset=huge", "bad value `huge` for `preset` (--set)", "`auto`, `tiny`, `small`, `base` or `large`"),
        ("cluster.grids=1,x", "bad value `[1, x]` for `cluster.grids` (--set)", "a list, each a whole number"),
        ("predict.flip=perhaps", "bad value `perhaps` for `predict.flip` (--set)", "true or false"),
        ("seed=-1", "bad value `-1` for `seed` (--set)", "a whole number, at least 0 and less than 2147483648"),
        (
            "train.learning_rate=inf",
            "bad value `inf` for `train.learning_rate` (--set)",
            "a number, more than 0 and at most 1",
        ),
        ("ingest.decode_seconds=inf", "bad value `inf` for `ingest.decode_seconds` (--set)", "a number, more than 0"),
        ("train.steps=null", "bad value `none` for `train.steps` (--set)", "`auto` or a whole number, at least 1"),
    ],
)
def test_a_bad_value_is_refused_with_what_the_setting_takes(override, message, detail):
    error = refusal(overrides=[override])
    key = override.partition("=")[0]

    assert error.message == message
    assert error.details == (f"`{key}` takes {detail}",)


def test_a_bad_value_in_the_file_names_its_line(tmp_path):
    error = refusal(write(tmp_path, "# comment\ntrain: {steps: 0}\n"))

    assert error.message == "bad value `0` for `train.steps` (fs4.yaml line 2)"


def test_a_good_value_does_not_hide_a_bad_one_of_another_layer(tmp_path):
    error = refusal(write(tmp_path, "classes: 0\n"), overrides=["seed=3"])

    assert "`classes` (fs4.yaml line 1)" in error.message


@pytest.mark.parametrize("override", ["train.steps", "=3", "classes 3"])
def test_an_override_without_a_value_is_a_usage_error(override):
    with pytest.raises(UsageError, match="is not `key=value`"):
        load_settings(None, environment={}, overrides=[override])


def test_a_section_is_no_setting():
    assert "`train` is a section of settings" in refusal(overrides=["train=3"]).message


@pytest.mark.parametrize("text", ["1,2,4", "[1, 2, 4]", "1, 2,4"])
def test_lists_are_written_with_or_without_brackets(text):
    loaded = load_settings(None, environment={"FS4__CLUSTER__GRIDS": text})

    assert loaded.settings.cluster.grids == (1, 2, 4)


def test_one_number_is_a_list_of_one():
    assert load_settings(None, environment={}, overrides=["cluster.grids=2"]).settings.cluster.grids == (2,)


def test_auto_stays_auto_where_a_list_could_stand():
    assert load_settings(None, environment={}, overrides=["cluster.clusters=auto"]).settings.cluster.clusters == "auto"


def test_paths_in_the_file_start_at_the_file_and_others_where_one_types(tmp_path):
    path = write(tmp_path, "images: ../photos\npretrain:\n  weights: w.safetensors\n")
    here = Path("/somewhere/else")
    loaded = load_settings(path, environment={}, folder=here)
    typed = load_settings(path, environment={}, overrides=["images=more,of/it"], folder=here)

    assert loaded.settings.images == (str(tmp_path.parent / "photos"),)
    assert loaded.settings.pretrain.weights == str(tmp_path / "w.safetensors")
    assert typed.settings.images == ("/somewhere/else/more,of/it",)


def test_text_settings_keep_text_that_looks_like_something_else(tmp_path):
    path = write(tmp_path, "images: [2020, '3', a b]\ndevice: 1:30\nmodel:\n  backbone: 1e3\n")
    settings = load_settings(path, environment={}).settings

    assert [Path(image).name for image in settings.images] == ["2020", "3", "a b"]
    assert settings.device == "1:30"
    assert settings.model.backbone == "1e3"


def test_nothing_in_a_value_is_expanded_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    path = write(tmp_path, "images: $SECRET/${SECRET}\n")

    assert load_settings(path, environment={}).settings.images == (str(tmp_path / "$SECRET/${SECRET}"),)


def test_a_missing_file_is_an_empty_one(tmp_path):
    assert load_settings(tmp_path / "fs4.yaml", environment={}).settings.model_fields_set == set()


def test_a_file_that_is_no_text_names_the_line(tmp_path):
    path = tmp_path / "fs4.yaml"
    path.write_bytes(b"classes: 4\n\xff\xfe\n")

    assert refusal(path).message == "`fs4.yaml` is not UTF-8 text (line 2)"


def test_a_byte_order_mark_is_no_key(tmp_path):
    path = tmp_path / "fs4.yaml"
    path.write_bytes(b"\xef\xbb\xbfclasses: 4\n")

    assert load_settings(path, environment={}).settings.classes == 4
