"""The rounds of PiCIE and MDC: cluster the features, learn from the clusters, again; last, centroids to predict by.

In: a segmenter whose head are centroids, batches, the cached images. Out: the same segmenter, trained, and how it
divides the images. A round is a frozen network with its centroids, kept on disk, so that a killed run ends as one left
alone; `round.json` comes last and says that the round is whole.

Follows: PiCIE (Cho et al., 2021): features are clustered anew for each epoch; the final clusters are found in images
that nothing was done to.
Ours: k-means of a uniform sample of the pixels instead of mini-batches over all of them; any number of rounds.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save

from fs4cli.clustering.health import Division, count_edges, measure_health
from fs4cli.clustering.kmeans import fit_kmeans
from fs4cli.clustering.learned import FeatureClusters, fit_feature_clusters
from fs4cli.clustering.pixels import PixelMaps
from fs4cli.data.batches import BatchSource, Images
from fs4cli.errors import Interrupted
from fs4cli.files import hash_file, read_json, write_bytes, write_json
from fs4cli.model.device import Precision, autocast
from fs4cli.model.extraction import extract_maps
from fs4cli.model.heads import CentroidHead
from fs4cli.model.segmenter import Segmenter
from fs4cli.progress import Progress
from fs4cli.training.fit import FitResult
from fs4cli.training.picie import Picie, PicieRound

IMAGES, PIXELS = 256, 200
"""Images that a round's centroids are found on, at most, and pixels of each view of them."""

SAMPLE = 150
"""Images that the final centroids are found on, at most."""

_FILE = "round.safetensors"


def train_in_rounds(
    objective: Picie,
    source: BatchSource,
    folder: Path,
    *,
    clusters: int,
    rounds: int,
    fit_until: Callable[[int], FitResult],
    seed: int,
    device: torch.device,
    precision: Precision,
    progress: Progress,
) -> list[FitResult]:
    """Train for all rounds, or go on where it stopped.

    Args:
        objective: Its network is as the first round is to find it; later states come from checkpoints.
        source: Of the batches that `fit_until` learns from; the centroids are found on the same images.
        folder: Of the stage; rounds lie in it.
        clusters: How many.
        rounds: How many.
        fit_until: Learns until the end of a round, counted from 1.
        seed: Of views and k-means.
        device: Where to work.
        precision: Of the network's work.
        progress: Is told of each round.
    """
    begun = max((number for number in range(1, rounds + 1) if read_round(_place(folder, number))), default=1)
    parts = []
    for number in range(begun, rounds + 1):
        place = _place(folder, number)
        if read_round(place) is None:
            progress.say(f"train: round {number} of {rounds}, finding {clusters} clusters")
            options = {"clusters": clusters, "number": number, "seed": seed, "device": device, "precision": precision}
            write_round(place, find_round(objective, source, **options))
        found = read_round(place)
        assert found is not None, "it was just written"
        objective.set_round(found)
        remove_round(_place(folder, number - 1))
        parts.append(fit_until(number))
    return parts


