"""Boxes: inside, outside, and there and back."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.domain import POSITIVE, REAL, Domain, Interval
from bayescal.errors import DomainError

BOX = Domain.of(cost=(0.01, 10.0), mean=(-1.0, 1.0), tail=(0.0, math.inf))


def test_contains_and_clip():
    inside = {"cost": 0.5, "mean": 0.0, "tail": 3.0}
    assert BOX.contains(inside)
    outside = {"cost": 20.0, "mean": -3.0, "tail": -1.0}
    assert not BOX.contains(outside)
    clipped = BOX.clip(outside)
    assert [float(clipped[n]) for n in BOX.names] == [10.0, -1.0, 0.0]
    assert BOX.contains(clipped)


def test_every_offender_is_named_in_one_error():
    with pytest.raises(DomainError) as error:
        BOX.check({"cost": np.array([0.5, 20.0]), "mean": -3.0})
    text = str(error.value)
    assert "cost is 0.5 to 20" in text and "mean is -3" in text and "tail is missing" in text
    BOX.check({"cost": 0.5, "mean": 0.0, "tail": 3.0})


@pytest.mark.parametrize("interval", [REAL, POSITIVE, Interval(-2.0, 3.0), Interval(-math.inf, 1.0)])
def test_there_and_back(interval):
    z = jnp.linspace(-4, 4, 17)
    x = interval.from_real(z)
    assert interval.contains(x)
    np.testing.assert_allclose(interval.to_real(x), z, rtol=1e-4, atol=1e-4)
    slope = jax.vmap(jax.grad(interval.from_real))(z)
    assert (np.asarray(slope) > 0).all()


def test_samples_fill_the_box():
    box = Domain.of(cost=(0.01, 10.0), mean=(-1.0, 1.0))
    draws = box.sample(jax.random.key(0), (4000,))
    assert box.contains(draws)
    # Log-uniform over three decades, uniform over the other: medians within four standard errors.
    u = np.log10(draws["cost"])
    assert abs(np.median(u) + 0.5) < 4 * 3 * 0.5 / np.sqrt(4000)
    assert abs(np.median(draws["mean"])) < 4 * 2 * 0.5 / np.sqrt(4000)
    with pytest.raises(DomainError, match="is unbounded"):
        BOX.sample(jax.random.key(0))


def test_saved_and_read_back():
    assert Domain.from_dict(BOX.as_dict()) == BOX
    assert hash(Domain.from_dict(BOX.as_dict())) == hash(BOX)


def test_an_empty_interval_is_refused():
    with pytest.raises(DomainError, match="is empty"):
        Interval(1.0, 1.0)
