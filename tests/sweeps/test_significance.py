"""Which differences are noise: against SciPy's own test, and on tables where the truth is known."""

import math

import numpy as np
import pytest
from scipy.stats import tukey_hsd

from cardpose.sweeps.significance import compare, pareto_front

SETTINGS, SEEDS = 4, 3
SETTING = np.repeat(np.arange(SETTINGS), SEEDS)
FOLD = np.tile(np.arange(SEEDS), SETTINGS)
ONE_FOLD = np.zeros(len(SETTING), int)


def table(rng: np.random.Generator, effects: np.ndarray, folds: np.ndarray, noise: float) -> np.ndarray:
    """(N,) errors: 2 cards, times what setting, fold and chance make of it."""
    return 2 * np.exp(effects[SETTING] + folds[FOLD] + rng.normal(0, noise, len(SETTING)))


def test_with_seeds_alone_it_is_tukeys_test() -> None:
    errors = table(np.random.default_rng(3), np.array([0.0, 0.02, 0.1, 0.4]), np.zeros(SEEDS), 0.05)
    found = compare(errors, SETTING, ONE_FOLD, SETTINGS)
    logs = [np.log(errors[k == SETTING]) for k in range(SETTINGS)]
    interval = tukey_hsd(*logs).confidence_interval(0.95)
    assert found.best is not None
    width = (interval.high - interval.low)[found.best] / 2
    others = np.arange(SETTINGS) != found.best
    np.testing.assert_allclose(np.log(found.margin[others]), width[others], rtol=1e-4)
    means = np.array([log.mean() for log in logs])
    np.testing.assert_allclose(np.log(found.ratio), means - means[found.best], atol=1e-12)


def test_equal_settings_are_called_different_in_no_more_than_a_twentieth_of_tables() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        found = compare(table(rng, np.zeros(SETTINGS), np.zeros(SEEDS), 0.1), SETTING, ONE_FOLD, SETTINGS)
        others = np.arange(SETTINGS) != found.best
        wrong += not found.inside_noise()[others].all()
    assert wrong / 300 < 0.08  # 0.05 and two and a half standard deviations


def test_what_a_fold_adds_is_no_noise() -> None:
    """Folds that differ by half, settings by a tenth: seen only where the fold is taken out."""
    effects, folds = np.array([0.0, 0.1, 0.1, 0.1]), np.array([0.0, 0.5, -0.5])
    errors = table(np.random.default_rng(1), effects, folds, 0.01)
    assert not compare(errors, SETTING, FOLD, SETTINGS).inside_noise().any()
    assert compare(errors, SETTING, ONE_FOLD, SETTINGS).inside_noise()[1:].all()


def test_a_failed_fold_does_not_make_a_setting_look_good() -> None:
    """The setting that lacks the hard fold has the lowest mean, and is not the best."""
    effects, folds = np.array([0.0, 0.3, 0.3, 0.3]), np.array([0.0, 0.1, 2.0])
    errors = table(np.random.default_rng(2), effects, folds, 0.01)
    errors[(SETTING == 1) & (FOLD == 2)] = math.nan
    means = [np.nanmean(errors[k == SETTING]) for k in range(SETTINGS)]
    assert int(np.argmin(means)) == 1
    found = compare(errors, SETTING, FOLD, SETTINGS)
    assert found.best == 0
    assert found.ratio[1] == pytest.approx(math.exp(0.3), rel=0.05)


def test_settings_without_a_common_fold_cannot_be_compared() -> None:
    setting, fold = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    found = compare(np.array([1.0, 1.1, 0.9, 2.0, 2.1, 1.9]), setting, fold, 2)
    assert np.isnan(found.margin).sum() == 1
    assert not found.inside_noise().any()


def test_one_run_each_tells_no_noise() -> None:
    found = compare(np.array([2.0, 2.1]), np.arange(2), np.zeros(2, int), 2)
    assert found.best == 0
    assert np.isnan(found.margin).all()
    assert not found.inside_noise().any()


def test_nothing_known_nothing_compared() -> None:
    found = compare(np.full(3, math.nan), np.arange(3), np.zeros(3, int), 3)
    assert found.best is None
    assert np.isnan(found.ratio).all()


def test_no_setting_of_the_front_is_beaten_and_every_other_is() -> None:
    rng = np.random.default_rng(0)
    error, cost = rng.random(50).round(1), rng.random(50).round(1)
    front = pareto_front(error, cost)
    for k in range(50):
        beaten = ((error <= error[k]) & (cost <= cost[k]) & ((error < error[k]) | (cost < cost[k]))).any()
        assert front[k] == (not beaten)
    assert not pareto_front(np.array([math.nan, 1.0]), np.array([0.0, 1.0]))[0]
