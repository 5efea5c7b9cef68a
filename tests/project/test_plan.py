"""What every `auto` comes to, and why."""

from dataclasses import replace

import pytest

from fs4cli.project.plan import (
    PRESETS,
    Facts,
    Planned,
    choose_preset,
    choose_window,
    plan_values,
    read_plan,
    write_plan,
)
from fs4cli.project.project import Project

FACTS = Facts(
    images=1000,
    height=256,
    width=340,
    grey_share=0.0,
    classes=11,
    device="cpu",
    device_name="cpu (2 cores)",
    cores=2,
    memory=8 * 2**30,
    precision="fp32",
    detail={64: 0.5, 128: 0.8, 192: 0.86, 256: 0.9, 384: 0.95, 512: 0.97},
)


def test_a_processor_gets_the_small_preset():
    planned = choose_preset(FACTS)
    assert planned.value == "small" and "2 cores" in planned.reason


@pytest.mark.parametrize(
    ("memory", "images", "preset"), [(8, 100_000, "base"), (24, 1_000, "base"), (24, 20_000, "large")]
)
def test_a_gpu_gets_the_large_preset_if_memory_and_images_are_many(memory, images, preset):
    facts = replace(FACTS, device="cuda", memory=memory * 2**30, images=images)
    assert choose_preset(facts).value == preset


def test_the_window_is_the_smallest_that_keeps_the_texture():
    assert choose_window(FACTS, 128, 256).value == 192
    assert choose_window(replace(FACTS, detail={128: 0.9, 192: 0.95}), 128, 256).value == 128


def test_where_texture_is_always_lost_the_window_is_the_largest():
    planned = choose_window(replace(FACTS, detail={128: 0.1, 256: 0.3}), 128, 256)
    assert planned.value == 256
    assert "30%" in planned.reason


def test_the_window_is_no_larger_than_the_images():
    assert choose_window(replace(FACTS, height=100, detail={}), 128, 256).value == 96
    assert choose_window(replace(FACTS, height=20, detail={}), 128, 256).value == 32


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("side", [20, 64, 300, 2000])
def test_views_are_multiples_of_32_and_fit_into_the_window(preset, side):
    values = plan_values(replace(FACTS, height=side, width=side), preset)
    for stage in ("pretrain", "train"):
        window, crop = values[f"{stage}.window"].value, values[f"{stage}.crop"].value
        assert crop % 32 == 0 and 32 <= crop
        assert crop <= max(window, 32)


def test_steps_are_what_shows_the_planned_number_of_windows():
    values = plan_values(FACTS, "small")
    assert values["pretrain.steps"].value == 32_000 // 32
    assert values["train.steps"].value == 20_000 // 32


def test_images_that_training_would_hardly_see_are_left_out():
    many = replace(FACTS, images=10_000)
    planned = plan_values(many, "small")["cluster.images"]
    assert planned.value == 20_000 // 4
    assert planned.reason == "training sees 20000 windows, 4 of each of these"
    assert plan_values(many, "small", train_steps=1000)["cluster.images"].value == 32_000 // 4
    assert plan_values(many, "small", train_steps=2000)["cluster.images"] == Planned(10_000, "all of them")
    assert plan_values(many, "small", train_steps=1)["cluster.images"].value == 200
    assert plan_values(FACTS, "small")["cluster.images"].value == 1000


def test_few_images_make_small_batches_but_at_least_twenty_updates():
    values = plan_values(replace(FACTS, images=3), "small")
    assert values["pretrain.batch_size"].value == 12
    few = plan_values(replace(FACTS, images=10**6), "tiny")
    assert few["train.steps"].value == 40
    assert all(plan_values(FACTS, preset)["train.steps"].value >= 20 for preset in PRESETS)


def test_clusters_are_multiples_of_the_classes():
    assert plan_values(FACTS, "small")["cluster.clusters"].value == (22, 44, 66)


def test_no_cluster_has_fewer_than_ten_cells():
    # 50 images have 50 cells of grid 1, 200 of grid 2 and 800 of grid 4
    assert plan_values(replace(FACTS, images=50), "small")["cluster.clusters"].value == (5, 20, 66)
    assert plan_values(replace(FACTS, images=2), "small")["cluster.clusters"].value == (2, 2, 3)


def test_there_are_as_many_clusters_as_levels():
    assert plan_values(FACTS, "small", grids=(1,))["cluster.clusters"].value == (22,)
    assert plan_values(FACTS, "small", grids=(1, 3, 6, 8))["cluster.clusters"].value == (22, 44, 66, 88)


def test_every_value_has_a_reason():
    for preset in PRESETS:
        assert all(planned.reason for planned in plan_values(FACTS, preset).values())


def test_what_other_stages_planned_stays_in_the_file(tmp_path):
    project = Project(tmp_path)
    assert read_plan(project)["values"] == {}
    write_plan(project, FACTS, {"pretrain.steps": Planned(5, "because")})
    write_plan(project, FACTS, {"train.steps": Planned(7, "so")})
    plan = read_plan(project)
    assert plan["values"] == {
        "pretrain.steps": {"value": 5, "reason": "because"},
        "train.steps": {"value": 7, "reason": "so"},
    }
    assert plan["facts"]["device_name"] == "cpu (2 cores)"
