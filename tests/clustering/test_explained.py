import numpy as np
import pytest
from sklearn.metrics import r2_score

from fs4cli.clustering.evidence import KINDS
from fs4cli.clustering.explained import measure_explained, score_explained

WIDTH = KINDS["place"][-1] + 1


def show(random, kinds, ids):
    """Noise on all axes; on those of some kinds the number of the cluster, a hundred times as wide."""
    rows = random.normal(0, 1, (len(ids), WIDTH)).astype(np.float32)
    for kind in kinds:
        rows[:, KINDS[kind]] += 100 * ids[:, None]
    return rows


def test_what_differs_between_clusters_alone_is_explained_and_what_varies_within_them_is_not(random):
    ids = np.arange(600) % 3
    found = measure_explained(show(random, ["lightness", "texture"], ids), ids)

    assert found == {
        "lightness": pytest.approx(1, abs=0.01),
        "chroma": pytest.approx(0, abs=0.01),
        "texture": pytest.approx(1, abs=0.01),
        "place": pytest.approx(0, abs=0.01),
    }


def test_it_is_what_the_means_of_the_clusters_foretell(random):
    ids = np.arange(600) % 4
    rows = random.normal(0, 3, (600, WIDTH)).astype(np.float32) + ids[:, None].astype(np.float32)
    means = np.stack([rows[ids == one].mean(0) for one in range(4)])[ids]
    for kind, share in measure_explained(rows, ids).items():
        axes = list(KINDS[kind])
        oracle = r2_score(rows[:, axes], means[:, axes], multioutput="variance_weighted")
        assert share == pytest.approx(oracle, abs=1e-3)


def test_kinds_have_one_voice_each_and_the_place_has_none(random):
    ids = np.arange(600) % 2
    # one of lightness, chroma and texture
    assert score_explained(show(random, ["chroma", "place"], ids), ids) == pytest.approx(1 / 3, abs=0.01)


def test_evidence_without_the_place_is_scored_all_the_same(random):
    ids = np.arange(600) % 2
    rows = show(random, ["texture"], ids)[:, : KINDS["place"][0]]

    assert set(measure_explained(rows, ids)) == {"lightness", "chroma", "texture"}
    assert score_explained(rows, ids) == pytest.approx(1 / 3, abs=0.01)
