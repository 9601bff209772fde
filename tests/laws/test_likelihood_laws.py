"""What must hold of every likelihood: both kinds of data, common and private costs, given and moving beliefs.

Policies here are closed forms, so that expectations are written in NumPy and nothing is compiled twice. Each law is
shown a likelihood that breaks it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from numpyro import handlers
from scipy import integrate, special, stats

import bayescal as bc
from bayescal.domain import Interval
from bayescal.environments.markov import MarkovGame
from bayescal.errors import InputError
from bayescal.likelihood.base import AtOneCost
from bayescal.likelihood.marginal import even_nodes, log_marginal
from bayescal.likelihood.one_shot import OneShotCommon, OneShotPrivate
from bayescal.likelihood.over_time import OverTimeCommon, OverTimePrivate
from bayescal.policies.base import ABSENT, Policy, tilt
from bayescal.populations import LogNormal
from bayescal.populations.base import default_log_cost
from bayescal.priors import Uniform

LOG_COST = np.array([-1.0, -0.4, 0.2, 0.8, 1.5])
SHARED = {"phi.log_mean": 0.4, "phi.log_sd": 0.5, "psi.pull": 0.7, "lapse": 0.1}
PAIR = bc.NormalForm(np.random.default_rng(0).normal(size=(2, 3, 2)), name="pair", role_names=["row", "column"])
WALK = MarkovGame(np.zeros((2, 1, 3)), np.full((2, 3, 2), 0.5), 0.5, name="walk")


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


# --- A policy in closed form, and the same in NumPy ------------------------------------------------------------------


def worth(role, state, sizes, log_mean):
    """What actions are worth to a role in a state, where others' log costs have this mean."""
    return np.array([np.sin(1.0 + 2 * role + 3 * state + a) + 0.5 * a * np.tanh(log_mean) for a in range(sizes[role])])


def chances(role, state, sizes, cost, log_mean, pull, lapse=0.0):
    habit = pull * np.arange(sizes[role])
    p = special.softmax(habit + worth(role, state, sizes, log_mean) / cost)
    return (1 - lapse) * p + lapse / sizes[role]


class Formula(Policy):
    """`chances`, as a policy: of two levels, of which the first plays the habit, if `levels` is one."""

    environment: bc.Environment
    population: Any = None
    prior: Any = Uniform()
    levels: int = eqx.field(static=True, default=0)
    impossible: int = eqx.field(static=True, default=-1)

    @property
    def parameters(self):
        return {"weight_1": None}

    @property
    def _sizes(self):
        return [len(v) for v in self.environment.action_values]

    def _padded(self, rows, fill):
        width = max(self._sizes)
        return jnp.stack([jnp.pad(jnp.asarray(r, float), (0, width - len(r)), constant_values=fill) for r in rows])

    def log_prior(self, psi=None):
        pull = 0.0 if psi is None else psi["pull"]
        rows = [pull * jnp.arange(n) - special.logsumexp(np.zeros(n)) for n in self._sizes]
        log_q = self._padded(rows, ABSENT)
        return log_q if self.impossible < 0 else log_q.at[:, self.impossible].set(ABSENT)

    def log_prior_of(self, role, psi, observation):
        return self.log_prior(psi)[role]

    def _worth(self, state, phi):
        move = 0.5 * jnp.tanh(0.0 if phi is None else phi["log_mean"])
        rows = [
            jnp.sin(1.0 + 2 * r + 3 * state + jnp.arange(n)) + move * jnp.arange(n) for r, n in enumerate(self._sizes)
        ]
        return self._padded(rows, 0.0)

    def values(self, cost, phi, psi, params):
        return self._worth(0.0, phi)

    def log_prob(self, observation, cost, phi, psi, params):
        role, seen = observation
        return tilt(self.log_prior(psi)[role], self._worth(seen["state"], phi)[role], cost)

    def log_prob_all(self, cost, phi, psi, params):
        return jax.vmap(lambda log_q, q: tilt(log_q, q, cost))(self.log_prior(psi), self._worth(0.0, phi))

    def log_prob_by_level(self, cost, phi, psi, params):
        log_q = jax.nn.log_softmax(self.log_prior(psi), axis=-1)
        log_q = jnp.where(log_q < ABSENT / 2, -jnp.inf, log_q)
        return jnp.stack([log_q, self.log_prob_all(cost, None, psi, params)])

    def log_shares(self, phi):
        return jax.nn.log_softmax(jnp.stack([0.0, phi["weight_1"]]))


