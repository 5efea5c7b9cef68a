"""Any timm network as maps at four strides."""

import socket

import pytest
import torch

from fs4cli.errors import ConfigError
from fs4cli.model.backbone import build_backbone
from fs4cli.project.plan import PRESETS


@pytest.mark.parametrize("name", [*sorted({preset.backbone for preset in PRESETS.values()}), "vgg11", "swin_tiny"])
def test_every_planned_backbone_and_others_give_maps_at_four_strides(name):
    backbone = build_backbone({"swin_tiny": "swin_tiny_patch4_window7_224"}.get(name, name)).eval()
    with torch.inference_mode():
        maps = backbone(torch.rand(1, 3, 64, 96))
    assert [tuple(features.shape[1:]) for features in maps] == [
        (width, 64 // stride, 96 // stride) for width, stride in zip(backbone.channels, (4, 8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_patch16_224", "eva02_tiny_patch14_224"])
def test_a_plain_vit_gives_four_maps_too(name):
    backbone = build_backbone(name).eval()
    with torch.inference_mode():
        maps = backbone(torch.rand(2, 3, 96, 64))
    assert [tuple(features.shape) for features in maps] == [
        (2, 192, 24, 16), (2, 192, 12, 8), (2, 192, 6, 4), (2, 192, 3, 2)
    ]  # fmt: skip
    # from four depths: no two of them are the same map at another size
    assert len({features.mean().item() for features in maps}) == 4


@pytest.mark.parametrize("name", ["mixer_s16_224", "levit_128s", "inception_v3"])
def test_a_network_that_cannot_take_any_size_is_refused(name):
    with pytest.raises(ConfigError, match=f"`{name}` gives no feature maps"):
        build_backbone(name)


def test_an_unknown_name_is_refused_with_those_near_it():
    with pytest.raises(ConfigError, match="no backbone called `resnet1`") as caught:
        build_backbone("resnet1")
    assert "resnet18" in caught.value.hints[0]


def test_a_pattern_is_no_name():
    with pytest.raises(ConfigError):
        build_backbone("resnet*")


def test_a_new_backbone_is_ready_to_be_trained():
    assert build_backbone("resnet10t").training
    assert all(module.training for module in build_backbone("resnet10t").modules())


def test_weights_are_random_and_nothing_is_downloaded(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("the internet was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)

    def first_weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return next(build_backbone("resnet10t").parameters())

    assert torch.equal(first_weights(0), first_weights(0))
    assert not torch.equal(first_weights(0), first_weights(1))
