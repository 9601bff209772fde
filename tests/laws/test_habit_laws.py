"""What must hold of every habit, registered or made of others. A kind that is registered is tested at once."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from bayescal.domain import POSITIVE
from bayescal.errors import InputError
from bayescal.priors import HABITS, Empirical, Mixture, Product
from bayescal.priors.base import Tilt
from bayescal.priors.fixed import Fixed
from bayescal.priors.log_linear import LogLinear
from bayescal.priors.uniform import Uniform
from bayescal.study.habits import build_prior

GRID = np.array([0.0, 5.0, 12.0])
BEFORE = {"own": 0.0, "seen": 0.0, "usual": 0.0, "began": 0.0}  # the first decision
AFTER = {"own": 5.0, "seen": 11.0, "usual": 7.0, "began": 1.0}
MADE = {kind.__name__: kind.example() for kind in (Empirical, Fixed, Mixture, Product)}
ALL = {name: HABITS[name].example() for name in HABITS} | MADE
each_habit = pytest.mark.parametrize("habit", ALL.values(), ids=ALL)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def log_q(habit, psi, seen):
    return habit.log_prob(seen, psi, role=0, action_values=jnp.asarray(GRID))


def psi_of(habit):
    """Values that are not the defaults, inside the intervals."""
    values = {}
    for k, (name, interval) in enumerate(habit.parameters.items()):
        inner = (interval.low + 0.3 * (interval.high - interval.low)) if np.isfinite(interval.high) else 0.7 + 0.3 * k
        values[name] = inner
    return values


# Each law raises AssertionError where it is broken.
def normalised(habit):
    for seen in (BEFORE, AFTER):
        for psi in (habit.defaults, psi_of(habit)):
            q = np.exp(log_q(habit, psi, seen))
            assert q.shape == GRID.shape
            np.testing.assert_allclose(q.sum(), 1, rtol=1e-12)


def parameters_agree(habit):
    """Intervals, defaults and hyperpriors are of the same parameters; defaults and prior draws are inside."""
    hyperpriors = habit.default_hyperpriors(10.0)
    assert list(habit.parameters) == list(hyperpriors)
    for name, interval in habit.parameters.items():
        assert interval.contains(habit.defaults[name])
        draws = hyperpriors[name].sample(jax.random.key(0), (200,))
        assert interval.contains(draws) and np.std(draws) > 0


def gradients_are_slopes(habit):
    psi, h = psi_of(habit), 1e-6
    if not psi:
        return
    gradients = jax.jacfwd(lambda psi: log_q(habit, psi, AFTER))(psi)
    for name in psi:
        up, down = (log_q(habit, psi | {name: psi[name] + step}, AFTER) for step in (h, -h))
        np.testing.assert_allclose(gradients[name], (up - down) / (2 * h), atol=1e-7)


def terms_add_up(habit):
    psi = psi_of(habit)
    terms = habit.terms(psi, role=0, action_values=jnp.asarray(GRID))
    difference = sum(term(AFTER) for term in terms) - log_q(habit, psi, AFTER)
    np.testing.assert_allclose(difference - difference[0], 0.0, atol=1e-9)


def flat_where_it_says(habit):
    """Uniform at its flat parameters whatever the others are, and nowhere else, if it names any."""
    wanted = habit.flat_parameters
    assert habit.flat == (wanted == {})
    if wanted is None:
        assert np.ptp(log_q(habit, habit.defaults, AFTER)) > 1e-3
        return
    for seen in (BEFORE, AFTER):
        for psi in (habit.defaults, psi_of(habit)):
            np.testing.assert_allclose(log_q(habit, {**psi, **wanted}, seen), -np.log(len(GRID)), atol=1e-12)
    if wanted:
        assert np.ptp(log_q(habit, psi_of(habit), AFTER)) > 1e-3


def vmap_is_a_loop(habit):
    psi = psi_of(habit)
    many = {name: jnp.asarray([BEFORE[name], AFTER[name]]) for name in AFTER}
    together = jax.vmap(lambda seen: log_q(habit, psi, seen))(many)
    np.testing.assert_allclose(together, [log_q(habit, psi, BEFORE), log_q(habit, psi, AFTER)], atol=1e-12)


LAWS = [normalised, parameters_agree, gradients_are_slopes, terms_add_up, flat_where_it_says, vmap_is_a_loop]


@each_habit
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_habits_obey(law, habit):
    law(habit)


class Broken(LogLinear):
    """A habit with one fault at a time."""

    fault: str = ""

    @property
    def flat_parameters(self):
        return {} if self.fault == "flat" else {"tilt": 0.5} if self.fault == "elsewhere" else {"tilt": 0.0}

    def default_hyperpriors(self, payoff_scale):
        named = super().default_hyperpriors(payoff_scale)
        return {"lean": named["tilt"]} if self.fault == "name" else named

    @property
    def parameters(self):
        return {"tilt": POSITIVE} if self.fault == "interval" else super().parameters

    def log_prob(self, observation, psi, *, role, action_values):
        tilt = psi["tilt"]
        if self.fault == "gradient":
            tilt = jax.lax.stop_gradient(tilt)
        out = super().log_prob(observation, {"tilt": tilt}, role=role, action_values=action_values)
        return out + 1e-6 if self.fault == "mass" else out

    def terms(self, psi, *, role, action_values):
        times = 2 if self.fault == "terms" else 1
        return super().terms(psi, role=role, action_values=action_values) * times


@pytest.mark.parametrize(
    ("law", "fault"),
    [
        (normalised, "mass"), (parameters_agree, "name"), (parameters_agree, "interval"),
        (gradients_are_slopes, "gradient"), (terms_add_up, "terms"), (flat_where_it_says, "flat"),
        (flat_where_it_says, "elsewhere"),
    ],
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)  # fmt: skip
def test_a_planted_fault_is_caught(law, fault):
    law(Broken())
    with pytest.raises(AssertionError):
        law(Broken(fault=fault))


def test_a_batched_habit_that_mixes_up_what_was_seen_is_caught():
    class Mixed(LogLinear):
        def log_prob(self, observation, psi, *, role, action_values):
            batched = isinstance(observation["began"], jax.core.Tracer)
            return super().log_prob(observation, {"tilt": 2.0 if batched else 1.0}, role=role, action_values=GRID)

    with pytest.raises(AssertionError):
        vmap_is_a_loop(Mixed())


class Imitation(Tilt):
    """A habit as a user would write it: what others did last is `copy` nats more likely."""

    @property
    def parameters(self):
        return {"copy": POSITIVE}

    @property
    def defaults(self):
        return {"copy": 1.0}

    def default_hyperpriors(self, payoff_scale):
        return {"copy": dist.HalfNormal(2.0)}

    @property
    def flat_parameters(self):
        return {"copy": 0.0}

    def log_weight(self, observation, psi, *, role, action_values):
        nearest = jnp.argmin(jnp.abs(action_values - observation["seen"]))
        return psi["copy"] * observation["began"] * (jnp.arange(len(action_values)) == nearest)


def test_a_habit_of_ones_own_works_by_name(monkeypatch):
    monkeypatch.setattr(HABITS, "_kinds", dict(HABITS._kinds))
    HABITS.register("Imitation", Imitation)
    assert isinstance(build_prior(["Imitation"]), Imitation)
    both = build_prior(["Imitation", {"kind": "Focal", "every": 5}])
    assert list(both.parameters) == ["copy_0", "bonus_1"]
    for law in LAWS:
        law(HABITS["Imitation"].example())
        law(both)
    with pytest.raises(InputError, match=r"there is no habit 'Imitate'; there are .*Imitation"):
        build_prior(["Imitate"])


def test_a_fixed_habit_knows_whether_it_is_uniform():
    tilted = LogLinear()
    assert Fixed(tilted, {"tilt": 0.0}).flat and not Fixed(tilted, {"tilt": 0.1}).flat
    assert Empirical([[0.25] * 4, [0.5, 0.5]]).flat and not Empirical([[0.5, 0.5], [0.4, 0.6]]).flat
    assert Product((Uniform(), Uniform())).flat
    assert Product((Uniform(), Empirical([[0.4, 0.6]]))).flat_parameters is None