# --- Tables: everybody chooses several times, or one person each action ----------------------------------------------

SIZES = {"pair": (3, 2), "walk": (3,)}


def table(game, *, people=5, rounds=4, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        {
            "participant": f"p{i}",
            "round": t,
            "role": "row" if i % 2 else "column",
            "state": int(rng.integers(2)),
            "action": int(rng.integers(SIZES["pair"][0 if i % 2 else 1])),
        }
        for i in range(people)
        for t in range(1, rounds + 1)
    ]
    frame = pd.DataFrame(rows)
    return frame.drop(columns="state") if game == "pair" else frame.drop(columns="role")


def every_action(game):
    """One decision by each of as many people as there are actions, all in one situation."""
    n = SIZES[game][0]
    frame = pd.DataFrame({"participant": [f"p{a}" for a in range(n)], "round": 1, "action": range(n)})
    return frame.assign(role="row") if game == "pair" else frame.assign(state=1)


def read(game, frame):
    frame = frame.assign(action=frame["action"].astype(str))
    return bc.Decisions.from_table(frame, {game: PAIR if game == "pair" else WALK})


@dataclasses.dataclass(frozen=True)
class Kind:
    """A likelihood of private costs.

    Attributes:
        game: "pair" (one-shot) or "walk" (over time).
        given: beliefs that are fixed; else they move with the shared numbers.
        broken: what is done to the likelihood, to see a law catch it.
    """

    game: str
    given: dict[str, float] = dataclasses.field(default_factory=dict)
    broken: Callable[[Any], Any] = lambda likelihood: likelihood

    @property
    def shared(self):
        return {n: x for n, x in SHARED.items() if n not in self.given}

    @property
    def usual(self):
        return self.game, *self.given.items()

    def of(self, frame=None, *, groups=1, **options):
        """The likelihood of a table; that of the usual one is made once."""
        if frame is None and groups == 1 and not options:
            if self.usual not in _usual:
                _usual[self.usual] = dataclasses.replace(self, broken=lambda true: true).of(table(self.game))
            return self.broken(_usual[self.usual])
        decisions = read(self.game, table(self.game) if frame is None else frame)
        people = len(decisions.levels("participant"))
        policy = Formula(PAIR if self.game == "pair" else WALK, LogNormal(4), **options)
        kind = OneShotPrivate if self.game == "pair" else OverTimePrivate
        likelihood = kind.of(
            policy,
            LogNormal(4),
            decisions,
            group=np.arange(people) % groups,
            names=tuple(self.shared),
            given=self.given,
        )
        return self.broken(likelihood)

    def expected(self, frame, log_cost, shared):
        """(people, nodes) in NumPy, people in the order of their labels."""
        at = {**shared, **self.given}
        out = {}
        for row in frame.sort_values("participant", kind="stable").itertuples():
            role = 0 if self.game == "walk" or row.role == "row" else 1
            state = row.state if self.game == "walk" else 0
            p = [
                chances(role, state, SIZES[self.game], np.exp(x), at["phi.log_mean"], at["psi.pull"], at["lapse"])
                for x in log_cost
            ]
            out[row.participant] = out.get(row.participant, 0.0) + np.log(p)[:, row.action]
        return np.array(list(out.values()))


_usual = {}
BELIEFS = {"phi.log_mean": -0.3, "phi.log_sd": 0.5}
KINDS = {
    "one-shot": Kind("pair"),
    "one-shot, given beliefs": Kind("pair", BELIEFS),
    "over time": Kind("walk"),
}


