"""Health and stability: figures that need no label."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fs4cli.errors import InputError
from fs4cli.evaluation.unlabelled import choose_evenly, judge_unlabelled, list_views, measure_unlabelled
from fs4cli.progress import SilentProgress


@dataclass(frozen=True)
class Rule:
    """A model that is a rule on red values; what it sees is the image itself."""

    of: str = "red"
    clusters = 4
    key, identity, scaling = "rule", {}, ""

    def prepare(self, pixels):
        return pixels

    def segment(self, images):
        return list(images)

    def choose(self, small, size):
        assert small.shape[:2] == size
        red = small[..., 0].astype(int)
        return {
            "red": red // 64,
            "nothing": np.zeros_like(red),
            "place": np.broadcast_to(np.arange(red.shape[1]) * 4 // red.shape[1], red.shape),
        }[self.of].astype(np.uint16)


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    random = np.random.default_rng(0)
    for number in range(3):
        reds = np.kron(random.choice([0, 120, 180, 250], (4, 5)), np.ones((8, 8), int))
        Image.fromarray(np.dstack([reds] * 3).astype(np.uint8)).save(tmp_path / f"{number}.png")
    return sorted(tmp_path.iterdir())


def look(photos, of, progress=None):
    rule = Rule(of)
    return measure_unlabelled(photos, rule, list_views(rule, rule), workers=1, progress=progress or SilentProgress())


def test_a_rule_on_colours_does_not_mind_a_mirror_but_more_light(photos):
    found = look(photos, "red")
    stability = found["stability"]
    assert stability["mirrored"] == stability["smaller"] == {"agreement": 1, "kappa": 1, "miou": 1}
    assert stability["brighter"]["agreement"] < 1
    assert found["health"]["effective_clusters"] == pytest.approx(4, abs=0.3)
    assert sum(found["shares"]) == pytest.approx(1)
    assert judge_unlabelled(found) == ["the masks change much when the image is brighter"]


def test_a_rule_on_places_changes_under_a_mirror_and_that_is_said(photos):
    found = look(photos, "place")
    # quarters of the width become the opposite ones: none agrees
    assert found["stability"]["mirrored"]["agreement"] == 0
    assert found["stability"]["brighter"]["agreement"] == 1
    assert judge_unlabelled(found) == ["the masks change much when the image is mirrored"]


def test_one_class_for_everything_agrees_with_itself_but_not_beyond_chance(photos):
    found = look(photos, "nothing")
    assert found["stability"]["mirrored"] == {"agreement": 1, "kappa": None, "miou": 1}
    assert found["health"]["largest_share"] == found["health"]["single_cluster_images"] == 1
    assert len(judge_unlabelled(found)) == 2


def test_unreadable_images_are_left_out_and_said(photos):
    photos[0].write_bytes(b"")
    progress = SilentProgress()
    assert look(photos, "red", progress)["images"] == 2
    assert "0 bytes" in progress.warned[0]
    with pytest.raises(InputError, match="none of the images"):
        look(photos[:1], "red")


def test_of_many_images_some_are_chosen_evenly():
    paths = [Path(str(number)) for number in range(1000)]
    chosen = choose_evenly(paths, 5)
    assert [int(path.name) for path in chosen] == [0, 250, 500, 749, 999]
    assert choose_evenly(paths[:4], 5) == paths[:4]
