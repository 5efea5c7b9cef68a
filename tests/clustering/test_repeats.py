import numpy as np
import pytest

from fs4cli.clustering.grouping import Grouping
from fs4cli.clustering.mixture import make_mixture
from fs4cli.clustering.repeats import RUNS, Run, draw_parts, find_typical


def show_two_heaps(random):
    """A hundred points about 0 and a hundred about 10."""
    truth = np.repeat([0, 1], 100)
    return (random.normal(0, 1, (200, 2)) + 10 * truth[:, None]).astype(np.float32), truth


def find_as(divisions, rows):
    """A finder that divides all rows as the next of the divisions says."""
    left = iter(divisions)

    def find(part, seed):
        ids = next(left)
        return Run(Grouping("all", (0, 1), make_mixture(rows, ids, 2)), {}, ids)

    return find


def test_each_run_sees_three_of_five_images_whole():
    for part in draw_parts([10] * 20, seed=0):
        assert np.bincount(part // 10).tolist().count(10) == len(part) // 10 == 12


def test_the_division_that_only_one_run_found_is_not_taken(random):
    rows, truth = show_two_heaps(random)
    odd = random.permutation(truth)
    find = find_as([odd, truth, 1 - truth, truth, 1 - truth], rows)
    typical = find_typical(find, rows, [np.arange(200)] * RUNS, np.zeros(200, bool), 2, seed=0)

    assert (typical.run.ids == truth).all() or (typical.run.ids == 1 - truth).all()
    # alike to three of the other four, and to the odd one by chance: about 3/4
    assert typical.agreement == pytest.approx(0.75, abs=0.03)
    assert not typical.is_inside


@pytest.mark.parametrize("is_better", [False, True])
def test_insides_alone_are_taken_only_if_they_explain_more(random, is_better):
    rows, truth = show_two_heaps(random)
    everywhere = [random.permutation(truth) for _ in range(RUNS)]
    alone = [truth] * RUNS if is_better else everywhere
    inside = np.arange(200) % 2 == 0
    typical = find_typical(find_as(everywhere + alone, rows), rows, [np.arange(200)] * RUNS, inside, 2, seed=0)

    assert typical.is_inside is is_better
    assert (typical.run.ids == truth).all() is np.bool_(is_better)