def compiled(likelihood, method):
    """A method of a likelihood, compiled once for numbers of one shape."""
    key = id(likelihood), method
    if key not in _compiled:
        _compiled[key] = likelihood, jax.jit(getattr(likelihood, method))  # kept, so that no other has its id
    return lambda *given: np.asarray(_compiled[key][1](*jax.tree.map(lambda x: np.asarray(x, float), given)))


_compiled = {}


def curves(likelihood, shared, log_cost=LOG_COST):
    return compiled(likelihood, "curves")(np.asarray(log_cost), shared)


def observed(observe):
    """The log-probability of each row."""

    def rows():
        sites = handlers.trace(handlers.seed(observe, 0)).get_trace().values()
        site: Any = next(s for s in sites if s["type"] == "sample")
        return site["fn"].log_prob(site["value"])

    return np.asarray(jax.jit(rows)())


# --- Laws -------------------------------------------------------------------------------------------------------------


def probabilities_sum_to_one(kind):
    likelihood = kind.of(every_action(kind.game))
    np.testing.assert_allclose(np.exp(curves(likelihood, kind.shared)).sum(axis=0), 1.0, rtol=1e-12)


def curves_are_the_formula(kind):
    frame = table(kind.game)
    expected = kind.expected(frame, LOG_COST, kind.shared)
    np.testing.assert_allclose(curves(kind.of(), kind.shared), expected, rtol=1e-10)


def people_add_up(kind):
    likelihood = kind.of()
    whole = curves(likelihood, kind.shared)
    some = np.array([3, 0, 4])
    np.testing.assert_allclose(curves(likelihood.of_some(some), kind.shared), whole[some], rtol=1e-12)
    shards = list(likelihood.shards(12))
    assert len(shards) > 1 and sum((s.participants for s in shards), ()) == likelihood.participants
    np.testing.assert_allclose(np.concatenate([curves(s, kind.shared) for s in shards]), whole, rtol=1e-12)
    assert sum(s.decisions.sum() for s in shards) == likelihood.decisions.sum() == 20


def order_does_not_matter(kind):
    frame = table(kind.game)
    mixed = frame.sample(frac=1.0, random_state=1)
    expected = kind.expected(mixed, LOG_COST, kind.shared)
    np.testing.assert_allclose(curves(kind.of(mixed), kind.shared), expected, rtol=1e-10)


def slopes_are_differences(kind):
    likelihood = kind.of()
    names = list(kind.shared)

    def total(x):
        shared = dict(zip(names, x[1:], strict=True))
        return likelihood.curves(x[:1], shared).sum()

    at = np.array([0.3, *kind.shared.values()])
    steps = 1e-5 * np.eye(len(at))
    points = np.concatenate([at[None], at + steps, at - steps])
    values, slopes = map(np.asarray, jax.jit(jax.vmap(jax.value_and_grad(total)))(points))
    up, down = values[1:].reshape(2, len(at))
    np.testing.assert_allclose(slopes[0], (up - down) / 2e-5, rtol=1e-6, atol=1e-7)


def observing_is_the_curve_at_ones_own_cost(kind):
    likelihood = kind.of()
    own = np.linspace(-1.0, 1.0, 5)
    rows = observed(lambda: likelihood.observe(jnp.asarray(own), kind.shared))
    person = likelihood.data.person
    by_person = np.bincount(person, rows, 5)
    diagonal = np.diagonal(curves(likelihood, kind.shared, own))
    np.testing.assert_allclose(by_person, diagonal + likelihood.data.ways, rtol=1e-10)


def personal_habits_are_each_persons(kind):
    likelihood = kind.of()
    pull = np.linspace(0.0, 1.0, 5)
    rows = observed(lambda: likelihood.observe(jnp.full(5, 0.3), kind.shared, {"pull": jnp.asarray(pull)}))
    by_person = np.bincount(likelihood.data.person, rows, 5) - likelihood.data.ways
    expected = [curves(likelihood, kind.shared | {"psi.pull": x}, np.full(5, 0.3))[i, 0] for i, x in enumerate(pull)]
    np.testing.assert_allclose(by_person, expected, rtol=1e-10)


