"""Random numbers: the distributions they claim, and the same bits for ever."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from fraudctl.simulator.draws import Draws, exp, log, normal_quantile, sorted_places


def test_one_seed_and_purpose_give_one_sequence() -> None:
    assert Draws(3, "cards").words(5).tolist() == Draws(3, "cards").words(5).tolist()
    split = Draws(3, "cards")
    assert [*split.words(2).tolist(), *split.words(3).tolist()] == Draws(3, "cards").words(5).tolist()


def test_another_seed_purpose_or_number_gives_another_sequence() -> None:
    streams = [
        Draws(3, "cards"),
        Draws(4, "cards"),
        Draws(3, "shops"),
        Draws(3, "cards", 0),
        Draws(3, "cards", 1),
    ]
    assert len({tuple(stream.words(4).tolist()) for stream in streams}) == len(streams)


def test_the_words_are_those_of_every_other_machine() -> None:
    assert Draws(1, "pinned").words(2).tolist() == [11549303825034226572, 9365646398027739167]
    assert Draws(1, "pinned").normal(3).tolist() == [
        *(0.32151259319532655, 0.019334097876371085, -0.7376559442562504)
    ]


def test_exp_and_log_are_right_to_the_last_digits() -> None:
    x = np.linspace(-40.0, 40.0, 2001)
    assert np.allclose(exp(x), [math.exp(value) for value in x], rtol=1e-14, atol=0)
    y = np.array([1e-300, 1e-9, 0.3, 0.7071, 1.0, 1.5, 2.0, 1e9, 1e300])
    assert np.allclose(log(y), [math.log(value) for value in y], rtol=1e-14, atol=1e-15)


def test_the_normal_quantile_is_right() -> None:
    chances = [1e-15, 1e-9, 1e-4, 0.02, 0.02425, 0.03, 0.2, 0.5, 0.6, 0.97, 0.98, 0.9999, 1 - 1e-9]
    expected = [NormalDist().inv_cdf(chance) for chance in chances]
    assert np.allclose(normal_quantile(np.array(chances)), expected, rtol=2e-9, atol=1e-12)


def test_normal_numbers_have_mean_deviation_and_tails() -> None:
    drawn = Draws(5, "normal").normal(200_000)
    assert abs(drawn.mean()) < 0.01
    assert drawn.std() == pytest.approx(1.0, abs=0.01)
    assert (drawn > 2.4).mean() == pytest.approx(1 - NormalDist().cdf(2.4), abs=0.0008)


@pytest.mark.parametrize("mean", [0.0, 0.05, 2.0, 30.0])
def test_poisson_numbers_have_their_mean_as_variance(mean: float) -> None:
    drawn = Draws(6, "poisson").poisson(np.full(50_000, mean))
    assert drawn.mean() == pytest.approx(mean, abs=0.06 * math.sqrt(mean))
    assert drawn.var() == pytest.approx(mean, rel=0.05)


def test_numbers_below_a_bound_reach_every_value() -> None:
    drawn = Draws(7, "below").below(6, 6_000)
    assert np.bincount(drawn, minlength=6).min() > 850
    assert drawn.max() == 5


def test_places_are_sorted_and_equal_keys_keep_their_order() -> None:
    keys = Draws(8, "keys").below(50, 1_000)
    assert sorted_places(keys).tolist() == sorted(range(1_000), key=lambda place: keys[place])


def test_an_order_is_a_permutation() -> None:
    order = Draws(9, "order").order(500)
    assert sorted(order.tolist()) == list(range(500))
    assert order.tolist() != list(range(500))
