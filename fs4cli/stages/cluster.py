"""Pretrained network to pyramid pseudo-labels (PGG).

In: the pretrained network and the cache. Out: for each pyramid level the pooled features, kept for another number of
clusters, and the soft label of every cell. Of very many images, or in little time, of a part of them only: the one that
train then learns from.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from fs4cli.clustering.feature_store import FeatureStore
from fs4cli.clustering.pyramid import group_cells
from fs4cli.config import Settings
from fs4cli.data.batches import Images
from fs4cli.data.cache import ImageCache
from fs4cli.data.cells import divide_map
from fs4cli.data.chosen import choose_images
from fs4cli.errors import Interrupted
from fs4cli.files import hash_file, write_atomic
from fs4cli.model.device import choose_device, choose_precision
from fs4cli.model.extraction import extract_maps
from fs4cli.model.network import DenseNetwork, load_network
from fs4cli.model.pooling import pool_cells
from fs4cli.planning.budget import plan_images
from fs4cli.planning.facts import ASSIGN_AT, look_larger
from fs4cli.planning.stage import close_stage, open_stage, whole
from fs4cli.progress import Progress
from fs4cli.project.project import Project
from fs4cli.project.record import read_record, recorded_value
from fs4cli.training.assigning import measure_assigning

_SAVE_EVERY = 200
"""Images between saves of the feature store."""


@dataclass(frozen=True)
class ClusterResult:
    """What cluster made.

    Args:
        images: How many.
        levels: For each pyramid level, cells per side, clusters, and mean confidence of the labels.
        is_new: False if the result was there already.
    """

    images: int
    levels: list[dict[str, int | float]]
    is_new: bool


def run_cluster(project: Project, settings: Settings, *, progress: Progress, fresh: bool = False) -> ClusterResult:
    """Pool features over the pyramid's cells and group them, level by level.

    Raises:
        ProjectError: pretrain has not finished, or the result is stale.
        Interrupted: A signal asked to stop; the features so far are kept.
    """
    opened = open_stage(project, "cluster", settings, progress=progress, fresh=fresh)
    if opened.is_done:
        progress.say("cluster: done already")
        return ClusterResult(is_new=False, **opened.record.summary)
    cache = ImageCache.open(project.cache)
    network = load_network(project.pretrained, opened.settings.model.backbone, opened.settings.model.channels)
    measure = partial(_measure_image, network, cache, project, opened.settings)
    opened = plan_images(project, opened, budget=settings.budget, seconds_per_image=measure)
    chosen = opened.settings.cluster
    images = choose_images(cache, whole(chosen.images), seed=opened.settings.seed)
    if len(images) < len(cache):
        progress.say(f"cluster: {len(images):,} of {len(cache):,} images, drawn at random; the plan says why")
    stores = _open_stores(project, opened.settings, len(images), is_all=len(images) == len(cache))
    _fill_stores(stores, network, images, project, opened.settings, progress)
    outputs, levels = {}, []
    if isinstance(chosen.clusters, str):
        raise ValueError("cluster.clusters has not been planned")
    for (grid, store), clusters in zip(stores.items(), chosen.clusters, strict=True):
        cells = len(images) * grid * grid
        seed = opened.settings.seed
        level = group_cells(store.array, min(whole(clusters), cells), seed=seed, balanced=chosen.balanced)
        for name, array in (("labels", level.labels), ("centroids", level.centroids)):
            path = store.path.with_name(f"{name}.npy")
            with write_atomic(path) as file:
                np.save(file, array, allow_pickle=False)
            outputs[f"level-{grid}/{name}"] = hash_file(path)
        sure = round(float(level.confidence.mean()), 4)
        levels.append({"grid": grid, "clusters": level.labels.shape[2], "confidence": sure})
    summary = {"images": len(images), "levels": levels}
    close_stage(project, opened, outputs=outputs, summary=summary)
    return ClusterResult(is_new=True, **summary)


def _measure_image(network: DenseNetwork, cache: ImageCache, project: Project, settings: Settings) -> float:
    """Seconds of assigning one image in all rounds of train, about."""
    device = choose_device(settings.device)
    side = look_larger(recorded_value(project, "pretrain", "pretrain.window"), ASSIGN_AT, cache.short_side)
    first = measure_assigning(
        network.to(device),
        cache,
        classes=whole(settings.classes),
        refine=settings.train.refine,
        short_side=side,
        device=device,
        precision=choose_precision(settings.precision, device),
    )
    return first * settings.train.rounds


def _open_stores(project: Project, settings: Settings, images: int, *, is_all: bool) -> dict[int, FeatureStore]:
    pretrained = read_record(project, "pretrain")
    key = pretrained.fingerprint if pretrained else ""
    if not is_all:
        key += f", images drawn with seed {settings.seed}"
    return {
        grid: FeatureStore(
            project.stage("cluster") / f"level-{grid}" / "features.npy",
            (images, grid * grid, settings.model.channels),
            key=key,
        )
        for grid in settings.cluster.grids
    }


def _fill_stores(
    stores: dict[int, FeatureStore],
    network: DenseNetwork,
    images: Images,
    project: Project,
    settings: Settings,
    progress: Progress,
) -> None:
    done = min(store.rows for store in stores.values())
    for store in stores.values():
        store.rows = done
    device = choose_device(settings.device)
    precision = choose_precision(settings.precision, device)
    network = network.to(device)
    short_side = recorded_value(project, "pretrain", "pretrain.window")
    looks = {"short_side": short_side, "device": device, "precision": precision, "with_axes": False}
    with progress.task("cluster", len(images), unit="images", done=done) as task:
        for maps in extract_maps(network, images, range(done, len(images)), **looks):
            features = torch.from_numpy(maps.features).permute(2, 0, 1)[None]
            height, width = features.shape[2:]
            for grid, store in stores.items():
                cells = divide_map((height, width), grid)[None]
                store.write(maps.position, pool_cells(features, cells, grid * grid)[0][0].numpy())
            task.advance()
            signal = progress.stop_requested()
            if signal is not None or (maps.position + 1) % _SAVE_EVERY == 0:
                for store in stores.values():
                    store.save()
            if signal is not None:
                raise Interrupted(
                    f"stopped after {maps.position + 1} of {len(images)} images",
                    signal=signal,
                    hints=("the same command goes on from there",),
                )
    for store in stores.values():
        store.save()