def groups_have_their_own_numbers(kind):
    likelihood = kind.of(table(kind.game), groups=2)
    both = {n: x if n == "lapse" else jnp.asarray([x, x + 0.3]) for n, x in kind.shared.items()}
    found = curves(likelihood, both)
    for g in (0, 1):
        own = {n: float(x if n == "lapse" else np.asarray(x)[g]) for n, x in both.items()}
        np.testing.assert_allclose(found[g::2], curves(kind.of(), own)[g::2], rtol=1e-10)


def impossible_choices_are_refused(kind):
    with pytest.raises(InputError, match="probability zero"):
        kind.of(every_action(kind.game), impossible=1).check_support()
    kind.of(every_action(kind.game)).check_support()


def integrals_are_quadratures(kind):
    frame = table(kind.game, people=2)
    nodes = even_nodes(Interval(-6.0, 6.0), 60)
    likelihood, phi = kind.of(frame), {"log_mean": jnp.asarray(0.4), "log_sd": jnp.asarray(0.8)}
    integrals = jax.jit(lambda curves: log_marginal(curves, jnp.asarray(nodes), LogNormal(4), phi))
    found = np.asarray(integrals(curves(likelihood, kind.shared, nodes)))
    costs = stats.norm(0.4, 0.8)
    for i in range(2):
        joint = lambda x, i=i: np.exp(kind.expected(frame, [x], kind.shared)[i, 0]) * costs.pdf(x)
        np.testing.assert_allclose(found[i], np.log(integrate.quad(joint, -6, 6)[0]), rtol=1e-5)


LAWS = [
    probabilities_sum_to_one, curves_are_the_formula, people_add_up, order_does_not_matter, slopes_are_differences,
    observing_is_the_curve_at_ones_own_cost, personal_habits_are_each_persons, groups_have_their_own_numbers,
    impossible_choices_are_refused, integrals_are_quadratures,
]  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("law", LAWS, ids=lambda f: f.__name__)
def test_law(law, name):
    law(KINDS[name])


# --- Laws must catch what breaks them ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Broken:
    """A likelihood with one method replaced."""

    true: Any
    method: str
    wrong: Callable[..., Any]

    def __getattr__(self, name):
        if name == self.method:
            return lambda *args: self.wrong(self.true, *args)
        return getattr(self.true, name)


def breaks(method, wrong):
    return lambda likelihood: Broken(likelihood, method, wrong)


def no_gradient(true, log_cost, shared):
    return true.curves(log_cost, {n: jax.lax.stop_gradient(x) for n, x in shared.items()})


