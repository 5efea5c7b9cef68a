"""`--classes auto`: the number of classes that parts of the images agree on."""

import numpy as np
import pytest

from fs4cli.clustering import pixels
from fs4cli.errors import ConfigError, Interrupted
from fs4cli.progress import SilentProgress
from fs4cli.training import class_count
from fs4cli.training.class_count import ClassCount, choose_count, count_classes


class Patches:
    """Stands for the cache: pictures of square patches, each in one of some colours, with a little noise."""

    def __init__(self, random, *, colours: int, images: int = 9):
        palette = random.integers(0, 256, (colours, 3))
        while min(abs(one - other).sum() for n, one in enumerate(palette) for other in palette[:n]) < 150:
            palette = random.integers(0, 256, (colours, 3))
        self.pictures = []
        for _ in range(images):
            ids = np.kron(random.integers(0, colours, (6, 6)), np.ones((16, 16), int))
            noisy = palette[ids] + random.normal(0, 4, (96, 96, 3))
            self.pictures.append(noisy.clip(0, 255).astype(np.uint8))

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, position):
        return self.pictures[position]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Fewer pixels and numbers than a user gets."""
    monkeypatch.setattr(pixels, "VECTORS", 400)
    monkeypatch.setattr(class_count, "COUNTS", (3, 4, 6))


@pytest.mark.parametrize("colours", [3, 4])
def test_as_many_classes_are_found_as_there_are_colours(random, colours):
    found = count_classes(Patches(random, colours=colours), short_side=96, seed=0, progress=SilentProgress())
    assert found.count == colours
    assert found.agreement[colours] > 0.9
    assert tuple(found.agreement) == class_count.COUNTS


def test_the_same_images_always_have_as_many(random):
    patches = Patches(random, colours=5)
    first, second = (count_classes(patches, short_side=96, seed=3, progress=SilentProgress()) for _ in range(2))
    assert first == second


def test_what_is_nearly_as_good_and_more_is_taken():
    assert choose_count({3: 0.90, 4: 0.95, 5: 0.93, 6: 0.60}) == 5
    assert choose_count({3: 0.95, 4: 0.90, 5: 0.10}) == 3


def test_the_reason_shows_the_curve():
    assert "(3: 0.90, 4: 0.85)" in ClassCount(3, {3: 0.9, 4: 0.85}).explain()


@pytest.mark.parametrize("images", [3, 8])  # up to 8, every part of the images is all of them
def test_so_few_images_that_parts_are_all_the_same_are_refused(random, images):
    with pytest.raises(ConfigError, match=f"from {images} images"):
        count_classes(Patches(random, colours=2, images=images), short_side=96, seed=0, progress=SilentProgress())


def test_counting_can_be_stopped(random):
    class Stopped(SilentProgress):
        def stop_requested(self):
            return 15

    with pytest.raises(Interrupted):
        count_classes(Patches(random, colours=3), short_side=96, seed=0, progress=Stopped())
