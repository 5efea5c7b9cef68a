"""One round's assignment: the pseudo-label of every pixel of every training image, and what it says as a whole.

In: soft assignments, image by image; the pyramid's labels. Out: label maps on disk, shares, health, and what pixels the
cells of each pyramid label hold. Written whole: `round.json` comes last and says that the round is complete.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32

from fs4cli.clustering.agreement import mutual_information
from fs4cli.clustering.health import Health, count_edges, measure_health
from fs4cli.data.cells import divide_map
from fs4cli.data.label_maps import LabelMaps, LabelMapWriter
from fs4cli.files import hash_file, read_json, write_atomic, write_json
from fs4cli.model.extraction import STRIDE
from fs4cli.model.local_colour import sharpen
from fs4cli.training.segmentation import GuidanceLevel

_FILES = ("labels.bin", "confidence.bin", "table.npy", "expected.npz")


@dataclass(frozen=True)
class Assignment:
    """A finished round's assignment.

    Args:
        label_maps: The pseudo-label of every pixel.
        shares: Of all pixels in each cluster, summing to 1.
        sureness: Mean confidence of each cluster's pixels, in (0, 1]; 1 for a cluster without any.
        health: Is it collapsing?
        expected: For each pyramid level, mean shares of pixel clusters in the cells of each label.
    """

    label_maps: LabelMaps
    shares: Float[np.ndarray, " k"]
    sureness: Float[np.ndarray, " k"]
    health: Health
    expected: list[Float32[np.ndarray, "_ k"]]


def refine_assignment(
    soft: Float32[np.ndarray, "h w k"], pixels: Float32[np.ndarray, "h w 3"]
) -> Float32[np.ndarray, "h w k"]:
    """A soft assignment that agrees among neighbours of the same colour, with borders where colours part.

    Args:
        soft: Rows summing to 1.
        pixels: The image at the same size, in [0, 1].
    """
    probabilities = torch.from_numpy(soft).permute(2, 0, 1)[None]
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    return sharpen(probabilities, image, stride=STRIDE)[0].permute(1, 2, 0).contiguous().numpy()


def write_assignment(
    folder: Path,
    soft_assignments: Iterable[Float32[np.ndarray, "_ _ k"]],
    pyramid: list[tuple[int, Float32[np.ndarray, "n _ _"]]],
    clusters: int,
    *,
    before: LabelMaps | None = None,
    view_agreement: float | None = None,
    more_files: tuple[str, ...] = (),
) -> Assignment:
    """Write a round's assignment, image by image.

    Args:
        folder: Of the round.
        soft_assignments: One an image, in the order of the index.
        pyramid: Cells per side and soft cell labels of each level.
        clusters: How many clusters pixels are assigned to.
        before: The assignment of the round before, of the same sizes; compared with this one.
        view_agreement: See `Health`.
        more_files: Names of files in the folder that belong to the round.
    """
    writer = LabelMapWriter(folder)
    counts, edges, areas = [], [], []
    sure = np.zeros(clusters)
    sums = [np.zeros((labels.shape[2], clusters)) for _, labels in pyramid]
    total = [np.zeros((labels.shape[2], 1)) for _, labels in pyramid]
    joint = np.zeros((clusters, clusters), np.int64)
    for position, soft in enumerate(soft_assignments):
        mask = soft.argmax(2)
        confidence = soft.max(2)
        writer.add(mask, confidence)
        sure += np.bincount(mask.ravel(), confidence.ravel(), minlength=clusters)
        counts.append(np.bincount(mask.ravel(), minlength=clusters).astype(float))
        edges.append(count_edges(mask))
        areas.append(mask.size)
        if before is not None:
            pairs = before[position].astype(np.int64) * clusters + mask
            joint += np.bincount(pairs.ravel(), minlength=clusters**2).reshape(clusters, clusters)
        for level, (grid, labels) in enumerate(pyramid):
            shares = count_cell_shares(mask, grid, clusters)
            sums[level] += labels[position].T @ shares
            total[level] += labels[position].sum(0)[:, None]
    label_maps = writer.finish()
    stacked = np.stack(counts)
    shares = stacked.sum(0) / stacked.sum()
    sureness = np.where(stacked.sum(0) > 0, sure / np.maximum(stacked.sum(0), 1), 1.0)
    # one cell's worth of the overall mean keeps a rare label from being trusted blindly
    expected = [((rows + shares) / (mass + 1)).astype(np.float32) for rows, mass in zip(sums, total, strict=True)]
    health = replace(
        measure_health(stacked, np.array(edges), np.array(areas)),
        view_agreement=view_agreement,
        round_nmi=None if before is None else mutual_information(joint),
    )
    with write_atomic(folder / "expected.npz") as file:
        np.savez(file, *expected)
    write_json(
        folder / "round.json",
        {
            "shares": shares.tolist(),
            "sureness": sureness.tolist(),
            "health": health.as_dict(),
            "files": {name: hash_file(folder / name) for name in (*_FILES, *more_files)},
        },
    )
    # health as a resumed run will read it
    return Assignment(label_maps, shares, sureness, Health(**health.as_dict()), expected)


def read_assignment(folder: Path) -> Assignment | None:
    """A round's assignment from disk; None if it was not finished, or a file of it is not what was written."""
    try:
        values = read_json(folder / "round.json")
        if any(hash_file(folder / name) != digest for name, digest in values["files"].items()):
            return None
        label_maps = LabelMaps(folder)
        with np.load(folder / "expected.npz", allow_pickle=False) as file:
            expected = [file[f"arr_{level}"] for level in range(len(file.files))]
    except FileNotFoundError:
        return None
    shares = np.array(values["shares"])
    sureness = np.array(values.get("sureness", np.ones(len(shares))))  # rounds of 0.1 had none
    return Assignment(label_maps, shares, sureness, Health(**values["health"]), expected)


def guide(assignment: Assignment, pyramid: list[tuple[int, Float32[np.ndarray, "n _ _"]]]) -> list[GuidanceLevel]:
    """The pyramid's labels with what this assignment puts into their cells, for the objective."""
    return [
        GuidanceLevel(grid, torch.from_numpy(np.asarray(labels)), torch.from_numpy(expected))
        for (grid, labels), expected in zip(pyramid, assignment.expected, strict=True)
    ]


def count_cell_shares(mask: np.ndarray, grid: int, clusters: int) -> Float[np.ndarray, "cells k"]:
    """Shares of the clusters in each cell of a `grid` x `grid` division of a mask, row by row."""
    cells = divide_map((mask.shape[0], mask.shape[1]), grid).numpy()
    counts = np.bincount((cells * clusters + mask).ravel(), minlength=grid * grid * clusters)
    counts = counts.reshape(grid * grid, clusters).astype(float)
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)
