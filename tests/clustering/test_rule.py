"""How far the rule of the first grouping is believed."""

import pytest

from fs4cli.clustering.rule import find_power


@pytest.mark.parametrize(
    ("agreement", "place", "power"),
    [(0.9, 0.0, 1.0), (0.7, 0.1, 0.25), (0.7, 0.5, 1.0), (0.9, 0.5, 1.0)],
    ids=["sure", "unsure", "unsure, but the place leads", "sure, and the place leads"],
)
def test_a_rule_is_doubted_where_its_runs_agree_little_unless_the_place_leads(agreement, place, power):
    assert find_power(agreement, place) == power
