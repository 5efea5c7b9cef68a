import numpy as np
import pytest

from fs4cli.clustering.grouping import (
    Grouping,
    choose_name,
    guess_far_apart,
    join_features,
    learn_from,
    list_groupings,
)
from fs4cli.clustering.mixture import make_mixture, measure_gain

EVIDENCE = {"first": (0, 1, 2), "second": (3, 4, 5), "all": (0, 1, 2, 3, 4, 5)}


def draw_vectors(random, apart_first, apart_second):
    """Two classes of 400 that lie apart by so much in the first three axes and in the last three."""
    truth = np.repeat([0, 1], 400)
    vectors = random.normal(0, 1, (800, 6))
    vectors[:, :3] += truth[:, None] * apart_first
    vectors[:, 3:] += truth[:, None] * apart_second
    return vectors.astype(np.float32), truth


def choose_grouping(vectors, clusters, evidence, *, seed):
    """The one to believe by these vectors alone, and what each explains."""
    groupings, gains = list_groupings(vectors, clusters, evidence, seed=seed)
    return next(one for one in groupings if one.name == choose_name([gains])), gains


def errors(grouping, vectors, truth):
    wrong = (grouping.logits(vectors).argmax(1) != truth).mean()
    return min(wrong, 1 - wrong)


def test_evidence_that_comes_first_is_enough_where_it_tells_the_classes(random):
    vectors, truth = draw_vectors(random, 5, 0)
    grouping, gains = choose_grouping(vectors, 2, EVIDENCE, seed=0)

    assert grouping.name == "first, plain k-means"
    assert errors(grouping, vectors, truth) < 0.01
    assert gains["second"] < 0.1 * gains["first"]


def test_evidence_that_says_nothing_is_passed_over(random):
    vectors, truth = draw_vectors(random, 0, 5)
    grouping, _ = choose_grouping(vectors, 2, EVIDENCE, seed=0)

    assert grouping.name == "second"
    assert errors(grouping, vectors, truth) < 0.01


def test_all_evidence_is_used_where_no_part_of_it_suffices(random):
    vectors, truth = draw_vectors(random, 1.3, 1.3)
    grouping, _ = choose_grouping(vectors, 2, EVIDENCE, seed=0)

    assert grouping.name == "all"
    assert errors(grouping, vectors, truth) < 0.1


def test_vectors_without_any_structure_still_get_a_grouping(random):
    grouping, _ = choose_grouping(np.ones((50, 6), np.float32), 3, EVIDENCE, seed=0)

    assert grouping.logits(np.ones((50, 6), np.float32)).shape == (50, 3)


@pytest.mark.parametrize(
    ("draws", "chosen"),
    [
        ([(0.98, 1.0)], "colour"),
        ([(0.96, 1.0)], "texture"),
        # nearly as much in most draws, but not in all of them together: 4.8 of 5
        ([(0.98, 1.0)] * 3 + [(0.93, 1.0)] * 2, "texture"),
        # not quite as much in most, but together: 4.86 of 5
        ([(0.96, 1.0)] * 3 + [(0.99, 1.0)] * 2, "colour"),
        # one draw that explains much weighs more: 5.9 of 6
        ([(4.9, 5.0), (1.0, 1.0)], "colour"),
        # where nothing explains anything the best is enough
        ([(-0.2, -0.1)], "texture"),
    ],
)
def test_evidence_is_chosen_by_what_it_explains_of_all_draws_together(draws, chosen):
    assert choose_name([{"colour": colour, "texture": texture} for colour, texture in draws]) == chosen


def test_groupings_are_judged_by_what_they_are_told_to_explain(random):
    vectors, truth = draw_vectors(random, 1.3, 1.3)
    noise = random.normal(0, 1, vectors.shape).astype(np.float32)
    groupings, gains = list_groupings(vectors, 2, EVIDENCE, seed=0, judge=noise)
    features = np.repeat(truth[:, None], 3, axis=1).astype(np.float32)
    joined, more = join_features(groupings[0], vectors, features, 2, counts=(3,), seed=0, judge=noise)

    # the groups are those of the vectors, and explain nothing of noise
    assert max(errors(one, vectors, truth) for one in groupings) < 0.2
    assert max(gains.values()) < 0.05
    assert max(more.values()) < 0.05 and more[groupings[0].name] == gains[groupings[0].name]


