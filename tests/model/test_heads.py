"""Embeddings of unit length, and their likeness to prototypes."""

import numpy as np
import torch
from sklearn.metrics.pairwise import cosine_similarity

from fs4cli.model.heads import ProjectionHead, PrototypeHead, compare_with_centroids


def test_embeddings_have_unit_length():
    torch.manual_seed(0)
    embedding = ProjectionHead(6, 4)(torch.randn(10, 6) * 100)
    assert embedding.shape == (10, 4)
    assert torch.allclose(embedding.norm(dim=1), torch.ones(10), atol=1e-5)


def test_scores_are_cosines():
    torch.manual_seed(0)
    head = PrototypeHead(4, 3)
    head.prototypes.data *= torch.tensor([[1.0], [5.0], [0.1]])  # gradients change the length; it must not count
    embedding = torch.nn.functional.normalize(torch.randn(10, 4), dim=1)
    expected = cosine_similarity(embedding.numpy(), head.prototypes.detach().numpy())
    assert np.allclose(head(embedding).detach().numpy(), expected, atol=1e-6)


def test_half_precision_features_give_full_precision_embeddings():
    torch.manual_seed(0)
    head = ProjectionHead(6, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embedding = head(torch.randn(3, 6))
    assert embedding.dtype == torch.float32
    assert torch.allclose(embedding.norm(dim=1), torch.ones(3), atol=1e-6)


def test_lower_precision_of_the_network_rounds_no_cosine():
    directions = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    head = PrototypeHead(8, 5)
    pixels = directions.T[None, :, :, None]
    scores, logits = head(directions), compare_with_centroids(pixels, head.prototypes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(head(directions), scores)
        assert torch.equal(compare_with_centroids(pixels, head.prototypes), logits)
