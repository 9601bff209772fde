"""What must hold of simulated play in every kind of game: one is tested the moment it is registered.

A law is a function of a simulation that raises AssertionError. People decide by a rule written here, whose choices
depend on everything that they observe. At the end each law is shown a simulation with a planted error.
"""

import io
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayescal as bc
from bayescal.environments.base import Environment, OneShot
from bayescal.environments.finite import FiniteGame
from bayescal.environments.named import GAMES
from bayescal.policies.base import Policy

GROUPS, SEED, COST = 60, 11, 0.5
WRONGLY_REJECTED = 1e-4  # the probability that a test of shares rejects a simulation that is right


class Waves(Policy):
    """An action is worth a sum of waves in the action, whose phases are what is seen: no solution of anything, but no
    two observations give the same choices."""

    environment: Environment

    def log_prob(self, observation, cost, phi, psi, params):
        env = self.environment
        role, seen = (observation, None) if isinstance(env, OneShot) else observation
        action = jnp.arange(env.mask.shape[1])
        phases = env.see(seen, params)
        waves = jnp.sin((action[:, None] + 1) * (0.7 * jnp.arange(len(phases)) + 0.6) + 3 * phases)
        value = jnp.sin(1.3 * action + role) + waves.sum(axis=1)
        possible = jnp.asarray(env.mask)[role]
        if isinstance(env, FiniteGame):
            first = int(np.sum(env.role_counts[:role]))
            possible = jnp.asarray(env.possible)[first, env.situation_of(seen)]
        own = jnp.broadcast_to(jnp.asarray(cost), (env.roles,))[role]
        return jax.nn.log_softmax(jnp.where(possible, value / own, -jnp.inf))


class Simulation:
    """A game, a policy for it, and a table of their play."""

    def __init__(self, game: Environment, cost: float = COST):
        self.game, self.policy, self.cost = game, Waves(game), cost
        self.table = self.simulate(GROUPS)

    def simulate(self, groups: int, seed: int = SEED, **asked: Any) -> pd.DataFrame:
        asked = {"rounds": 40} | asked if isinstance(self.game, OneShot) else asked
        return bc.simulate(self.policy, cost=self.cost, groups=groups, seed=seed, **asked)

    def replayed(self) -> tuple[pd.DataFrame, Any]:
        """(the table through CSV, what its people observed)."""
        game = self.game
        texts = dict.fromkeys(("action", "participant", "situation"), str)
        table = pd.read_csv(io.StringIO(self.table.to_csv(index=False)), dtype=texts)
        roles = table["role"] if "role" in table else pd.Series([game.role_names[0]] * len(table))
        table["role_index"] = [game.role_names.index(r) for r in roles]
        cells = zip(table["role_index"], table["action"], strict=True)
        table["action_index"] = [game.action_labels[r].index(a) for r, a in cells]
        if "situation" in table:  # the reader of tables turns names into numbers
            names = [[name for name, _ in game.named_situations(r)] for r in range(game.roles)]
            cells = zip(table["role_index"], table["situation"], strict=True)
            table["situation"] = [float(names[r].index(s)) for r, s in cells]
        cells = zip(table["role_index"], table["action_index"], strict=True)
        table["value"] = [game.action_values[r][a] for r, a in cells]
        return table, game.replay(table)

    def log_probs(self, observations: dict[str, np.ndarray], role: np.ndarray) -> np.ndarray:
        """Log-probabilities (rows, actions) of every recorded decision."""
        game, params = self.game, jax.tree.map(jnp.asarray, self.game.params)
        out = np.empty((len(role), game.mask.shape[1]))
        for r in range(game.roles):
            rows = np.flatnonzero(role == r)
            if isinstance(game, OneShot):
                out[rows] = log_prob_of_role(self.policy, r, jnp.asarray(self.cost), params)
                continue
            seen = {n: jnp.asarray(x[rows]) for n, x in observations.items()}
            out[rows] = log_probs_of_role(self.policy, r, seen, jnp.asarray(self.cost), params)
        return out