def test_learned_features_join_where_the_evidence_bears_them_out(random):
    vectors, truth = draw_vectors(random, 1.3, 1.3)
    features = random.normal(0, 0.3, (800, 3)).astype(np.float32)
    features[:, 0] += truth
    plain, _ = choose_grouping(vectors, 2, {"second": (3, 4, 5)}, seed=0)
    joined, gains = join_features(plain, vectors, features, 2, counts=(2, 3), seed=0)

    assert joined.name in ("second, 2 learned features", "second, 3 learned features")
    assert gains[joined.name] > gains["second"]
    assert errors(joined, np.concatenate([vectors, features], 1), truth) < 0.5 * errors(plain, vectors, truth)


def test_learned_features_that_follow_something_else_stay_out(random):
    vectors, truth = draw_vectors(random, 1.3, 1.3)
    features = random.normal(0, 0.1, (800, 3)).astype(np.float32)
    features[:, 0] += random.permutation(truth)
    plain, _ = choose_grouping(vectors, 2, EVIDENCE, seed=0)
    joined, gains = join_features(plain, vectors, features, 2, counts=(2, 3), seed=0)

    assert joined is plain
    assert max(gains.values()) == gains[plain.name]


@pytest.mark.parametrize("seed", range(4))
def test_small_groups_that_lie_apart_are_found_beside_a_large_one(random, seed):
    # six of 30 vectors each beside one of 3000; from random vectors alone, four of them or five
    angles = np.arange(6) * np.pi / 3
    corners = 30 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1)
    centres = np.concatenate([np.zeros((3000, 3)), corners.repeat(30, axis=0)])
    vectors = (centres + random.normal(size=centres.shape)).astype(np.float32)

    grouping, _ = choose_grouping(vectors, 7, {"colour": (0, 1, 2)}, seed=seed)

    assert len(set(grouping.logits(vectors).argmax(1)[3000::30])) == 6


def test_a_small_group_between_large_ones_is_found_from_far_starts_by_some_seeds_and_then_by_all(random):
    # 1200 vectors spread wide, 600 beside them, 40 between: to cut the wide ones in two is likelier in three cues, but
    # two more, which judge, know the 40 alone. The likeliest mixture from random vectors never finds them
    wide = random.normal(0, 1, (1200, 3)) * (5, 1, 1)
    beside, small = random.normal(0, 1, (600, 3)) + (0, 10, 0), random.normal(0, 1, (40, 3)) + (0, 5, 6)
    truth = np.repeat([0, 1, 2], [1200, 600, 40])
    hidden = random.normal(0, 1, (1840, 2)) + 8 * (truth == 2)[:, None]
    vectors = np.concatenate([np.concatenate([wide, beside, small]), hidden], axis=1).astype(np.float32)

    def finds(grouping):
        found = grouping.logits(vectors).argmax(1)
        named = np.bincount(found[truth == 2]).argmax()
        return (found[truth == 2] == named).mean() > 0.9 and (found[truth < 2] != named).mean() > 0.98

    groupings = [choose_grouping(vectors, 3, {"colour": (0, 1, 2)}, seed=seed)[0] for seed in range(6)]
    tried = [
        learn_from(one, vectors, guess_far_apart(one, vectors, 3, seed=seed), 3, judge=vectors)[0]
        for seed, one in enumerate(groupings)
    ]
    divisions = [one.logits(vectors).argmax(1) for one in tried]
    learned = [learn_from(one, vectors, divisions, 3, judge=vectors)[0] for one in tried]

    assert sum(map(finds, groupings)) == 0
    assert sum(map(finds, tried)) >= 2
    assert all(map(finds, learned))


def group_as(ids, rows):
    return Grouping("first, plain k-means", (0, 1, 2), make_mixture(rows[:, :3], ids, 2), is_plain=True)


def test_a_grouping_learns_from_another_that_explains_clearly_more(random):
    rows, truth = draw_vectors(random, 5, 0)
    own = group_as(np.where(rows[:, 4] > 0, 1, 0), rows)
    learned, gain = learn_from(own, rows, [random.permutation(truth), truth], 2, judge=rows)

    assert errors(learned, rows, truth) < 0.01
    assert (learned.name, learned.is_plain) == ("first", False)
    assert gain == pytest.approx(measure_gain(rows, truth, 2), rel=0.02)


def test_a_grouping_stays_where_others_explain_as_much_or_there_are_none(random):
    rows, truth = draw_vectors(random, 5, 0)
    own = group_as(truth, rows)

    for guesses in ([], [truth, 1 - truth, random.permutation(truth)]):
        assert learn_from(own, rows, guesses, 2, judge=rows)[0] is own


def test_nothing_is_learned_from_noise(random):
    rows = random.normal(0, 1, (800, 6)).astype(np.float32)
    own = group_as(random.integers(0, 2, 800), rows)
    others = [(rows[:, axis] > 0).astype(np.int64) for axis in range(3)]

    assert learn_from(own, rows, others, 2, judge=rows)[0] is own
