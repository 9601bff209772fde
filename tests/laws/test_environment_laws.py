"""What must hold of every game that has a name: a game is tested the moment it is registered.

A law is a function of a game that raises AssertionError. Expectations come from enumeration, finite differences or
loops in NumPy. Below the laws each of them is shown a game with a planted error, which it must catch.
"""

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Hashable
from functools import cache, partial
from importlib import import_module

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import bayescal as bc
from bayescal.environments.base import Environment, OneShot, role_of_player, symmetric_fields
from bayescal.environments.finite import FiniteGame
from bayescal.environments.markov import Markov
from bayescal.environments.named import GAMES
from bayescal.environments.repeated import Repeated
from bayescal.precision import double_precision

GROUPS, MOST_ROUNDS = 3, 8


@pytest.fixture(autouse=True, scope="module")
def float64():
    with double_precision():
        yield


@cache
def example(name: str) -> Environment:
    return GAMES[name].example()


def compiled(f: Callable, game: Environment, *also: Hashable) -> Callable:
    """f(params, …), compiled once for all games that differ only in parameters and names."""
    fields = [f for f in dataclasses.fields(game) if f.metadata.get("static") and f.name not in ("name", "role_names")]
    key = (f.__name__, type(game), *(getattr(game, field.name) for field in fields), *also)
    return _programs.setdefault(key, jax.jit(f))


_programs: dict[Hashable, Callable] = {}


# --- One-shot games --------------------------------------------------------------------------------------------------


def mixtures(game: OneShot, seed: int = 0) -> np.ndarray:
    p = np.random.default_rng(seed).gamma(1.0, size=game.mask.shape) * game.mask
    return p / p.sum(axis=1, keepdims=True)


class Facts:
    """What a one-shot game says of itself, by one compiled program."""

    H = 1e-5  # of finite differences

    def __init__(self, game: OneShot):
        self.game, self.roles = game, role_of_player(game.role_counts)
        sizes = [len(game.action_values[r]) for r in self.roles]
        self.joint = np.array(list(itertools.product(*map(range, sizes))))
        self.p, self.other = mixtures(game), mixtures(game, 1)
        known = np.random.default_rng(2)
        self.known = [int(known.integers(len(values))) for values in game.action_values]
        out = compiled(self.compute, game)(jax.tree.map(jnp.asarray, game.params), self.p, self.joint)
        for name, x in out.items():
            setattr(self, name, jax.tree.map(np.asarray, x))

    def compute(self, params, p, joint):
        game, other = self.game, jnp.asarray(self.other)
        payoffs = jax.vmap(lambda a: game.payoffs(a, params))(joint)
        cells = self.H * jnp.eye(p.size).reshape(p.size, *p.shape)
        move = jax.vmap(lambda q: game.expected_payoffs(q, params))
        again, became = game.relabel(params)
        moved = p if became is None else jnp.zeros_like(p).at[jnp.arange(game.roles)[:, None], became].set(p)
        pure = jnp.eye(game.mask.shape[1])[jnp.array(self.known)]
        two = {n: jnp.stack([x, 1.5 * x]) for n, x in params.items()}
        of = lambda i: {n: x[i] for n, x in two.items()}
        return {
            "scale": game.payoff_scale(params),
            "payoffs": payoffs,
            "expected": game.expected_payoffs(p, params),
            "tables": [game.joint_table(r, params) for r in range(game.roles)],
            "chances": [game.joint_chances(r, p) for r in range(game.roles)],
            "pure": [game.joint_chances(r, pure) for r in range(game.roles)],
            "slopes": game.payoff_slopes(p, params),
            "numeric": (move(p + cells) - move(p - cells)) / (2 * self.H),
            "factors": game.slope_factors(params),
            "became": became,
            "relabelled": game.expected_payoffs(moved, again),
            "batch": (
                jax.vmap(game.expected_payoffs)(jnp.stack([p, other]), two), jax.vmap(game.payoffs)(joint[-2:], two),
            ),
            "loop": (
                jnp.stack([game.expected_payoffs(q, of(i)) for i, q in enumerate((p, other))]),
                jnp.stack([game.payoffs(joint[-2 + i], of(i)) for i in range(2)]),
            ),
        }  # fmt: skip

    def averages(self) -> np.ndarray:
        """Expected payoffs by enumeration of all joint actions."""
        out = np.zeros(self.game.mask.shape)
        for role in range(self.game.roles):
            me = self.roles.index(role)
            others = [i for i in range(self.game.players) if i != me]
            weight = np.prod([self.p[self.roles[i], self.joint[:, i]] for i in others], axis=0)
            np.add.at(out[role], self.joint[:, me], weight * self.payoffs[:, me])
        return out

    def close(self, found, expected, rtol=1e-10):
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * float(self.scale))


