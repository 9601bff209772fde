"""The parts of likelihoods against NumPy and SciPy: counted and single choices, polynomials, integrals over costs."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
import scipy.stats as st
from numpy.polynomial import chebyshev as cheb
from scipy.interpolate import BarycentricInterpolator
from scipy.special import logsumexp

import bayescal as bc
from bayescal.domain import Interval
from bayescal.evaluation.density import Density
from bayescal.likelihood import chebyshev
from bayescal.likelihood.base import by_row
from bayescal.likelihood.choices import Choices, Chosen, lapsed
from bayescal.likelihood.evidence import Error, Evidence
from bayescal.likelihood.marginal import draw_log_costs, even_nodes, log_marginal, log_weights
from bayescal.likelihood.rounds import BLOCKS, rounds_as_time
from bayescal.likelihood.stencil import lagrange
from bayescal.likelihood.surface import Surface
from bayescal.model.log_costs import LogCosts, inside_bounds
from bayescal.populations.base import moments

RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


# --- Choices ----------------------------------------------------------------------------------------------------------

PROBS = np.array([[0.2, 0.3, 0.5, 0.0], [0.1, 0.1, 0.1, 0.7], [0.4, 0.6, 0.0, 0.0]])
COUNTS = np.array([[2, 3, 5, 0], [0, 1, 0, 6], [4, 0, 0, 0]])


def logs(p):
    return np.where(p > 0, np.log(np.where(p > 0, p, 1)), -np.inf)


def test_counted_choices_are_multinomial():
    counted = Choices(jnp.asarray(logs(PROBS)), jnp.asarray(COUNTS.sum(axis=1)))
    expected = [st.multinomial(c.sum(), p).logpmf(c) for c, p in zip(COUNTS, PROBS, strict=True)]
    np.testing.assert_allclose(counted.log_prob(jnp.asarray(COUNTS)), expected, rtol=1e-9)
    many = Choices(jnp.asarray(logs(PROBS)), jnp.asarray([4000, 7000, 5000]))
    for draws in (many.draw(np.random.default_rng(0)), np.asarray(many.sample(jax.random.key(0)))):
        assert draws.sum(axis=1).tolist() == [4000, 7000, 5000] and np.all(draws[PROBS == 0] == 0)
        for row, p in zip(draws, PROBS, strict=True):
            assert st.chisquare(row[p > 0], row.sum() * p[p > 0]).pvalue > 1e-3
    unsolved = Choices(jnp.asarray(logs(PROBS)).at[1].set(jnp.nan), jnp.asarray([3, 3, 3]))
    assert unsolved.draw(np.random.default_rng(0)).sum(axis=1).tolist() == [3, 0, 3]


def test_single_choices_are_categorical():
    single = Chosen(jnp.asarray(logs(PROBS)))
    np.testing.assert_allclose(single.log_prob(np.array([2, 3, 0])), np.log([0.5, 0.7, 0.4]), rtol=1e-12)
    draws = np.asarray(single.sample(jax.random.key(0), (4000,)))
    for i, p in enumerate(PROBS):
        assert st.chisquare(np.bincount(draws[:, i], minlength=4)[p > 0], 4000 * p[p > 0]).pvalue > 1e-3
    rounded = Chosen(jnp.log(jnp.array([0.3, 0.6])))  # rounding may leave less than one: never an action too many
    assert np.asarray(rounded.sample(jax.random.key(0), (200,))).max() == 1


def test_lapses_are_even_over_the_actions_that_there_are():
    for lapse in (0.0, 0.2, 1.0):
        found = np.exp(lapsed(jnp.asarray(logs(PROBS[:, :3])), lapse, np.array([[3], [3], [3]])))
        np.testing.assert_allclose(found, np.where(PROBS[:, :3] > 0, (1 - lapse) * PROBS[:, :3] + lapse / 3, 0))
    assert lapsed(jnp.asarray(3.0), None, 2) == 3.0


def test_shared_numbers_by_row():
    group = np.array([0, 1, 1])
    shared = {"phi.log_mean": 2.0, "phi.log_sd": np.array([3.0, 4.0]), "params.a": np.array([5.0, 6.0]), "lapse": 0.1}
    phi, psi, params = by_row(shared, group)
    assert psi is None and set(params) == {"a"}
    rows = {"log_mean": [2, 2, 2], "log_sd": [3, 4, 4]}
    assert {n: np.asarray(x).tolist() for n, x in phi.items()} == rows
    assert np.asarray(params["a"]).tolist() == [5, 6, 6]


def rounds(*numbers):
    table = pd.DataFrame({"participant": 0, "round": numbers, "action": "stag", "role": "row"})
    return bc.Decisions.from_table(table, {"hunt": bc.get_game("stag-hunt")})


def test_rounds_as_time():
    """Few rounds are told one by one; many in blocks of a tenth of the time, each at its middle."""
    np.testing.assert_allclose(rounds_as_time(rounds(3, 4, 7)), [0, 0.25, 1])
    time = rounds_as_time(rounds(*range(1, 42)))
    tenth = np.minimum(np.arange(41) // 4, 9)
    np.testing.assert_allclose(time, (tenth + 0.5) / BLOCKS)
    with pytest.raises(bc.InputError, match="round"):
        rounds_as_time(rounds(5))


# --- Polynomials ------------------------------------------------------------------------------------------------------


def test_chebyshev_polynomials_are_those_of_numpy():
    np.testing.assert_allclose(np.sort(chebyshev.nodes((4,))[:, 0]), cheb.chebpts1(5), atol=1e-14)
    assert {tuple(c) for c in chebyshev.corners(2)} == {(-1, -1), (-1, 1), (1, -1), (1, 1)}
    terms, points = RNG.normal(size=(3, 5)), RNG.uniform(-1, 1, (9, 2))
    expected = cheb.chebval2d(*points.T, terms)
    np.testing.assert_allclose(chebyshev.basis(points, (2, 4)) @ terms.ravel(), expected, rtol=1e-11)
    found = [chebyshev.evaluate(jnp.asarray(terms[None]), jnp.asarray(x))[0] for x in points[:3]]
    np.testing.assert_allclose(found, expected[:3], rtol=1e-11)
    values = cheb.chebval2d(*chebyshev.nodes((2, 4)).T, terms)
    np.testing.assert_allclose(chebyshev.coefficients(values, (2, 4)), terms, atol=1e-12)
    for degree in (0, 1, 2, 6):
        ours = chebyshev.polynomials(jnp.asarray(0.3), degree)
        np.testing.assert_allclose(ours, cheb.chebvander(0.3, degree)[0], rtol=1e-12)


def test_places_in_a_box():
    box = bc.Domain.of(a=(-2.0, 6.0), b=(0.02, 2.0), c=(1.0, 3.0))
    unit = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [0.25, 0.5, -0.5]])
    values = {"a": [-2.0, 6.0, 3.0], "b": [0.02, 2.0, 0.02 * 100**0.75], "c": [1.0, 3.0, 1.5]}
    for i, point in enumerate(unit):
        at = {n: x[i] for n, x in values.items()}
        np.testing.assert_allclose(chebyshev.to_unit(box, at), point, atol=1e-12)
        back = chebyshev.from_unit(box, jnp.asarray(point))
        assert {n: float(x) for n, x in back.items()} == pytest.approx(at, rel=1e-12)


class Waves:
    """Curves that a polynomial follows: of people with places of their own, told by two shared numbers."""

    participants, names = ("a", "b", "c", "d"), ("phi.log_mean", "psi.pull")
    decisions = np.array([3, 4, 5, 6])

    def curves(self, log_cost, shared):
        place = jnp.arange(4.0)[:, None]
        near = -0.5 * (log_cost - 0.3 * place - jnp.sin(shared["phi.log_mean"])) ** 2
        return near * jnp.exp(0.3 * shared["psi.pull"]) - 2.0 * place * shared["psi.pull"]


def test_evidence_is_the_likelihood_wherever_it_is_asked():
    nodes, likelihood = np.linspace(-2.0, 3.0, 21), Waves()
    box = bc.Domain.of(**{"phi.log_mean": (-0.5, 0.5), "psi.pull": (0.5, 1.5)})
    evidence = Evidence.build(likelihood, nodes, box, tolerance=1e-4, most_total=1e-3)
    assert evidence.within and evidence.decisions == 18 and evidence.participants == likelihood.participants
    for mean, pull in RNG.uniform([-0.5, 0.5], [0.5, 1.5], (5, 2)):
        shared = {"phi.log_mean": mean, "psi.pull": pull}
        exact = np.asarray(likelihood.curves(jnp.asarray(nodes), shared))
        np.testing.assert_allclose(evidence.curves(shared), exact, atol=1e-3)
        log_w = st.norm.logpdf(nodes, 0.3, 0.8)
        found = evidence.log_marginal(jnp.asarray(log_w), shared)
        np.testing.assert_allclose(found, logsumexp(exact + log_w, axis=1), atol=2e-4)
        some = evidence.take([2, 0]).curves(shared)
        np.testing.assert_allclose(some, exact[[2, 0]], atol=1e-3)
    twice = (evidence + evidence).curves({"phi.log_mean": 0.1, "psi.pull": 1.0})
    once = likelihood.curves(jnp.asarray(nodes), {"phi.log_mean": 0.1, "psi.pull": 1.0})
    np.testing.assert_allclose(twice, 2 * np.asarray(once), atol=2e-3)
    coarse = Evidence.build(likelihood, nodes, box, tolerance=1e-12, most_nodes=4, strict=False)
    measured = coarse.measure(likelihood)
    assert not coarse.within and measured.curve > 0.01  # and it says so
    shifted = Error(0.1, 0.2, 0.3, 0.4) + Error(1.0, 2.0, 3.0, 4.0)
    assert (shifted.curve, shifted.broad, shifted.narrow, shifted.total) == (1.1, 2.2, 3.3, 4.4)
    assert shifted.person == 3.3


# --- Integrals over costs ---------------------------------------------------------------------------------------------


def test_weights_of_even_nodes_integrate_smooth_functions():
    """Over a log-normal population that the walls cut: the fourth-order rule against SciPy on a fine grid."""
    nodes, fine = np.linspace(-2.0, 1.5, 41), np.linspace(-2.0, 1.5, 200_001)
    phi, population = {"log_mean": -0.4, "log_sd": 0.8}, bc.populations.LogNormal()
    shift = np.array([0.0, 0.7])
    weights = np.exp(log_weights(jnp.asarray(nodes), population, phi, jnp.asarray(shift)))
    f = lambda x: np.exp(-0.3 * x) + np.sin(2 * x)
    for w, by in zip(weights, shift, strict=True):
        p = st.norm.pdf(fine, -0.4 + by, 0.8)
        p[[0, -1]] *= 0.5
        np.testing.assert_allclose([w.sum(), w @ f(nodes)], [1.0, (p / p.sum()) @ f(fine)], rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_weights(jnp.asarray(nodes), population, phi)), weights[0], rtol=1e-12)
    np.testing.assert_allclose(moments(population, phi), (-0.4, 0.8), rtol=1e-9)


def test_polynomials_between_nodes():
    """Through the six nodes around each point, or the six at the end."""
    nodes = np.linspace(-1.0, 2.0, 13)
    values = np.cos(3 * nodes)
    at = np.array([-1.0, -0.93, -0.3, 0.51, 1.27, 1.9, 2.0])
    matrix = np.asarray(lagrange(jnp.asarray(nodes), jnp.asarray(at)))
    for row, x in zip(matrix, at, strict=True):
        first = int(np.clip(np.floor((x + 1.0) / 0.25) - 2, 0, 7))
        own = slice(first, first + 6)
        np.testing.assert_allclose(row @ values, BarycentricInterpolator(nodes[own], values[own])(x), atol=1e-12)
        assert np.count_nonzero(np.abs(row) > 1e-12) <= 6


def test_integrals_over_narrow_and_wide_populations():
    nodes = jnp.asarray(np.linspace(-3.0, 3.0, 61))
    places, shift = np.array([-0.5, 0.4, 1.0]), np.array([0.2, -0.3, 0.0])
    curves = -2.0 * (nodes[None] - places[:, None]) ** 2
    log_normal = jax.jit(lambda phi, shift: log_marginal(curves, nodes, bc.populations.LogNormal(), phi, shift))
    for sd in (0.03, 0.5):
        phi = {"log_mean": 0.1, "log_sd": sd}
        found = log_normal(phi, shift)
        away, total = 0.1 + shift - places, 1 + 4 * sd**2  # a normal population and a normal curve: known in full
        np.testing.assert_allclose(found, -0.5 * np.log(total) - 2.0 * away**2 / total, atol=2e-5)
    one_cost = jax.jit(lambda phi, shift: log_marginal(curves, nodes, bc.populations.Homogeneous(), phi, shift))
    point = one_cost({"cost": np.exp(0.33)}, shift)
    np.testing.assert_allclose(point, -2.0 * (0.33 + shift - places) ** 2, atol=1e-9)
    classes = bc.populations.Mixture((bc.populations.LogNormal(), bc.populations.LogNormal()))
    phi = {"weight_1": np.log(3.0), "log_mean_0": -0.2, "log_sd_0": 0.5, "log_mean_1": 0.6, "log_sd_1": 0.3}
    each = [
        -0.5 * np.log(1 + 4 * sd**2) - 2.0 * (mean - places) ** 2 / (1 + 4 * sd**2)
        for mean, sd in ((-0.2, 0.5), (0.6, 0.3))
    ]
    found = jax.jit(lambda phi: log_marginal(curves, nodes, classes, phi))(phi)
    np.testing.assert_allclose(found, np.log(0.25 * np.exp(each[0]) + 0.75 * np.exp(each[1])), atol=2e-5)


def test_costs_are_drawn_given_decisions():
    """A normal population and a normal curve make a normal conditional, cut off at the walls."""
    nodes = jnp.asarray(np.linspace(-2.0, 2.0, 33))
    shift = np.repeat([0.0, 0.6, 0.0], 700)
    place = np.repeat([0.5, 0.5, 2.4], 700)
    curves = -0.5 * (np.asarray(nodes) - place[:, None]) ** 2 / 0.3**2
    phi = {"log_mean": -0.2, "log_sd": 0.5}
    draw = jax.jit(lambda *given: draw_log_costs(*given[:2], nodes, bc.populations.LogNormal(), phi, given[2]))
    draws = np.asarray(draw(jax.random.key(0), curves, shift))
    precision = 1 / 0.5**2 + 1 / 0.3**2
    for k, (target, by) in enumerate([(0.5, 0.0), (0.5, 0.6), (2.4, 0.0)]):
        mean, sd = ((-0.2 + by) / 0.5**2 + target / 0.3**2) / precision, precision**-0.5
        reference = st.truncnorm((-2 - mean) / sd, (2 - mean) / sd, mean, sd)
        assert st.kstest(draws[700 * k : 700 * (k + 1)], reference.cdf).pvalue > 1e-3
    assert draws.min() >= -2 and draws.max() <= 2
    # Of somebody who is as far down (or up) as may be, all draws are at the wall.
    wall = np.repeat([-2.0, 2.0], 1050)
    draws = draw(jax.random.key(1), 150 * wall[:, None] * np.asarray(nodes), 0 * wall)
    np.testing.assert_allclose(draws, wall, atol=0.016)  # half of a quarter of a step


def test_nodes_are_close_enough_and_no_closer():
    """0.8 of 1 / sqrt(0.6 n) apart, at least 33, and refused if they would be more than 20,000."""
    walls = Interval(-9.0, 4.0)
    for decisions in (1, 50, 200, 10**6):
        nodes = even_nodes(walls, decisions)
        wanted = np.ceil(13 * np.sqrt(0.6 * decisions) / 0.8) + 1
        assert len(nodes) == max(wanted, 33) and nodes[0] == -9 and nodes[-1] == 4
        assert np.ptp(np.diff(nodes)) < 1e-9
    with pytest.raises(bc.InputError, match=r'3,000,000 decisions: .* more than 20,000.*method="joint"'):
        even_nodes(walls, 3 * 10**6)


def test_log_costs_between_walls():
    walls, shift = Interval(-1.5, 1.0), np.array([0.0, 0.4])
    phi = {"log_mean": 0.3, "log_sd": 0.6}
    everybody = LogCosts(bc.populations.LogNormal(), phi, shift, walls, 2)
    cut = [st.truncnorm((-1.5 - m) / 0.6, (1.0 - m) / 0.6, m, 0.6) for m in (0.3, 0.7)]
    value = np.array([0.2, -0.9])
    expected = [c.logpdf(x) for c, x in zip(cut, value, strict=True)]
    np.testing.assert_allclose(everybody.log_prob(value), expected, atol=1e-6)
    draws = np.asarray(everybody.sample(jax.random.key(0), (1500,)))
    assert all(st.kstest(x, c.cdf).pvalue > 1e-3 for x, c in zip(draws.T, cut, strict=True))

    @jax.jit
    def of_narrow(sd):
        alike = LogCosts(bc.populations.LogNormal(), {"log_mean": 0.3, "log_sd": sd}, 0.0, walls, 1)
        return alike.log_prob(jnp.asarray([0.3 + sd])), alike.sample(jax.random.key(1), (400,))

    for sd in (1e-4, 0.003, 0.02):  # narrower than walls / 400, too
        log_p, draws = map(np.asarray, of_narrow(sd))
        np.testing.assert_allclose(log_p, [st.norm.logpdf(0.3 + sd, 0.3, sd)], atol=1e-6)
        draws = draws[:, 0]
        assert st.kstest(draws, st.norm(0.3, sd).cdf).pvalue > 1e-3
    offset = np.array([-2.0, 0.0, 1.3])
    found = inside_bounds(offset, 0.3, 0.6, walls)
    np.testing.assert_allclose(found, cut[0].ppf(st.norm.cdf(offset)), rtol=1e-9)


def test_a_surface_of_everybody_together():
    """A polynomial of the unconstrained numbers is itself, and beyond where it was looked at it leads back."""
    total = lambda values: -(values["x"] ** 2) - 0.5 * (jnp.log(values["y"]) - 0.3 * values["x"]) ** 4
    start = {"x": 0.2 * RNG.normal(size=300), "y": np.exp(0.3 * RNG.normal(size=300))}

    def model():
        numpyro.sample("x", dist.Normal())
        numpyro.sample("y", dist.LogNormal())

    surface = Surface.build(total, Density.of(model), start, 0.01)
    assert surface.error < 1e-8
    at = lambda x, y: surface({"x": jnp.asarray(x), "y": jnp.asarray(y)})
    for x, y in ((0.1, 1.2), (-0.5, 0.6), (0.3, 2.0)):
        np.testing.assert_allclose(at(x, y), total({"x": x, "y": y}), atol=1e-7)
    edge = float(at(0.0, np.exp(1.5)))
    for further in (2.5, 4.0):
        assert float(at(0.0, np.exp(further))) < edge - 1e2
        assert jax.grad(lambda t: at(0.0, jnp.exp(t)))(further) < -1e2
