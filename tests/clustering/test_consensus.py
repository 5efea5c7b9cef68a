import numpy as np
import pytest

from fs4cli.clustering.consensus import count_votes


def test_clusters_of_other_numbers_are_matched_before_votes_are_counted():
    votes = count_votes([np.array(ids) for ids in ([0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 1])], 2, reference=0)

    np.testing.assert_allclose(votes, [[1, 0], [1, 0], [1 / 3, 2 / 3], [0, 1]])


@pytest.mark.parametrize("reference", [0, 1, 2])
def test_a_reference_that_stands_alone_does_not_decide(random, reference):
    truth = np.arange(300) % 3
    groupings = [random.permutation(3)[truth] for _ in range(3)]
    groupings[reference] = random.permutation(truth)
    votes = count_votes(groupings, 3, reference=reference)
    joint = np.array([np.bincount(votes.argmax(1)[truth == kind], minlength=3) for kind in range(3)])

    # each class has one cluster of its own: a permutation of 100 times the identity
    assert sorted(joint.max(1)) == [100, 100, 100]
    assert sorted(joint.argmax(1)) == [0, 1, 2]


def test_one_grouping_alone_votes_for_itself():
    np.testing.assert_array_equal(count_votes([np.array([2, 0])], 3, reference=0), [[0, 0, 1], [1, 0, 0]])