@eqx.filter_jit
def log_prob_of_role(policy: Policy, role: int, cost: jax.Array, params: dict) -> jax.Array:
    return policy.log_prob(role, cost, None, None, params)


@eqx.filter_jit
def log_probs_of_role(policy: Policy, role: int, seen: dict, cost: jax.Array, params: dict) -> jax.Array:
    return jax.vmap(lambda o: policy.log_prob((role, o), cost, None, None, params))(seen)


def chi_square(p: np.ndarray, action: np.ndarray, role: np.ndarray) -> float:
    """The p-value of counts of actions, by role, given the probability of each decision.

    An action's indicator less its probability has mean zero given all that came before, so that sums over decisions are
    normal with the summed covariance diag(p) - pp', even where later decisions depend on earlier ones.
    """
    statistic, freedom = 0.0, 0
    for r in np.unique(role):
        rows = role == r
        q = p[rows]
        common = (q * (1 - q)).sum(axis=0) > 5
        off = (np.eye(p.shape[1])[action[rows]] - q).sum(axis=0)[common]
        covariance = (np.einsum("na,ab->ab", q, np.eye(p.shape[1])) - q.T @ q)[np.ix_(common, common)]
        values, axes = np.linalg.eigh(covariance)
        large = values > 1e-6 * values.max(initial=1.0)
        statistic += np.sum((off @ axes[:, large]) ** 2 / values[large])
        freedom += int(large.sum())
    return float(stats.chi2.sf(statistic, freedom))


def surprise(log_p: np.ndarray, action: np.ndarray) -> float:
    """The p-value of the log-probability of all decisions, whose mean and variance the policy implies."""
    p, finite = np.exp(log_p), np.where(np.isfinite(log_p), log_p, 0.0)
    mean = (p * finite).sum(axis=1)
    variance = (p * finite**2).sum(axis=1) - mean**2
    off = finite[np.arange(len(action)), action] - mean
    return float(2 * stats.norm.sf(abs(off.sum()) / np.sqrt(variance.sum())))


def shares_are_the_policys(simulation: Simulation) -> None:
    """Counts of actions, and the log-probability of the decisions, agree with the policy."""
    table, seen = simulation.replayed()
    rows = np.flatnonzero(seen.known)
    assert len(rows) > 100
    role, action = table["role_index"].to_numpy(), table["action_index"].to_numpy()
    log_p = simulation.log_probs(seen.observations, role)[rows]
    assert chi_square(np.exp(log_p), action[rows], role[rows]) > WRONGLY_REJECTED
    assert surprise(log_p, action[rows]) > WRONGLY_REJECTED


def observations_are_rebuilt(simulation: Simulation) -> None:
    """People whose information is almost free take the best action given what they saw. Each recorded action must be
    the best given what `replay` says that they saw."""
    table, seen = simulation.replayed()
    assert not seen.faults
    role, action = table["role_index"].to_numpy(), table["action_index"].to_numpy()
    value = simulation.cost * simulation.log_probs(seen.observations, role)
    short = value.max(axis=1) - value[np.arange(len(action)), action]
    # An action that is worse by 20 times the cost is taken once in e^20 times.
    assert np.all(short[seen.known] < 20 * simulation.cost)


def seeds_reproduce(simulation: Simulation) -> None:
    """The same seed gives the same table to the bit; another seed gives another."""
    pd.testing.assert_frame_equal(simulation.table, simulation.simulate(GROUPS), check_exact=True)
    assert not simulation.simulate(GROUPS, seed=SEED + 1).equals(simulation.table)


def more_groups_leave_the_first_unchanged(simulation: Simulation) -> None:
    few = simulation.simulate(7)
    first = simulation.table[simulation.table["group"].isin(few["group"].unique())].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, first, check_exact=True)


