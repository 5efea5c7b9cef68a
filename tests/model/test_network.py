"""The dense network: normalization, backbone, decoder; saved and loaded."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fs4cli.errors import ProjectError
from fs4cli.model.decoder import Decoder
from fs4cli.model.network import DenseNetwork, build_network, load_network


def _network(seed: int = 0, channels: int = 16) -> DenseNetwork:
    torch.manual_seed(seed)
    return build_network("resnet10t", channels, mean=[0.1, 0.2, 0.3], std=[0.5, 0.25, 0.0]).eval()


def _save(network: DenseNetwork, path: Path) -> Path:
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return path


def test_features_have_stride_four():
    with torch.inference_mode():
        assert _network()(torch.rand(2, 3, 32, 64)).shape == (2, 16, 8, 16)


def test_the_network_normalizes_images_itself():
    network = _network()
    images = torch.rand(1, 3, 32, 32)
    normalized = (images - torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)) / torch.tensor([0.5, 0.25, 1e-3]).view(
        1, 3, 1, 1
    )  # a channel that never varies is divided by a thousandth, not by nothing
    with torch.inference_mode():
        expected = network.decoder(network.backbone(normalized))
        assert torch.allclose(network(images), expected, atol=1e-4, rtol=1e-4)


def test_the_decoder_adds_the_strides_up():
    decoder = Decoder((1, 1), 1)
    for lateral, weight in zip(decoder.laterals, (1.0, 10.0), strict=True):
        lateral.weight.data.fill_(weight)
        lateral.bias.data.zero_()
    fine = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    coarse = torch.tensor([[[[5.0]]]])
    assert decoder([fine, coarse]).tolist() == [[[[51, 52], [53, 54]]]]


def test_what_is_loaded_computes_what_was_saved(tmp_path):
    network = _network(seed=3)
    loaded = load_network(_save(network, tmp_path / "network.safetensors"), "resnet10t", 16)
    images = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(loaded(images), network(images), atol=1e-5)
    assert loaded.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert not loaded.training


def test_weights_that_are_missing_cut_short_or_of_another_network_are_refused(tmp_path):
    path = _save(_network(), tmp_path / "network.safetensors")
    with pytest.raises(ProjectError, match="cannot be read"):
        load_network(tmp_path / "missing.safetensors", "resnet10t", 16)
    for backbone, channels in (("resnet18", 16), ("resnet10t", 24)):
        with pytest.raises(ProjectError, match="cannot be read"):
            load_network(path, backbone, channels)
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ProjectError, match="cannot be read"):
            load_network(path, "resnet10t", 16)