@cache
def facts(name: str) -> Facts:
    return Facts(OTHERS[name]() if name in OTHERS else example(name))


def expected_payoffs_are_averages(it: Facts):
    it.close(np.where(it.game.mask, it.expected, 0.0), it.averages())


def joint_tables_give_expected_payoffs(it: Facts):
    expected = it.averages()
    for role, (table, chances) in enumerate(zip(it.tables, it.chances, strict=True)):
        size = len(it.game.action_values[role])
        assert table.shape == (size, len(chances)) and table.size == it.game.joint_size(role)
        assert chances.min() >= 0
        np.testing.assert_allclose(chances.sum(), 1.0, rtol=1e-12)
        it.close(table @ chances, expected[role, :size])


def columns_of_joint_tables_are_payoffs(it: Facts):
    """Where the others' actions are known (players of one role do the same), the column of probability 1 is theirs."""
    for role, (table, chances) in enumerate(zip(it.tables, it.pure, strict=True)):
        me = it.roles.index(role)
        fixed = [it.joint[:, i] == it.known[r] for i, r in enumerate(it.roles) if i != me]
        here = np.all(fixed, axis=0)
        it.close(table @ chances, it.payoffs[here, me][np.argsort(it.joint[here, me])])


def payoff_slopes_are_finite_differences(it: Facts):
    shape, mask = it.p.shape, it.game.mask
    numeric = np.moveaxis(it.numeric.reshape(*shape, *shape), (0, 1), (2, 3))
    real = mask[:, :, None, None] & mask[None, None]
    it.close(it.slopes * real, numeric * real, rtol=1e-7)


def slope_factors_are_slopes(it: Facts):
    """Up to a term that all own actions share."""
    if it.factors is None:
        return
    rest = it.slopes - np.einsum("mra,msb->rasb", *it.factors)
    it.close(rest, np.broadcast_to(rest[:, :1], rest.shape))
    assert np.ptp(it.slopes, axis=1).max() > 0


def players_of_a_role_are_alike(it: Facts):
    row = {tuple(joint): pay for joint, pay in zip(it.joint.tolist(), it.payoffs, strict=True)}
    roles = np.array(it.roles)
    for role in np.flatnonzero(np.array(it.game.role_counts) > 1):
        order = np.arange(it.game.players)
        order[roles == role] = np.roll(order[roles == role], 1)
        traded = np.array([row[tuple(joint)] for joint in it.joint[:, order].tolist()])
        it.close(traded, it.payoffs[:, order])


def relabelling_gives_the_same_game(it: Facts):
    """`relabel` says where each action went; payoffs go with it."""
    if it.became is not None:
        back = np.take_along_axis(it.relabelled, it.became, axis=1)
        it.close(np.where(it.game.mask, back, 0.0), it.averages())


def one_shot_payoffs_are_finite(it: Facts):
    assert np.isfinite(it.payoffs).all()


def batches_are_loops(it: Facts):
    """Over mixtures, joint actions and parameters."""
    for together, alone in zip(it.batch, it.loop, strict=True):
        np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-12)


# --- Any game --------------------------------------------------------------------------------------------------------


def rules_are_whole(game):
    assert game.players == sum(game.role_counts) == len(role_of_player(game.role_counts))
    assert game.mask.shape[0] == game.roles == len(game.role_names)
    for values, labels, row in zip(game.action_values, game.action_labels, game.mask, strict=True):
        assert row[: len(values)].all() and not row[len(values) :].any()
        assert len(set(labels)) == len(labels) == len(set(values)) == len(values)
        assert not game.ordered or sorted(values) == list(values)
    assert all(isinstance(x, np.ndarray) and np.isfinite(x).all() for x in game.params.values())
    assert set(game.payoff_parameters) <= set(game.params)

    def units(params):
        return jnp.stack([game.payoff_scale(params), *(game.stake_scale(params, r) for r in range(game.roles))])

    scales = np.asarray(compiled(units, game)(jax.tree.map(jnp.asarray, game.params)))
    assert np.isfinite(scales).all() and scales.min() > 0