def tables_are_whole(simulation: Simulation) -> None:
    """One row for each player and round until the game is over (in a tree, for the one who moves), and no columns but
    the game's own."""
    game, table = simulation.game, simulation.table
    always = {"participant", "group", "role", "round", "action", "payoff", "cost"}
    assert set(table.columns) - always <= set(game.columns)
    assert np.isfinite(table["payoff"]).all()
    rounds = table.groupby("group")["round"].agg(["min", "max", "size"])
    assert (rounds["min"] == 1).all()
    movers = 1 if game.named_situations(0) else game.players
    assert (rounds["size"] == movers * rounds["max"]).all()
    assert table["group"].nunique() == GROUPS
    assert table["participant"].nunique() == GROUPS * game.players


# --- Every kind of game that is registered ---------------------------------------------------------------------------


def kinds() -> dict[str, str]:
    """The first registered game of each class, by the name of the class."""
    names: dict[str, str] = {}
    for name in GAMES:
        names.setdefault(type(GAMES[name].example()).__name__, name)
    return names


KINDS = kinds()


@cache
def simulated(name: str, cost: float = COST) -> Simulation:
    return Simulation(GAMES[name].example(), cost)


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
@pytest.mark.parametrize("law", [shares_are_the_policys, seeds_reproduce, tables_are_whole])
def test_law(kind, law):
    law(simulated(KINDS[kind]))


@every_kind
def test_observations_are_rebuilt(kind):
    if not isinstance(simulated(KINDS[kind]).game, OneShot):
        observations_are_rebuilt(simulated(KINDS[kind], 1e-3))


@pytest.mark.parametrize("name", ["cournot-2", "cournot-repeated"])  # each needs a program of its own for few groups
def test_more_groups(name):
    more_groups_leave_the_first_unchanged(simulated(name))


# --- Planted errors --------------------------------------------------------------------------------------------------

MARKET = "cournot-repeated"


class Altered(Simulation):
    """The simulation of a market, with another table or another cost."""

    def __init__(self, table: pd.DataFrame | None = None, cost: float = COST, base: float = COST):
        good = simulated(MARKET, base)
        self.game, self.policy, self.cost = good.game, good.policy, cost
        self.table = good.table if table is None else table


@pytest.mark.parametrize("off", [0.8, 1.3])
def test_people_of_other_costs_are_caught(off):
    with pytest.raises(AssertionError):
        shares_are_the_policys(Altered(cost=off * COST))


def test_other_shares_are_caught():
    table = simulated(MARKET).table
    sixth = np.arange(len(table)) % 6 == 0
    with pytest.raises(AssertionError):
        shares_are_the_policys(Altered(table.assign(action=table["action"].where(~sixth, "0"))))


def test_a_lost_observation_is_caught():
    table = simulated(MARKET, 1e-3).table
    own = [name for name in ("price", "profit") if name in table]
    one_round_late = table.groupby("participant")["action"].shift(1).fillna(table["action"])
    with pytest.raises(AssertionError):
        observations_are_rebuilt(Altered(table.assign(action=one_round_late).drop(columns=own), 1e-3, 1e-3))


def test_a_seed_that_does_not_determine_the_play_is_caught():
    class Restless(Altered):
        def simulate(self, groups, seed=SEED, **asked):
            return super().simulate(groups, seed + int(np.random.default_rng().integers(1, 10**6)), **asked)

    for law in (seeds_reproduce, more_groups_leave_the_first_unchanged):
        with pytest.raises(AssertionError):
            law(Restless())


def test_a_missing_row_is_caught():
    with pytest.raises(AssertionError):
        tables_are_whole(Altered(simulated(MARKET).table.drop(index=5)))


def test_the_chi_square_test_rejects_as_often_as_it_says():
    """Of 2,000 right simulations by NumPy about a twentieth is rejected at the level of 0.05."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 200)
    role = rng.integers(0, 2, 200)
    draws = (rng.random((2000, 200, 1)) > p.cumsum(axis=1)[None, :, :-1]).sum(axis=2)
    rejected = np.mean([chi_square(p, action, role) < 0.05 for action in draws])
    assert abs(rejected - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 2000)
