"""The frame around images that are seen through something round."""

import numpy as np
import pytest
import torch

from fs4cli.clustering.context import settle_in_context
from fs4cli.clustering.frame import add_frame, find_frame, leave_out_frame
from fs4cli.clustering.grouping import Grouping
from fs4cli.clustering.mixture import make_mixture
from fs4cli.clustering.pixels import PixelMaps, fit_pixel_clusters
from fs4cli.model.axes import COLOUR, describe_cues


def draw_images(random, *, frame=0.0, inside=(45.0, 70.0), count=12):
    """Maps of 64 by 64 cells: patches of two greys, anew in each image, and a dark frame of 6 cells on all sides."""
    images = []
    for _ in range(count):
        patches = random.permutation(np.repeat(inside, 8)).reshape(4, 4)
        cues = random.normal(0, 1, (64, 64, 16)).astype(np.float32)
        cues[..., 0] += frame
        cues[..., 3:] = 0
        cues[6:58, 6:58, 0] += np.kron(patches, np.ones((13, 13))) - frame
        edge = np.ones((64, 64), bool)
        edge[6:58, 6:58] = False
        cues[edge] = 0
        cues[edge, 0] = frame
        images.append(describe_cues(torch.from_numpy(cues).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy())
    return images


def test_a_frame_is_found_and_its_middle_told_from_what_is_far_from_it(random):
    frame = find_frame(draw_images(random), 3)

    deep, free = frame.split((64, 64))
    assert deep[0, 0] and deep[3, 32] and not deep[5, 32]
    assert free[32, 32] and free[15, 32] and not free[14, 32]  # 6 cells of frame and 9 of rim
    assert not (deep & free).any()
    deep, free = frame.split((32, 48))
    assert deep[0, 0] and free[16, 24] and deep.shape == free.shape == (32, 48)


def test_no_frame_is_found_where_it_is_none(random):
    images = draw_images(random)
    moved = [np.roll(one, 5 * step, (0, 1)) for step, one in enumerate(images)]
    middle = [one[6:58, 6:58] for one in images]
    changing = draw_images(random, count=6) + draw_images(random, count=6, frame=90.0)

    assert find_frame(images, 3) is not None
    assert find_frame(moved, 3) is None  # dark, but never in the same places
    assert find_frame(middle, 3) is None
    assert find_frame(changing, 3) is None  # not still: half of the images have a bright one
    assert find_frame(images[:7], 3) is None  # too few to say what never changes
    assert find_frame(images, 2) is None  # one class would be left for all that is in it


def test_a_margin_of_the_colour_of_the_paper_is_no_frame(random):
    assert find_frame(draw_images(random, frame=70.0), 3) is None
    assert find_frame(draw_images(random, frame=90.0), 3) is not None


def test_what_is_left_of_an_image_without_its_frame_has_its_own_mean_there(random):
    images = draw_images(random)
    frame = find_frame(images, 3)
    left = leave_out_frame(images, frame)

    free = frame.split((64, 64))[1]
    assert (left[0][free] == images[0][free]).all()
    np.testing.assert_allclose(left[0][0, 0], images[0][free].mean(0), rtol=1e-4)
    assert images[0][0, 0, 0] < 0.1  # what came in is as it was
    assert leave_out_frame(images, None) is images


@pytest.mark.parametrize("axes", [(0, 1, 2), (3, 4), (4, 0)])
def test_a_cluster_for_the_frame_leaves_the_others_as_they_were(random, axes):
    ids = np.repeat([0, 1], 200)
    sample = random.normal(0, 0.1, (400, 5)).astype(np.float32)
    sample[:, 0] += 2 + ids
    sample[:, 4] += 3 * ids
    framed = random.normal(0, 0.1, (100, 5)).astype(np.float32)
    framed[:, 4] += 3  # in the texture like the second one, in colour like none
    grouping = Grouping("some", axes, make_mixture(sample[:, axes], ids, 2))

    more = add_frame(grouping, sample, framed)

    assert set(more.axes) >= set(COLOUR)
    assert (more.logits(framed).argmax(1) == 2).all()
    assert (more.logits(sample).argmax(1) == grouping.logits(sample).argmax(1)).all()
    before, after = grouping.logits(sample), more.logits(sample)
    np.testing.assert_allclose(after[:, 1] - after[:, 0], before[:, 1] - before[:, 0], atol=1e-6)
    np.testing.assert_allclose(np.exp(more.mixture.log_shares), [0.4, 0.4, 0.2])


def test_patches_in_a_frame_are_told_apart_and_the_frame_is_the_last_class(random):
    maps = [PixelMaps(np.zeros((64, 64, 0), np.float32), axes) for axes in draw_images(random)]
    clusters = fit_pixel_clusters(maps, 3, number=len(maps), seed=0)

    assert clusters.summary["framed"] and not clusters.summary["with_place"]
    mask = clusters.assign(maps[0]).argmax(2)
    assert (mask[:4] == 2).all() and (mask[:, 60:] == 2).all()
    bright = maps[0].axes[16:48, 16:48, 0] * 25 > 57.5
    middle = mask[16:48, 16:48]
    assert {middle[20, 20], middle[0, 0]} <= {0, 1}
    right = (middle == np.where(bright, 0, 1)).mean()
    assert max(right, 1 - right) > 0.97
    ruled = maps[0].axes @ clusters.rule.weights.T + clusters.rule.offsets
    assert (ruled.argmax(2) == mask).all()


def test_beside_a_frame_little_is_believed_and_the_rule_has_a_quarter_of_its_power(random):
    maps = [PixelMaps(np.zeros((64, 64, 0), np.float32), axes) for axes in draw_images(random)]
    clusters = fit_pixel_clusters(maps, 3, number=len(maps), seed=0)
    shares = clusters.assign(maps[0])

    assert (shares[0, 0] == [0, 0, 1]).all()
    assert shares[32, 8, 2] == 0 and shares[32, 8].max() <= 0.1 + 0.9 / 2 + 1e-6 < shares[32, 32].max()
    np.testing.assert_allclose(shares.sum(2), 1, atol=1e-5)
    assert clusters.rule.power == clusters.summary["rule_power"] == 0.25
    assert settle_in_context(clusters, maps, [1, 2]).rule.power == 0.25


def test_a_frame_that_leaves_too_few_pixels_for_the_classes_is_grouped_as_all_else(random):
    maps = [PixelMaps(np.zeros((64, 64, 0), np.float32), axes) for axes in draw_images(random, count=8)]
    few = [PixelMaps(one.features[::8, ::8], one.axes[::8, ::8]) for one in maps]  # 16 cells each are free

    assert find_frame([one.axes for one in few], 20) is not None
    clusters = fit_pixel_clusters(few, 20, number=8, seed=0)
    assert clusters.summary["framed"] is False and np.isfinite(clusters.assign(few[0])).all()


def test_images_without_a_frame_say_so(random):
    maps = [PixelMaps(np.zeros((52, 52, 0), np.float32), one[6:58, 6:58]) for one in draw_images(random)]

    assert fit_pixel_clusters(maps, 3, number=len(maps), seed=0).summary["framed"] is False