PLANTED = {
    "a lapse that adds nothing": (
        probabilities_sum_to_one,
        breaks("curves", lambda true, x, shared: true.curves(x, shared | {"lapse": 0.0}) + np.log(0.9)),
    ),
    "values of another role": (
        curves_are_the_formula,
        lambda true: dataclasses.replace(
            true, data=dataclasses.replace(true.data, role=1 - true.data.role, sizes=np.array([2, 3]))
        ),
    ),
    "the first people instead of some": (
        people_add_up,
        breaks("of_some", lambda true, people: true.of_some(np.arange(len(people)))),
    ),
    "people in the order of the table": (
        order_does_not_matter,
        breaks("curves", lambda true, x, shared: true.curves(x, shared)[::-1]),
    ),
    "no gradient": (slopes_are_differences, breaks("curves", no_gradient)),
    "everybody at the mean cost": (
        observing_is_the_curve_at_ones_own_cost,
        breaks("observe", lambda true, x, shared: true.observe(jnp.full(5, x.mean()), shared)),
    ),
    "personal habits ignored": (
        personal_habits_are_each_persons,
        breaks("observe", lambda true, x, shared, psi: true.observe(x, shared)),
    ),
    "one group for all": (
        groups_have_their_own_numbers,
        breaks("curves", lambda true, x, shared: true.curves(x, {n: jnp.ravel(v)[0] for n, v in shared.items()})),
    ),
    "a density without its Jacobian": (
        integrals_are_quadratures,
        breaks("curves", lambda true, x, shared: true.curves(x, shared) + 0.01 * x),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_is_caught(name):
    law, broken = PLANTED[name]
    with pytest.raises(AssertionError):
        law(dataclasses.replace(KINDS["one-shot"], broken=broken))


# --- What is particular to counts, to drift and to given beliefs ------------------------------------------------------


def test_rows_without_decisions_change_nothing():
    frame = table("pair").assign(n=1)
    empty = frame.head(4).assign(n=0, action=lambda t: (t["action"] + 1) % 2)
    kind = KINDS["one-shot"]
    np.testing.assert_allclose(
        curves(kind.of(pd.concat([frame, empty])), kind.shared), curves(kind.of(), kind.shared), rtol=1e-12
    )


def test_ways_count_the_orders_of_choices():
    data = KINDS["one-shot"].of(table("pair")).data
    counts = [np.bincount(group["action"], minlength=3) for _, group in table("pair").groupby("participant")]
    expected = [np.log(special.factorial(c.sum()) / np.prod(special.factorial(c))) for c in counts]
    np.testing.assert_allclose(data.ways, expected, rtol=1e-12)


@pytest.mark.parametrize("game", SIZES)
def test_costs_that_drift_are_those_of_each_round(game):
    frame = table(game, rounds=3)
    decisions = read(game, frame)
    policy = Formula(PAIR if game == "pair" else WALK, LogNormal(4))
    kind = OneShotPrivate if game == "pair" else OverTimePrivate
    names = (*SHARED, "drift")
    likelihood = kind.of(policy, LogNormal(4), decisions, group=np.zeros(5, int), names=names, drifting=True)
    found = curves(likelihood, SHARED | {"drift": 0.8}, [0.2])[:, 0]
    expected = 0.0
    for t in (1, 2, 3):
        moved = 0.8 * (t - 1) / 2
        believed = moved if game == "pair" else 0.0  # in one-shot games believed costs drift as true ones do
        shared = SHARED | {"phi.log_mean": SHARED["phi.log_mean"] + believed}
        expected = expected + Kind(game).expected(frame[frame["round"] == t], [0.2 + moved], shared)[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_what_nothing_moves_is_solved_once():
    assert KINDS["one-shot"].of(table("pair")).solved is None
    given = Kind("pair", BELIEFS | {"psi.pull": 0.7})
    likelihood = given.of(table("pair"))
    assert likelihood.solved is not None
    np.testing.assert_allclose(
        curves(likelihood, {"lapse": 0.1}), given.expected(table("pair"), LOG_COST, {"lapse": 0.1}), rtol=1e-10
    )


# --- Common costs and types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("game", SIZES)
def test_a_common_cost_is_everybodys(game, constant):
    frame = table(game)
    kind = OneShotCommon if game == "pair" else OverTimeCommon
    numbers = {"cost": np.exp(0.3), "phi.log_mean": 0.4, "psi.pull": 0.7}
    policy = Formula(PAIR if game == "pair" else WALK)
    likelihood = kind.of(policy, None, read(game, frame), given=numbers if constant else {}, constant=constant)
    shared = {"lapse": 0.1} | ({} if constant else numbers)
    expected = np.array(
        [
            sum(
                np.log(chances(role_of(game, r), r.state if game == "walk" else 0, SIZES[game], np.exp(0.3),
                               0.4, 0.7, 0.1)[r.action])
                for r in rows.itertuples()
            )
            for _, rows in frame.groupby("participant")
        ]
    )  # fmt: skip
    assert (likelihood.solved is not None) == constant
    np.testing.assert_allclose(compiled(likelihood, "by_person")(shared)[:, 0], expected, rtol=1e-10)
    rows = observed(lambda: likelihood.observe(shared))
    by_person = np.bincount(likelihood.data.person, rows, 5)
    np.testing.assert_allclose(by_person, expected + likelihood.data.ways, rtol=1e-10)


def role_of(game, row):
    return 0 if game == "walk" or row.role == "row" else 1


def test_private_costs_at_one_cost_are_a_common_likelihood():
    kind = KINDS["one-shot"]
    private = kind.of()
    alike, shared = AtOneCost.of(private), kind.shared | {"cost": np.exp(0.2)}
    assert alike.types == 1 and alike.log_shares(shared).tolist() == [0.0]
    expected = curves(private, kind.shared, np.full(5, 0.2))[:, :1]
    np.testing.assert_allclose(compiled(alike, "by_person")(shared), expected, rtol=1e-12)
    rows = observed(lambda: alike.observe(shared))
    np.testing.assert_allclose(np.bincount(private.data.person, rows, 5), expected[:, 0] + private.data.ways)


def test_types_that_are_summed_out_are_the_explicit_mixture():
    """Two levels: of the first everybody plays the habit, of the second the formula without beliefs."""
    from bayescal.model.types import typed_model

    frame = table("pair")
    sites = {
        "log_cost": default_log_cost(1.0),
        "weight_1": default_log_cost(10.0),
    }
    policy = Formula(PAIR, levels=1)
    model = typed_model(policy, read("pair", frame), sites, description="two levels")
    values = {"log_cost": 0.3, "weight_1": -0.4}
    fixed = lambda m: handlers.trace(handlers.seed(handlers.substitute(m, data=values), 0)).get_trace()
    found = np.asarray(jax.jit(lambda: fixed(model)["decisions"]["fn"].log_prob(0.0))())
    ways = model.integrated.likelihood.data.ways
    share = special.softmax([0.0, -0.4])
    by_type = np.zeros((5, 2))
    for i, (_, rows) in enumerate(frame.groupby("participant")):
        for r in rows.itertuples():
            role = role_of("pair", r)
            by_type[i] += [
                -np.log(SIZES["pair"][role]),
                np.log(chances(role, 0, (3, 2), np.exp(0.3), 0.0, 0.0)[r.action]),
            ]
    np.testing.assert_allclose(found, np.log(np.exp(by_type) @ share) + ways, rtol=1e-10)
    # With everybody's type as a site: that type's column.
    types = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    whole = handlers.substitute(model.evaluated, data=values | {"level": types})
    rows = observed(handlers.block(whole, hide=["log_cost", "weight_1", "level", "cost", "precision"]))
    own = by_type[np.arange(5), types.astype(int)]
    np.testing.assert_allclose(np.bincount(model.integrated.likelihood.data.person, rows, 5), own + ways, rtol=1e-10)
    # Where nobody is named, probabilities themselves are averaged.
    nobody = typed_model(policy, read("pair", frame.drop(columns="participant")), sites, description="two levels")
    log_probs = np.asarray(jax.jit(lambda: fixed(nobody)["choices"]["fn"].log_probs)())
    for log_p, available in zip(log_probs, nobody.constant_data["available"][1], strict=True):
        role = 0 if available.sum() == 3 else 1
        mixed = share[0] / SIZES["pair"][role] + share[1] * chances(role, 0, (3, 2), np.exp(0.3), 0.0, 0.0)
        np.testing.assert_allclose(np.exp(log_p)[: len(mixed)], mixed, rtol=1e-10)


# --- Covariates and beliefs, by NumPy and SciPy from the formulas of `model/people.py` --------------------------------


def quantal_response(quantities, log_mean, log_sd, firms=3, intercept=100.0, unit_cost=1.0):
    """Profits against two others with log-normal costs in equilibrium, by damped iteration and Gauss-Hermite nodes."""
    x, w = np.polynomial.hermite_e.hermegauss(41)
    costs, weights = np.exp(log_mean + log_sd * x), w / w.sum()
    p = np.full(len(quantities), 1 / len(quantities))
    totals = quantities[:, None] + quantities[None, :]
    for _ in range(2000):
        price = np.maximum(intercept - quantities[:, None, None] - totals[None], 0.0)
        profit = np.einsum("qab,a,b->q", (price - unit_cost) * quantities[:, None, None], p, p)
        reply = weights @ special.softmax(profit / costs[:, None], axis=1)
        if np.abs(reply - p).max() < 1e-13:
            break
        p = 0.5 * p + 0.5 * reply
    return profit


@pytest.fixture(scope="module")
def firms():
    rng, market, population = np.random.default_rng(0), bc.Cournot(3, np.linspace(0, 60, 7)), LogNormal(12)
    person = np.repeat(np.arange(8), 6)
    columns = {
        "participant": person,
        "action": rng.choice([10, 20, 30, 40], 48, p=[0.2, 0.4, 0.3, 0.1]),
        "treatment": np.where(person < 3, "a", "b"),
        "age": 20.0 + person,
    }
    frame = pd.DataFrame(columns)
    with jax.enable_x64(True):
        decisions = bc.Decisions.from_table(frame, {"cournot": market}, covariates=("treatment", "age"))
        policy = bc.ExactPolicy(market, population=population)
        options = {"groups": "treatment", "covariates": "~ age", "method": "marginal"}
        return bc.build_model(policy, population, decisions, **options), frame, market


def test_beliefs_follow_the_covariates_of_the_people_one_meets(firms):
    """Group effects and covariates shift true costs, and beliefs by the mean and the spread of the group's shifts."""
    model, frame, market = firms
    values = {"log_mean": 5.0, "log_sd": 0.6, "group_sd": 0.5, "group_offset": np.array([0.8, -0.5])}
    values["effect_per_sd"] = np.array([0.7])
    fixed = handlers.substitute(model, data=values)
    found = np.asarray(jax.jit(lambda: handlers.trace(handlers.seed(fixed, 0)).get_trace()["decisions"]["fn"].value)())

    people = frame.groupby("participant").first()
    age = people["age"].to_numpy() - people["age"].mean()
    moved = 0.7 * age / age.std()
    group = (people["treatment"] == "b").to_numpy().astype(int)
    shift = 0.5 * values["group_offset"][group] + moved
    quantities = np.asarray(market.action_values[0])
    low, high = np.log(float(market.payoff_scale(market.params))) + np.array([-9.0, 4.0])
    expected = []
    for g in (0, 1):
        members = np.flatnonzero(group == g)
        mean, sd = 5.0 + 0.5 * values["group_offset"][g] + moved[members].mean(), np.hypot(0.6, moved[members].std())
        profit = quantal_response(quantities, mean, sd)
        for i in members:
            counts = (frame[frame["participant"] == i]["action"].to_numpy()[:, None] == quantities).sum(axis=0)
            x = np.linspace(low, high, 8001)
            log_p = special.log_softmax(profit / np.exp(x)[:, None], axis=1) @ counts
            density = stats.norm(5.0 + shift[i], 0.6).logpdf(x)
            ways = special.gammaln(counts.sum() + 1) - special.gammaln(counts + 1).sum()
            expected.append(special.logsumexp(log_p + density) - special.logsumexp(density) + ways)
    np.testing.assert_allclose(found[np.argsort(group, kind="stable")], expected, atol=2e-3)
    # The law is sharp: beliefs that ignore what covariates do to others are 0.05 nats off for somebody.
    profit = quantal_response(quantities, 5.0, 0.6)
    naive = special.log_softmax(profit / np.exp(5.0)) - special.log_softmax(
        quantal_response(quantities, 5.0 - 0.25 + moved[group == 1].mean(), 0.6) / np.exp(5.0)
    )
    assert np.abs(naive).max() > 0.01
