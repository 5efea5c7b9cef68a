import threading
import time

import numpy as np
import pytest
import torch

from fs4cli.data.batches import Batch, BatchSource, prefetch


def make_images(sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    """Images whose red is the row, green the column and blue the image's own number."""
    images = []
    for number, (height, width) in enumerate(sizes):
        rows, columns = np.mgrid[:height, :width]
        images.append(np.stack([rows, columns, np.full_like(rows, number)], axis=2).astype(np.uint8))
    return images


def make_source(count: int = 7, batch_size: int = 3, seed: int = 0, window: tuple[int, int] = (4, 6)) -> BatchSource:
    return BatchSource(make_images([(10, 12)] * count), batch_size=batch_size, window=window, seed=seed)


def is_same(first: Batch, second: Batch) -> bool:
    names = ("images", "indices", "boxes", "image_sizes")
    return first.step == second.step and all(torch.equal(getattr(first, n), getattr(second, n)) for n in names)


def test_a_batch_depends_on_seed_and_step_alone():
    forward, backward = make_source(), make_source()
    ahead = [forward.batch(step) for step in range(12)]
    back = [backward.batch(step) for step in reversed(range(12))][::-1]

    assert all(is_same(a, b) for a, b in zip(ahead, back, strict=True))
    assert not is_same(make_source(seed=1).batch(5), ahead[5])


def test_the_global_generators_have_no_part_in_it():
    np.random.seed(1)
    torch.manual_seed(1)
    first = make_source().batch(3)
    np.random.seed(2)
    torch.manual_seed(2)

    assert is_same(make_source().batch(3), first)


@pytest.mark.parametrize(("count", "batch_size"), [(7, 3), (6, 3), (3, 7), (1, 4), (5, 5)])
def test_every_image_comes_once_an_epoch_also_when_a_batch_spans_epochs(count, batch_size):
    source = make_source(count, batch_size)
    drawn = torch.cat([source.batch(step).indices for step in range(2 * count)]).tolist()
    epochs = [drawn[start : start + count] for start in range(0, len(drawn), count)]

    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)


def test_each_epoch_has_an_order_of_its_own():
    source = make_source(50, 50)
    orders = {tuple(source.batch(step).indices.tolist()) for step in range(5)}

    assert len(orders) == 5


def test_a_window_shows_the_pixels_that_its_box_names():
    batch = make_source().batch(0)

    for image, index, box in zip(batch.images, batch.indices, batch.boxes, strict=True):
        top, left, height, width = (box * torch.tensor([10, 12, 10, 12])).round().int().tolist()
        assert (height, width) == (4, 6)
        assert image[0].tolist() == [[top + row] * 6 for row in range(4)]
        assert image[1].tolist() == [[left + column for column in range(6)]] * 4
        assert image[2].unique().tolist() == [index]
    assert batch.image_sizes.tolist() == [[10, 12]] * 3


def test_windows_lie_everywhere_alike():
    source = make_source(1, 500)
    boxes = source.batch(0).boxes * torch.tensor([10, 12, 10, 12])
    tops, top_counts = boxes[:, 0].round().int().unique(return_counts=True)
    lefts, left_counts = boxes[:, 1].round().int().unique(return_counts=True)

    assert tops.tolist() == list(range(7))  # 10 - 4 + 1 places
    assert lefts.tolist() == list(range(7))  # 12 - 6 + 1
    # 500/7 = 71 each, with a standard deviation of 8: four of them to either side
    assert 39 < min(top_counts.min(), left_counts.min()) and max(top_counts.max(), left_counts.max()) < 104


@pytest.mark.parametrize(
    ("size", "cut"),
    [
        ((4, 6), (4, 6)),  # just as large
        ((2, 12), (2, 3)),  # too low: half the scale
        ((10, 3), (2, 3)),  # too narrow
        ((1, 50), (1, 2)),  # a line: 1.5 columns, rounded
        ((1, 1), (1, 1)),
    ],
)
def test_an_image_smaller_than_the_window_gives_the_largest_of_its_shape_enlarged(size, cut):
    source = BatchSource(make_images([size]), batch_size=8, window=(4, 6), seed=0)
    batch = source.batch(0)

    assert batch.images.shape == (8, 3, 4, 6)
    extents = batch.boxes[:, 2:] * torch.tensor(size)
    assert extents.round().int().tolist() == [list(cut)] * 8
    assert bool((batch.boxes >= 0).all()) and bool((batch.boxes[:, :2] + batch.boxes[:, 2:] <= 1 + 1e-6).all())


def test_an_enlarged_window_keeps_its_own_colours():
    source = BatchSource([np.full((2, 2, 3), 77, np.uint8)], batch_size=1, window=(8, 8), seed=0)

    assert source.batch(0).images.unique().tolist() == [77]


def test_images_of_many_sizes_share_a_batch():
    source = BatchSource(make_images([(10, 12), (40, 5), (1, 1)]), batch_size=3, window=(4, 6), seed=0)
    batch = source.batch(0)

    assert sorted(map(tuple, batch.image_sizes.tolist())) == [(1, 1), (10, 12), (40, 5)]


def test_images_lie_channels_last():
    assert make_source().batch(0).images.is_contiguous(memory_format=torch.channels_last)


def test_no_images_is_the_callers_mistake():
    with pytest.raises(ValueError, match="at least one image"):
        BatchSource([], batch_size=1, window=(4, 6), seed=0)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        make_source(batch_size=0)


@pytest.mark.parametrize(("parts", "sizes"), [(1, [7]), (2, [4, 3]), (3, [2, 3, 2]), (7, [1] * 7), (9, [1] * 7)])
def test_a_batch_splits_into_even_parts_in_order(parts, sizes):
    batch = make_source(batch_size=7).batch(0)
    split = batch.split(parts)

    assert [len(part) for part in split] == sizes
    assert torch.equal(torch.cat([part.images for part in split]), batch.images)
    assert torch.equal(torch.cat([part.boxes for part in split]), batch.boxes)
    assert torch.equal(torch.cat([part.indices for part in split]), batch.indices)
    assert all(part.generator is batch.generator for part in split)


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_workers_do_not_change_the_batches(workers):
    source = make_source()
    ahead = list(prefetch(source, 4, 15, workers=workers))

    assert len(ahead) == 11
    assert all(is_same(batch, source.batch(step)) for step, batch in enumerate(ahead, start=4))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_is_over_asks_for_no_batches(workers):
    assert list(prefetch(make_source(), 5, 5, workers=workers)) == []


def test_only_a_few_batches_wait_in_memory():
    made = []
    source = make_source()
    ahead = prefetch(lambda step: (made.append(step), source.batch(step))[1], 0, 100, workers=2)
    next(ahead)
    time.sleep(0.1)

    assert sorted(made) == [0, 1, 2]
    ahead.close()


def test_closing_ends_the_threads():
    before = threading.active_count()
    ahead = prefetch(make_source(), 0, 100, workers=2)
    next(ahead)
    assert threading.active_count() > before
    ahead.close()

    assert threading.active_count() == before


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_what_goes_wrong_in_a_worker_is_raised_at_its_step(workers):
    source = make_source()

    def make(step: int) -> Batch:
        if step == 3:
            raise OSError("the disk went away")
        return source.batch(step)

    ahead = prefetch(make, 0, 10, workers=workers)
    assert [next(ahead).step for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk went away"):
        next(ahead)
