import numpy as np
import pytest

from fs4cli.clustering import finder as finders
from fs4cli.clustering.finder import Finder, PlainGroupings

EVIDENCE = {"colour": (0, 1, 2), "all": (0, 1, 2, 3)}


@pytest.fixture
def plain(random):
    """Three hundred points about 0 and a hundred about 6, on each of four axes."""
    truth = np.repeat([0, 1], [300, 100])
    sample = (random.normal(0, 1, (400, 4)) + 6 * truth[:, None]).astype(np.float32)
    return PlainGroupings(sample, sample, 2, EVIDENCE, spread=True)


def count_listings(monkeypatch):
    asked, real = [], finders.list_groupings
    monkeypatch.setattr(finders, "list_groupings", lambda *a, **k: asked.append(k["seed"]) or real(*a, **k))
    return asked


def test_groupings_of_a_draw_are_made_once_with_learned_features_and_without(plain, random, monkeypatch):
    asked, part = count_listings(monkeypatch), np.arange(0, 400, 2)
    wider = np.concatenate([plain.sample, random.normal(0, 1, (400, 4)).astype(np.float32)], axis=1)
    alone, joined = Finder(plain, plain.sample), Finder(plain, wider)
    before = dict(alone.weigh(part, 7))
    joined.find(part, 7, None, False)
    alone.find(part, 7, "all", False)

    assert asked == [7]
    # what learned features explain is told of the run, and not taken for plain evidence
    assert alone.weigh(part, 7) == before
    assert list(before) == ["colour, plain k-means", "colour", "all"]


def test_another_draw_or_seed_is_grouped_anew(plain, monkeypatch):
    asked, finder = count_listings(monkeypatch), Finder(plain, plain.sample)
    for part, seed in ((np.arange(200), 1), (np.arange(200, 400), 1), (np.arange(200), 2)):
        finder.weigh(part, seed)

    assert asked == [1, 1, 2]


def test_a_run_believes_the_evidence_it_is_told_to_and_else_its_own_choice(plain):
    finder, part = Finder(plain, plain.sample), np.arange(400)

    assert finder.find(part, 0, "all", False).grouping.name == "all"
    assert finder.find(part, 0, None, False).grouping.name == "colour, plain k-means"