def paid(game, params):
    """What everybody is paid in three rounds."""
    state, rows = game.reset(jax.random.key(0), params), []
    for t in range(3):
        actions = jnp.asarray([(t + i) % 3 for i in range(game.players)], jnp.int32)
        state, rewards, _ = game.step(jax.random.key(t), state, actions, params)
        rows.append(rewards)
    return jnp.stack(rows)


def payoff_parameters_scale_payoffs(game):
    """All differences between own actions grow by the same factor, so that no data distinguish it from the cost; the
    input of a network does not change when costs grow with it."""
    names = game.payoff_parameters or (("payoffs",) if "payoffs" in game.params else ())
    if not names:
        return
    p = mixtures(game, 9) if isinstance(game, OneShot) else None

    def measures(params, costs):
        if isinstance(game, OneShot):
            u = game.expected_payoffs(p, params)
            differences = jnp.where(game.mask, u - u[:, :1], 0.0)
        elif isinstance(game, Repeated):
            u = game.stage.joint_table(0, params)
            differences = u - u[:1]
        elif isinstance(game, FiniteGame):
            differences = params["payoffs"] if "payoffs" in params else game.payoff_table(params)
        else:
            differences = paid(game, params)
        stakes = [game.stakes(params, role, costs) for role in range(game.roles)]
        return differences.ravel(), game.payoff_scale(params), stakes

    measure, params = compiled(measures, game), jax.tree.map(jnp.asarray, game.params)
    costs = jnp.linspace(0.2, 0.4, game.roles)
    before, scale, stakes = jax.tree.map(np.asarray, measure(params, costs))
    scaled = params | {n: 3.0 * params[n] for n in names}
    after, _, _ = measure(scaled, costs)
    factor = float((before @ after) / (before @ before))
    np.testing.assert_allclose(after, factor * before, rtol=1e-10, atol=1e-10 * np.abs(before).max())
    _, grown, same = measure(scaled, factor * costs)
    np.testing.assert_allclose(grown, abs(factor) * scale, rtol=1e-10)
    for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(stakes), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# --- Games over time -------------------------------------------------------------------------------------------------


class Play:
    """A game played at random by several groups, one compiled round at a time."""

    def __init__(self, game: Environment, groups: int = GROUPS):
        self.game, self.params = game, jax.tree.map(jnp.asarray, game.params)
        self.rounds = min(game.horizon, MOST_ROUNDS)
        self.keys = jax.random.split(jax.random.key(1), groups)
        self.states = [compiled(self.start, game)(self.params, self.keys)]
        self.rows = []
        one = compiled(self.rounds_of_all, game)
        for t in range(1, self.rounds + 1):
            out = one(self.params, self.states[-1], self.keys, t)
            self.states.append(out[0])
            self.rows.append(jax.tree.map(np.asarray, out[1:]))

    def start(self, params, keys):
        return jax.vmap(lambda key: self.game.reset(key, params))(keys)

    def rounds_of_all(self, params, states, keys, t):
        return jax.vmap(lambda state, key: self.round(params, state, key, t))(states, keys)

    def round(self, params, state, key, t):
        """(next state, joint action, payoffs, over, what was seen, what is recorded, what a network sees of it)."""
        game, (act, go) = self.game, jax.random.split(jax.random.fold_in(key, t))
        counts = jnp.array([len(game.action_values[r]) for r in role_of_player(game.role_counts)])
        joint = jax.random.randint(act, (game.players,), 0, counts, jnp.int32)
        seen = jax.tree.map(lambda *x: jnp.stack(x), *(game.observe(state, i) for i in range(game.players)))
        after, payoffs, over = game.step(go, state, joint, params)
        first = game.see(jax.tree.map(lambda x: x[0], seen), params)
        return after, joint, payoffs, over, seen, game.record(state, joint, after, params), first

    def table(self) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        """(a table such as `replay` takes, what was seen in each of its rows)."""
        game = self.game
        joint, _, over, seen, kept, _ = jax.tree.map(lambda *x: np.stack(x, axis=1), *self.rows)
        group, time, player = (x.ravel() for x in np.indices(joint.shape))
        role = np.array(role_of_player(game.role_counts))[player]
        action = joint.ravel()
        flat = lambda x: x.reshape(len(action), *x.shape[3:])
        columns = {name: np.full(len(action), np.nan) for name in game.columns}
        columns |= {name: flat(x).astype(float) for name, x in kept.items()}
        table = pd.DataFrame(
            {
                "participant": [f"{g}.{i}" for g, i in zip(group, player, strict=True)], "group": group.astype(str),
                "role_index": role, "round": time + 1, "action_index": action,
                "value": [game.action_values[r][a] for r, a in zip(role, action, strict=True)],
            }
            | columns
        )  # fmt: skip
        played = np.cumsum(over, axis=1) - over == 0  # rounds after the end were not played
        rows = np.flatnonzero(played[group, time])
        return table.iloc[rows].reset_index(drop=True), {n: flat(x)[rows] for n, x in seen.items()}


