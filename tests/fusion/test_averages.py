"""Weighted averages against plain ones, and how little one more value moves them."""

import numpy as np
import pytest

from cardpose.fusion.averages import weighted_median, weighted_midmean


def test_the_weighted_median_of_equal_weights_is_the_median() -> None:
    random = np.random.default_rng(0)
    for count in (1, 2, 5, 8):
        values = random.normal(size=count)
        assert weighted_median(values, np.full(count, 0.3)) == pytest.approx(np.median(values), rel=1e-12)


def test_the_weighted_midmean_against_values_repeated_by_their_weights() -> None:
    random = np.random.default_rng(1)
    for count in (1, 2, 5, 8):
        values, weights = random.normal(size=count), random.integers(1, 5, count)
        repeated = np.sort(np.repeat(values, 4 * weights))
        quarter = len(repeated) // 4
        assert weighted_midmean(values, weights) == pytest.approx(
            repeated[quarter:-quarter].mean(), rel=1e-12
        )


def test_a_frame_more_or_less_hardly_moves_the_midmean() -> None:
    """Two groups of counts: the median lies in the larger one, the midmean between them."""
    for more in (10, 11):
        cards = np.repeat([18.0, 20.0], [more, 21 - more])
        assert abs(weighted_midmean(cards, np.ones(21)) - 19) < 0.12