def find_round(
    objective: Picie,
    source: BatchSource,
    *,
    clusters: int,
    number: int,
    seed: int,
    device: torch.device,
    precision: Precision,
) -> PicieRound:
    """Freeze the network and find the centroids of each view.

    Args:
        objective: Whose network, as it is now.
        source: Of batches; the first ones are looked at, the same in every round.
        clusters: How many.
        number: Of the round.
        seed: Of views, sampling and k-means.
        device: Where to work.
        precision: Of the network's work.
    """
    network = objective.segmenter.network.eval()
    looks = -(-min(IMAGES, len(source.cache)) // source.batch_size)
    rows: list[list[np.ndarray]] = [[] for _ in range(objective.options.views)]
    for look in range(looks):
        key = np.random.SeedSequence([seed, 47, number, look])
        generator = torch.Generator().manual_seed(int(key.generate_state(1)[0]))
        batch = replace(source.batch(look), generator=generator).to(device)
        with torch.inference_mode(), autocast(device, precision):
            images, geometry = objective.make_views(batch)
            views = objective.embed(network, images, geometry)
        for own, features in zip(rows, views, strict=True):
            flat = features.permute(0, 2, 3, 1).flatten(1, 2).cpu()
            chosen = torch.randperm(flat.shape[1], generator=generator)[:PIXELS]
            own.append(torch.nn.functional.normalize(flat[:, chosen].flatten(0, 1), dim=1).numpy())
    network.train()
    centroids, shares = [], []
    for own in rows:
        vectors = np.concatenate(own)
        found = fit_kmeans(vectors, clusters, seed=seed + number, spherical=True).centroids
        centroids.append(found)
        shares.append(np.bincount((vectors @ found.T).argmax(1), minlength=clusters) / len(vectors))
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    return PicieRound(
        weights, torch.from_numpy(np.stack(centroids)), torch.from_numpy(np.stack(shares).astype(np.float32))
    )


def write_round(folder: Path, found: PicieRound) -> None:
    """Write a round, whole or not at all."""
    tensors = {f"network.{name}": value for name, value in sorted(found.weights.items())}
    write_bytes(folder / _FILE, save({**tensors, "centroids": found.centroids, "shares": found.shares}))
    write_json(folder / "round.json", {"files": {_FILE: hash_file(folder / _FILE)}})


def read_round(folder: Path) -> PicieRound | None:
    """A round from disk; None if it was not finished, or is not what was written."""
    try:
        if hash_file(folder / _FILE) != read_json(folder / "round.json")["files"][_FILE]:
            return None
    except FileNotFoundError:
        return None
    tensors = load_file(folder / _FILE)
    centroids, shares = tensors.pop("centroids"), tensors.pop("shares")
    return PicieRound({name.removeprefix("network."): value for name, value in tensors.items()}, centroids, shares)


def remove_round(folder: Path) -> None:
    """Remove a round that no run will go back to; `round.json` goes first."""
    for name in ("round.json", _FILE):
        (folder / name).unlink(missing_ok=True)
    if folder.exists():
        folder.rmdir()


def settle_centroids(
    segmenter: Segmenter,
    images: Images,
    *,
    short_side: int,
    seed: int,
    device: torch.device,
    precision: Precision,
    progress: Progress,
) -> Division:
    """Give the segmenter the clusters of its features in untouched images, and see how it divides all of them.

    Args:
        segmenter: Its head's centroids are changed in place.
        images: As they are learned from.
        short_side: At which the network looks, in pixels.
        seed: Of the sample and of k-means.
        device: Where to work.
        precision: Of the network's work.
        progress: Is told of each image.

    Raises:
        Interrupted: A signal asked to stop; the same command does it again.
    """
    head = segmenter.head
    if not isinstance(head, CentroidHead):
        raise ValueError("the segmenter's head has no centroids")
    segmenter.to(device, memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue]
    extract = partial(extract_maps, images=images, short_side=short_side, device=device, precision=precision)
    sample = np.sort(np.random.default_rng([seed, 29]).permutation(len(images))[:SAMPLE]).tolist()
    clusters: FeatureClusters = fit_feature_clusters(
        (PixelMaps(maps.features, maps.axes) for maps in extract(segmenter.network, positions=sample)),
        len(head.centroids),
        number=len(sample),
        seed=seed,
    )
    head.centroids.copy_(torch.from_numpy(clusters.centroids))
    counts, edges, pixels = [], [], []
    with progress.task("assign", len(images), unit="images") as task:
        for maps in extract(segmenter, positions=range(len(images))):
            mask = maps.features.argmax(2)
            counts.append(np.bincount(mask.ravel(), minlength=len(head.centroids)).astype(float))
            edges.append(count_edges(mask))
            pixels.append(mask.size)
            task.advance()
            signal = progress.stop_requested()
            if signal is not None:
                raise Interrupted(
                    "stopped while pixels were being assigned", signal=signal, hints=("the same command does it again",)
                )
    stacked = np.stack(counts)
    return Division(measure_health(stacked, np.array(edges), np.array(pixels)), stacked.sum(0) / stacked.sum())


def _place(folder: Path, number: int) -> Path:
    return folder / f"round-{number}"