@cache
def play(name: str) -> Play:
    return Play(example(name))


def replay_rebuilds_what_was_seen(game, played):
    table, seen = played.table()
    back = game.replay(table)
    assert not back.faults
    assert set(back.observations) == set(seen)
    # A bus's first month, and players who do not move, make no decisions.
    assert back.known.mean() > (0.3 if isinstance(game, FiniteGame) else 0.999)
    for name, x in seen.items():
        np.testing.assert_allclose(np.asarray(back.observations[name])[back.known], x[back.known], atol=1e-8)


def recorded_columns_are_described(game, played):
    assert set(played.rows[0][-2]) <= set(game.columns)
    assert all(text.strip() for text in game.columns.values())
    assert all(x.shape == (GROUPS, game.players) for x in played.rows[0][-2].values())


def play_is_finite(game, played):
    for joint, payoffs, over, seen, _, numbers in played.rows:
        assert payoffs.shape == joint.shape and over.shape == joint.shape[:1] and over.dtype == bool
        assert np.isfinite(payoffs).all()
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(seen))
        assert numbers.ndim == 2 and np.isfinite(numbers).all() and np.abs(numbers).max(initial=0) < 50


def batched_play_is_a_loop(game, played):
    state = jax.tree.map(lambda x: x[1], played.states[0])
    alone = compiled(played.round, game)(played.params, state, played.keys[1], 1)
    together = jax.tree.map(lambda x: x[1], (played.states[1], *played.rows[0]))
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def players_of_a_role_are_alike_over_time(game, played):
    """Who trades actions with another player of the role trades payoffs, and sees what the other would have seen."""
    roles = np.array(role_of_player(game.role_counts))
    if max(game.role_counts) == 1:
        return
    order = np.concatenate([np.roll(np.flatnonzero(roles == r), 1) for r in range(game.roles)])
    rng, key = np.random.default_rng(3), jax.random.key(4)
    joint = np.array([[rng.integers(len(game.action_values[r])) for r in roles] for _ in range(2)], np.int32)

    def outcomes(params, joint):
        state = game.reset(key, params)
        for actions in joint:
            state, payoffs, _ = game.step(key, state, actions, params)
        return payoffs, [game.observe(state, i) for i in range(game.players)]

    run = compiled(outcomes, game)
    (payoffs, seen), (traded, seen_then) = run(played.params, joint), run(played.params, joint[:, order])
    np.testing.assert_allclose(traded, np.asarray(payoffs)[order], rtol=1e-12)
    for i, other in enumerate(order):
        for a, b in zip(jax.tree.leaves(seen_then[i]), jax.tree.leaves(seen[other]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def situations_are_finite(game, played):
    if not isinstance(game, FiniteGame):
        return
    assert game.possible.shape == (game.players, game.situation_count, game.mask.shape[1])
    assert max(len(game.situations_of(i)) for i in range(game.players)) == game.situation_count
    for _, _, _, seen, _, _ in played.rows:
        at = np.asarray(game.situation_of(seen))
        assert at.min() >= 0 and at.max() < game.situation_count
    if isinstance(game, Markov):
        chances = np.asarray(jax.jit(lambda params: game.transition_table(params))(played.params))
        assert chances.min() >= 0
        np.testing.assert_allclose(chances.sum(axis=-1), 1.0, rtol=1e-12)


# --- Bad arguments ---------------------------------------------------------------------------------------------------


def bad_arguments_are_refused(factory: Callable[..., Environment], options: dict):
    """Counts of 0, empty grids, numbers that are none, unknown words: an InputError, and no other error."""
    for name, parameter in inspect.signature(factory).parameters.items():
        default = options.get(name, parameter.default)
        match default:
            case bool() | None | inspect.Parameter.empty:
                continue
            case int():
                wrong = 0
            case float():
                wrong = float("nan")
            case str():
                wrong = "nonsense"
            case _:
                wrong = ()
        if name in ("name", "role_names", "action_labels"):
            continue
        try:
            factory(**{**options, name: wrong})
        except bc.InputError:
            continue
        raise AssertionError(f"{name} = {wrong!r} was accepted")


def factory_of(name: str) -> Callable[..., Environment]:
    factory = GAMES[name].factory
    if isinstance(factory, str):
        module, _, attribute = factory.partition(":")
        factory = getattr(import_module(module), attribute)
    return factory


# --- The laws on every game ------------------------------------------------------------------------------------------

ONE_SHOT = [name for name in GAMES if not GAMES[name].over_time]
OVER_TIME = [name for name in GAMES if GAMES[name].over_time]
ONE_SHOT_LAWS = (
    expected_payoffs_are_averages, joint_tables_give_expected_payoffs, columns_of_joint_tables_are_payoffs,
    payoff_slopes_are_finite_differences, slope_factors_are_slopes, players_of_a_role_are_alike,
    relabelling_gives_the_same_game, one_shot_payoffs_are_finite, batches_are_loops,
)  # fmt: skip
LAWS = (rules_are_whole, payoff_parameters_scale_payoffs)
OVER_TIME_LAWS = (
    replay_rebuilds_what_was_seen, recorded_columns_are_described, play_is_finite, batched_play_is_a_loop,
    players_of_a_role_are_alike_over_time, situations_are_finite,
)  # fmt: skip
# Kinds that are registered in one version only.
OTHERS = {
    "2x3x2": lambda: bc.NormalForm(np.random.default_rng(1).normal(size=(3, 2, 3, 2))),
    "2x2x2x3": lambda: bc.NormalForm(np.random.default_rng(2).normal(size=(4, 2, 2, 2, 3))),
    "winner": lambda: bc.BeautyContest(4, 2 / 3, np.linspace(0, 100, 4), payoff="winner"),
    "uneven guesses": lambda: bc.BeautyContest(3, 0.9, (0.0, 10.0, 50.0, 100.0), prize=4.0),
    "uneven contributions": lambda: bc.PublicGoods(3, mpcr=0.6, endowment=10, contributions=(0, 4, 10)),
    "five firms": lambda: bc.Cournot(5, np.linspace(0, 40, 3)),
}


@pytest.mark.parametrize("law", ONE_SHOT_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", [*ONE_SHOT, *OTHERS])
def test_one_shot_games(name, law):
    law(facts(name))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", list(GAMES))
def test_all_games(name, law):
    law(example(name))


@pytest.mark.parametrize("law", OVER_TIME_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", OVER_TIME)
def test_games_over_time(name, law):
    law(example(name), play(name))


@pytest.mark.parametrize("name", list(GAMES))
def test_bad_arguments(name):
    bad_arguments_are_refused(factory_of(name), dict(GAMES[name].options))


# --- Planted errors --------------------------------------------------------------------------------------------------


class OneRivalTooFew(bc.Cournot):
    def expected_payoffs(self, strategies, params):
        return (self.payoffs_by_total(params, 1) @ strategies[0])[None]


class WrongChances(bc.Cournot):
    def joint_chances(self, role, strategies):
        return super().joint_chances(role, strategies)[::-1]


class WrongTable(bc.NormalForm):
    def joint_table(self, role, params):
        return super().joint_table(role, params)[:, ::-1]


class ForgetsRivals(bc.Cournot):
    def payoff_slopes(self, strategies, params):
        return super().payoff_slopes(strategies, params) / (self.players - 1)


class WrongFactors(bc.BeautyContest):
    def slope_factors(self, params):
        left, right = super().slope_factors(params)
        return left, right**2


class FavoursTheFirst(bc.Cournot):
    def payoffs(self, joint_action, params):
        return super().payoffs(joint_action, params).at[0].add(1.0)


class LosesTrack(bc.NormalForm):
    def relabel(self, params):
        again, became = super().relabel(params)
        return again, became[:, ::-1]


class DividesByZero(bc.Cournot):
    def payoffs(self, joint_action, params):
        return super().payoffs(joint_action, params) / jnp.where(jnp.any(joint_action), 1.0, 0.0)


class ThrowsHostDice(bc.Cournot):
    """NumPy throws once for a whole batch."""

    def payoffs(self, joint_action, params):
        return super().payoffs(joint_action, params) + np.random.default_rng().normal()


TENSOR = np.random.default_rng(3).normal(size=(2, 2, 3))
PLANTED = {
    expected_payoffs_are_averages: lambda: OneRivalTooFew(3, range(0, 31, 10)),
    joint_tables_give_expected_payoffs: lambda: WrongChances(3, range(0, 31, 10)),
    columns_of_joint_tables_are_payoffs: lambda: WrongTable(TENSOR),
    payoff_slopes_are_finite_differences: lambda: ForgetsRivals(3, range(0, 31, 10)),
    slope_factors_are_slopes: lambda: WrongFactors(3, guesses=range(0, 31, 10)),
    players_of_a_role_are_alike: lambda: FavoursTheFirst(3, range(0, 31, 10)),
    relabelling_gives_the_same_game: lambda: LosesTrack(TENSOR),
    one_shot_payoffs_are_finite: lambda: DividesByZero(3, range(0, 31, 10)),
    batches_are_loops: lambda: ThrowsHostDice(3, range(0, 31, 10)),
}


class HasNoScale(bc.Cournot):
    def payoff_scale(self, params):
        return jnp.zeros(())


class ClaimsTooMuch(bc.Cournot):
    """The price is cut off at zero, and the slope does not scale it."""

    @property
    def payoff_parameters(self):
        return ("intercept", "slope")


class Forgets(bc.RepeatedCournot):
    def replay(self, table, *, tolerance=0.01):
        back = super().replay(table, tolerance=tolerance)
        return back._replace(observations=back.observations | {"own": np.roll(back.observations["own"], 1)})


class RecordsMore(bc.RepeatedCournot):
    def record(self, before, joint_action, after, params):
        return super().record(before, joint_action, after, params) | {"total": after.quantities}


class SeesNothing(bc.RepeatedCournot):
    def observe(self, state, player):
        seen = super().observe(state, player)
        return seen | {"price": seen["price"] / (seen["round"] > 0)}


class ThrowsDiceOverTime(bc.RepeatedCournot):
    def step(self, key, state, joint_action, params):
        after, payoffs, over = super().step(key, state, joint_action, params)
        return after, payoffs + np.random.default_rng().normal(), over


class FavoursTheFirstOverTime(bc.RepeatedCournot):
    def step(self, key, state, joint_action, params):
        after, payoffs, over = super().step(key, state, joint_action, params)
        return after, payoffs.at[0].add(1.0), over


class LeaksProbability(bc.BusEngine):
    def transition_table(self, params):
        return super().transition_table(params) * 0.99


PLANTED_OVER_TIME = {
    replay_rebuilds_what_was_seen: Forgets,
    recorded_columns_are_described: RecordsMore,
    play_is_finite: SeesNothing,
    batched_play_is_a_loop: ThrowsDiceOverTime,
    players_of_a_role_are_alike_over_time: FavoursTheFirstOverTime,
    situations_are_finite: partial(LeaksProbability, bins=8, horizon=3),
}


@pytest.mark.parametrize("law", ONE_SHOT_LAWS, ids=lambda law: law.__name__)
def test_a_planted_error_in_a_one_shot_game_is_caught(law):
    with pytest.raises(AssertionError):
        law(Facts(PLANTED[law]()))


@pytest.mark.parametrize(
    ("law", "game"), [(rules_are_whole, HasNoScale), (payoff_parameters_scale_payoffs, ClaimsTooMuch)]
)
def test_a_planted_error_in_any_game_is_caught(law, game):
    with pytest.raises(AssertionError):
        law(game(3, range(0, 61, 10)))


@pytest.mark.parametrize("law", OVER_TIME_LAWS, ids=lambda law: law.__name__)
def test_a_planted_error_in_a_game_over_time_is_caught(law):
    game = PLANTED_OVER_TIME[law]()
    with pytest.raises(AssertionError):
        law(game, Play(game))


class Careless(OneShot):
    """Its number of rounds to come is checked by nobody."""

    patience: float = eqx.field(static=True)

    def __init__(self, players: int = 2, patience: float = 1.0):
        self.patience = patience
        vars(self).update(symmetric_fields("careless", "player", players, (0, 1), ordered=True))

    def payoffs(self, joint_action, params):
        return jnp.zeros(self.players)


def test_a_careless_game_is_caught():
    with pytest.raises(AssertionError, match="patience = nan"):
        bad_arguments_are_refused(Careless, {})
    with pytest.raises(bc.InputError, match="0 players"):
        Careless(0)
